// Who walks the keyspace, and how fast.
//
// The engine has one walk at a time. Snapshots, bases of the log and full syncs of replicas all want it; each is a
// `WalkJob`, and the coordinator runs one after the other, first come first served. A walk begins and goes on at the
// end of a turn, after the propagation stream was drained: so everything propagated before a job's `begin` is in what
// the job sees, everything after it is not.
//
// Speed: a slice takes about a millisecond, by the clock: the number of entries adapts. While clients are busy the walk
// takes at most half of the time; when they are idle it takes all of it. A job whose output has no room gets no slices
// and costs nothing until it wakes the loop.
import ByteStorage
import DatabaseEngine
import Reactor

/// What a walk is for.
enum WalkKind { case save, rewrite, sync }

/// One use of the walk. All methods are called on the loop's thread.
class WalkJob {
    let kind: WalkKind

    init(_ kind: WalkKind) { self.kind = kind }

    /// The walk is about to begin. The stream has been drained, and the next command in it will be preceded by SELECT.
    ///
    /// - Returns: who visits the keys; nil: the job cannot run, and has told those concerned.
    func begin() -> (any KeyspaceVisitor)? { nil }

    /// Whether another slice may be made. Asked once a turn; a job that says no must wake the loop (`Reactor.post`)
    /// when it has room again.
    func hasRoom() -> Bool { true }

    /// After a slice, and at the end of each turn, in which commands may have made the walk visit entries: ship the
    /// output.
    func ship() {}

    /// Every key was visited. The walk is free for the next job, though the job itself may have output to ship still.
    func completed() {}

    /// The walk was given up by `WalkCoordinator.cancel`. Not called when the job has not begun.
    func cancelled() {}
}

final class WalkCoordinator {
    private unowned let server: Server
    /// The job that walks.
    private(set) var running: WalkJob?
    private(set) var queue: [WalkJob] = []
    /// Entries at the time when the walk began.
    private(set) var expectedKeys = 0

    /// Entries for the next slice.
    private var budget = 256
    private var nextSlice: UInt64 = 0
    private var commandsAtLastSlice = 0

    private static let sliceNanoseconds: UInt64 = 1_000_000
    private static let smallestBudget = 16
    private static let largestBudget = 1 << 16
    /// Full syncs and persistence together have never more than a few; more than this is a fault in their bookkeeping.
    private static let longestQueue = 1024

    init(server: Server) { self.server = server }

    /// Starts the job at the end of this turn, or when those before it are done.
    func request(_ job: WalkJob) {
        precondition(queue.count < WalkCoordinator.longestQueue, "walk jobs pile up")
        queue.append(job)
    }

    /// Whether a job walks.
    var isWalking: Bool { running != nil }

    /// Whether a job of this kind walks or waits for it.
    func has(_ kind: WalkKind) -> Bool { running?.kind == kind || queue.contains { $0.kind == kind } }

    /// Whether the job waits for another one, rather than for the end of this turn.
    func isWaiting(_ job: WalkJob) -> Bool {
        guard let index = queue.firstIndex(where: { $0 === job }) else { return false }
        return index > 0 || isWalking
    }

    /// 0 to 1; nil when nothing walks.
    var progress: Double? {
        guard running != nil else { return nil }
        return expectedKeys > 0 ? min(1, Double(server.engine.walkedKeys) / Double(expectedKeys)) : 1
    }

    /// Keys that the walk has visited.
    var visitedKeys: Int { running == nil ? 0 : server.engine.walkedKeys }

    /// Takes the job out of the queue, or ends its walk. Does nothing when it is neither queued nor walking.
    func cancel(_ job: WalkJob) {
        queue.removeAll { $0 === job }
        guard running === job else { return }
        server.engine.cancelWalk()
        running = nil
        job.cancelled()
    }

    /// Whether the loop should not sleep.
    var wantsTurn: Bool {
        if let running { return running.hasRoom() }
        return !queue.isEmpty || server.engine.isWalking
    }

    /// The part of the turn's end that is for walks. The stream must have been drained.
    func turn() {
        guard wantsTurn || running != nil else { return }
        if let running {
            running.ship()
            guard running.hasRoom(), isDue() else { return }
        } else if !beginNext() {
            return
        }
        slice()
    }

    private func isDue() -> Bool {
        let commands = server.statistics.commandsProcessed
        defer { commandsAtLastSlice = commands }
        return commands == commandsAtLastSlice || CommandTimings.now() >= nextSlice
    }

    /// Begins the first job of the queue that can run.
    private func beginNext() -> Bool {
        // A walk that was given up comes to its end first.
        if server.engine.isWalking {
            if isDue() { slice() }
            return false
        }
        while !queue.isEmpty {
            if begin(queue.removeFirst()) { return true }
        }
        return false
    }

    private func begin(_ job: WalkJob) -> Bool {
        server.drainStream()
        server.engine.state.pointee.stream.selectedDatabase = nil
        guard let visitor = job.begin() else { return false }
        expectedKeys = (0..<server.engine.databaseCount).reduce(0) { $0 + server.engine.keyCount($1) }
        running = job
        server.engine.beginWalk(visitor)
        return true
    }

    private func slice() {
        let start = CommandTimings.now()
        let goesOn = server.engine.walk(budget: budget)
        let end = CommandTimings.now()
        let elapsed = max(1, end &- start)
        nextSlice = end &+ elapsed
        // Towards the goal by halves, so that one slow slice does not decide.
        let fitting = Double(budget) * Double(WalkCoordinator.sliceNanoseconds) / Double(elapsed)
        let target = Int(min(fitting, Double(WalkCoordinator.largestBudget)))
        budget = max((budget + target) / 2, WalkCoordinator.smallestBudget)
        guard let job = running else { return }
        if goesOn { return job.ship() }
        running = nil
        job.completed()
    }

    /// Runs the job from begin to end at once; another job's walk must not be under way.
    ///
    /// - Parameter waitForRoom: blocks until the job has room, and returns false to give up.
    /// - Returns: whether the walk was completed.
    func runNow(_ job: WalkJob, waitForRoom: () -> Bool) -> Bool {
        precondition(!isWalking, "one walk at a time")
        while server.engine.isWalking { _ = server.engine.walk(budget: WalkCoordinator.largestBudget) }
        queue.removeAll { $0 === job }
        guard begin(job) else { return false }
        return finishNow(waitForRoom: waitForRoom)
    }

    /// Brings the walk that runs to its end at once. Parameters as of `runNow`.
    func finishNow(waitForRoom: () -> Bool) -> Bool {
        guard let job = running else { return false }
        while true {
            guard job.hasRoom() || waitForRoom() else {
                cancel(job)
                return false
            }
            let goesOn = server.engine.walk(budget: 1024)
            job.ship()
            guard goesOn else { break }
        }
        running = nil
        job.completed()
        return true
    }
}

extension Server {
    /// Has the keyspace walked for a snapshot, a base of the log or a full sync, when its turn comes.
    func requestWalk(_ job: WalkJob) { walks.request(job) }
}
