import Glibc
import TestSupport
import Testing

@testable import Reactor

@Suite("Timers and work from elsewhere") struct TimerTests {
    @Test("Timers fire in the order of their deadlines, those of one millisecond in the order of scheduling")
    func order() {
        var queue = TimerQueue()
        var fired: [Int] = []
        for (index, deadline) in [30, 10, 20, 10, 30, 10, 20].enumerated() {
            _ = queue.add(at: Int64(deadline)) { fired.append(index) }
        }
        let last = queue.lastNumber
        while let body = queue.takeNext(dueAt: 30, upTo: last) { body() }
        #expect(fired == [1, 3, 5, 2, 6, 0, 4])
    }

    @Test("A timer cancelled by another that is due at the same time does not fire")
    func cancelledByNeighbour() throws {
        let harness = try ReactorHarness()
        var fired: [String] = []
        var second: TimerID?
        harness.reactor.schedule(after: 1) {
            fired.append("first")
            if let second { harness.reactor.cancel(second) }
        }
        second = harness.reactor.schedule(after: 1) { fired.append("second") }
        let start = monotonicMilliseconds()
        // Both are due before the next turn.
        while monotonicMilliseconds() - start < 5 {}
        harness.wait("the first fires") { !fired.isEmpty }
        for _ in 0..<5 { harness.reactor.turn(blocking: false) }
        #expect(fired == ["first"])
    }

    @Test("A timer that schedules itself again does not keep the turn from ending")
    func selfScheduling() throws {
        let harness = try ReactorHarness()
        var count = 0
        func again() {
            count += 1
            harness.reactor.schedule(after: 0) { again() }
        }
        again()
        for _ in 0..<10 { harness.reactor.turn(blocking: false) }
        #expect(count > 3 && count <= 11)
    }

    @Test("Cancelled timers do not pile up, however far away their time is")
    func cancelledAreDropped() {
        var queue = TimerQueue()
        for _ in 0..<100_000 { queue.cancel(queue.add(at: .max) {}) }
        #expect(queue.storedCount < 200)
        var fired = 0
        for index in 0..<1000 {
            let id = queue.add(at: Int64(index)) { fired += 1 }
            if index % 10 != 0 { queue.cancel(id) }
        }
        let last = queue.lastNumber
        while let body = queue.takeNext(dueAt: 1000, upTo: last) { body() }
        #expect(fired == 100)
    }

    @Test("Jobs posted from other threads run on the loop's thread, each once, in each thread's order")
    func posting() throws {
        let harness = try ReactorHarness()
        let collected = Collected()
        for thread in 0..<4 {
            Threads.start(name: "poster") { [reactor = harness.reactor] in
                for number in 0..<500 { reactor.post { collected.items.append((thread, number)) } }
            }
        }
        harness.wait("all jobs") { collected.items.count == 2000 }
        for thread in 0..<4 {
            #expect(collected.items.filter { $0.0 == thread }.map(\.1) == Array(0..<500))
        }
    }

    @Test("A queue that never runs dry keeps no jobs that are done")
    func workQueue() {
        let queue = WorkQueue(name: "test")
        let gate = EventCounter(isSemaphore: true)
        let done = EventCounter(isSemaphore: true)
        queue.submit { gate.wait() }
        for _ in 0..<5000 { queue.submit {} }
        queue.submit { done.signal() }
        gate.signal()
        done.wait()
        #expect(queue.backlog == 0)
    }
}

/// @unchecked Sendable: filled and read on the loop's thread only.
private final class Collected: @unchecked Sendable {
    var items: [(Int, Int)] = []
}
