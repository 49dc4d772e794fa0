// What a command may be refused for: role and memory.
import DatabaseEngine

extension Server {
    func memoryRefusal(_ client: Client, _ shape: CommandShape) -> String? {
        guard settings.engine.maxMemoryBytes > 0, !(isReplicaRole && settings.replicaIgnoreMaxMemory) else {
            return nil
        }
        let isWithin = engine.evict(overhead: 0, budget: Server.evictionsPerCommand)
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

    /// Keys evicted at most before one command.
    private static let evictionsPerCommand = 256
}
