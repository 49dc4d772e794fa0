/// Identifies a scheduled timer.
public struct TimerID: Hashable, Sendable {
    let number: UInt64
}

/// One-shot timers of the loop: a binary heap by deadline, timers of the same millisecond in the order of scheduling.
///
/// A cancelled timer stays in the heap until its time comes or until most of the heap is cancelled: blocking commands
/// with long time limits schedule and cancel thousands a second.
struct TimerQueue {
    private struct Item {
        let deadline: Int64
        let id: TimerID
        let body: () -> Void

        func isBefore(_ other: Item) -> Bool {
            deadline != other.deadline ? deadline < other.deadline : id.number < other.id.number
        }
    }

    private var heap: [Item] = []
    private var live: Set<TimerID> = []
    private var nextNumber: UInt64 = 1

    /// Timers in the heap, cancelled ones included.
    var storedCount: Int { heap.count }

    mutating func add(at deadline: Int64, _ body: @escaping () -> Void) -> TimerID {
        let id = TimerID(number: nextNumber)
        nextNumber += 1
        live.insert(id)
        heap.append(Item(deadline: deadline, id: id, body: body))
        siftUp(heap.count - 1)
        return id
    }

    mutating func cancel(_ id: TimerID) {
        guard live.remove(id) != nil, heap.count > 64, heap.count > 2 * live.count else { return }
        let kept = heap.filter { live.contains($0.id) }
        heap.removeAll(keepingCapacity: true)
        for item in kept {
            heap.append(item)
            siftUp(heap.count - 1)
        }
    }

    /// Monotonic milliseconds of the earliest timer.
    var nextDeadline: Int64? { heap.first?.deadline }

    /// The number of the timer that was added last.
    var lastNumber: UInt64 { nextNumber - 1 }

    /// Takes the next timer that is due off the queue, for the caller to run: bodies may add and cancel timers.
    ///
    /// - Parameter last: timers that were added after this one wait for another turn.
    mutating func takeNext(dueAt now: Int64, upTo last: UInt64) -> (() -> Void)? {
        while let first = heap.first, first.deadline <= now, first.id.number <= last {
            removeFirst()
            if live.remove(first.id) != nil { return first.body }
        }
        return nil
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].isBefore(heap[smallest]) {
                smallest = child
            }
            if smallest == parent { return }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
