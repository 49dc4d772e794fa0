import DatabasePersistence
import Glibc
import Synchronization

/// System calls that fail on demand, and counts of them.
final class Faults: Sendable {
    struct Plan {
        /// Error number of every write; with `room`, once that many more bytes are written.
        var writeError: Int32?
        var room: Int = 0
        var synchronizeError: Int32?
        /// The error goes away after so many failures.
        var failures = Int.max
        var truncateError: Int32?
        /// fsync calls wait until this is false.
        var holdsSynchronize = false
        /// write calls wait until this is false.
        var holdsWrite = false
        var writes = 0
        var synchronizations = 0
        var truncations = 0

        init(synchronizeError: Int32? = nil) { self.synchronizeError = synchronizeError }
    }

    private let plan = Mutex(Plan())

    func set(_ change: @Sendable (inout Plan) -> Void) { plan.withLock { change(&$0) } }
    func get<Value: Sendable>(_ value: @Sendable (Plan) -> Value) -> Value { plan.withLock { value($0) } }

    var calls: FileCalls {
        FileCalls(
            write: { descriptor, bytes, count in
                while self.plan.withLock({ $0.holdsWrite }) { usleep(500) }
                let allowed = self.plan.withLock { plan -> Int in
                    plan.writes += 1
                    guard plan.writeError != nil, plan.failures > 0 else { return count }
                    if plan.room > 0 {
                        let part = min(plan.room, count)
                        plan.room -= part
                        return part
                    }
                    plan.failures -= 1
                    return 0
                }
                if allowed > 0 { return write(descriptor, bytes, allowed) }
                errno = self.plan.withLock { $0.writeError ?? 0 }
                return -1
            },
            synchronize: { descriptor in
                while self.plan.withLock({ $0.holdsSynchronize }) { usleep(500) }
                let error = self.plan.withLock { plan -> Int32? in
                    plan.synchronizations += 1
                    guard let error = plan.synchronizeError, plan.failures > 0 else { return nil }
                    plan.failures -= 1
                    return error
                }
                guard let error else { return fdatasync(descriptor) }
                errno = error
                return -1
            },
            truncate: { descriptor, size in
                let error = self.plan.withLock { plan in
                    plan.truncations += 1
                    return plan.truncateError
                }
                if let error {
                    errno = error
                    return -1
                }
                return ftruncate(descriptor, Int(size))
            })
    }
}

/// Polls until `condition` holds, for ten seconds at most.
func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<10_000 {
        if condition() { return true }
        usleep(1000)
    }
    return false
}
