/// Identifies a scheduled timer.
public struct TimerID: Hashable, Sendable {
    let number: UInt64
}

/// One-shot timers of the loop: a binary heap by deadline. Cancelled timers are skipped when their time comes.
struct TimerQueue {
    private struct Item {
        let deadline: Int64
        let id: TimerID
        let body: () -> Void
    }

    private var heap: [Item] = []
    private var live: Set<TimerID> = []
    private var nextNumber: UInt64 = 1

    mutating func add(at deadline: Int64, _ body: @escaping () -> Void) -> TimerID {
        let id = TimerID(number: nextNumber)
        nextNumber += 1
        live.insert(id)
        heap.append(Item(deadline: deadline, id: id, body: body))
        var child = heap.count - 1
        while child > 0, heap[child].deadline < heap[(child - 1) / 2].deadline {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
        return id
    }

    mutating func cancel(_ id: TimerID) { live.remove(id) }

    /// Monotonic milliseconds of the earliest timer.
    var nextDeadline: Int64? { heap.first?.deadline }

    /// Takes what is due off the queue, for the caller to run: bodies may add timers, so they cannot run in here.
    mutating func takeDue(until now: Int64) -> [() -> Void] {
        var due: [() -> Void] = []
        while let first = heap.first, first.deadline <= now {
            if live.remove(first.id) != nil { due.append(first.body) }
            removeFirst()
        }
        return due
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].deadline < heap[smallest].deadline {
                smallest = child
            }
            if smallest == parent { return }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
