// What a command may be refused for: role and memory.
import DatabaseEngine
import Reactor

extension Server {
    func memoryRefusal(_ client: Client, _ shape: CommandShape) -> String? {
        // In a pause the dataset stands still; what could grow it is held back anyway.
        guard settings.engine.maxMemoryBytes > 0, pause == nil, !(isReplicaRole && settings.replicaIgnoreMaxMemory)
        else { return nil }
        let isWithin = monitored("eviction-cycle") { engine.evict(overhead: 0, budget: Server.evictionsPerCommand) }
        guard !isWithin, growsMemory(client, shape) else { return nil }
        // The policy has keys to evict, but more than one command may wait for: go on, the next ones evict further.
        if settings.engine.maxMemoryPolicy != .noEviction,
            engine.usedBytes < settings.engine.maxMemoryBytes + settings.engine.maxMemoryBytes / 10
        {
            return nil
        }
        return "OOM command not allowed when used memory > 'maxmemory'."
    }

    /// Queueing takes memory as well; EXEC is judged by what it executes.
    private func growsMemory(_ client: Client, _ shape: CommandShape) -> Bool {
        if shape.has(.denyOOM) { return true }
        guard client.has(.inTransaction) else { return false }
        switch shape.id {
        case .exec: return client.details.queued.contains { $0.shape.has(.denyOOM) }
        case .discard, .quit, .reset: return false
        default: return true
        }
    }

    /// Evicts between commands too: the limit may have been lowered, or commands may have stopped coming.
    func evictInTurn() {
        isMoreEvictionDue = false
        let limit = settings.engine.maxMemoryBytes
        guard limit > 0, settings.engine.maxMemoryPolicy != .noEviction, engine.usedBytes > limit, pause == nil,
            !(isReplicaRole && settings.replicaIgnoreMaxMemory)
        else { return }
        let before = engine.state.pointee.statistics.evictedKeys
        let isWithin = monitored("eviction-cycle") { engine.evict(overhead: 0, budget: Server.evictionsPerTurn) }
        // Without a key that may go there is nothing to come back for.
        isMoreEvictionDue = !isWithin && engine.state.pointee.statistics.evictedKeys > before
    }

    /// Frees a portion of what was deleted: as long as the commands of this turn took, so that deleting cannot outrun it, and
    /// a little at least.
    func reclaimInTurn() {
        guard engine.isReclaiming else { return }
        let start = CommandTimings.now()
        let share = max(reclaimClock.map { start &- $0 } ?? 0, Server.leastReclaimNanoseconds)
        while engine.reclaim(budget: 256), CommandTimings.now() &- start < share {}
        reclaimClock = nil
    }

    private static let leastReclaimNanoseconds: UInt64 = 200_000

    private static let evictionsPerTurn = 1000

    /// Follows for how long the memory is over its limit, ten times a second.
    func checkEvictionExcess() {
        let limit = settings.engine.maxMemoryBytes
        guard limit > 0, engine.usedBytes > limit else {
            statistics.evictionExceededMilliseconds += currentEvictionExcess
            evictionExceededSince = nil
            return
        }
        if evictionExceededSince == nil { evictionExceededSince = reactor.monotonicNow }
    }

    /// Milliseconds that the memory has been over its limit without a break.
    var currentEvictionExcess: Int64 { evictionExceededSince.map { reactor.monotonicNow - $0 } ?? 0 }

    /// Keys evicted at most before one command.
    private static let evictionsPerCommand = 256
}
