// Memory limit: which keys go when maxmemory is reached.
//
// - Spec: Redis configuration, maxmemory and maxmemory-policy; the policies are approximated by samples, as in Redis.
import ByteStorage

extension Engine {
    /// Expires the key if its time has come, for those who must know about it before they go on.
    public func expireIfDue(_ database: Int, _ key: ByteView) { _ = peek(database, key) }

    /// Deletes keys by the policy until `used` is at most the limit.
    ///
    /// - Parameters:
    ///   - overhead: bytes that the server uses beyond `usedBytes` and that count.
    ///   - budget: keys to be deleted at most in this call.
    /// - Returns: whether the memory is within the limit.
    public func evict(overhead: Int, budget: Int) -> Bool {
        let limit = state.pointee.settings.maxMemoryBytes
        guard limit > 0 else { return true }
        var left = budget
        while usedBytes + overhead > limit {
            guard left > 0 else { return false }
            // What is deleted already comes first.
            if isReclaiming {
                left -= 1
                reclaim(budget: Engine.reclaimedPerEviction)
                continue
            }
            guard let (database, entry) = evictionCandidate() else { return false }
            left -= 1
            evict(database, entry)
        }
        return true
    }

    /// Entries freed in the time that one eviction may take, about.
    private static let reclaimedPerEviction = 64

    private func evict(_ database: Int, _ entry: Entry) {
        let key = entry.key
        let hash = hash(key)
        guard let slot = locate(database, key, hash) else { return }
        state.pointee.statistics.evictedKeys += 1
        state.pointee.stream.append(database: database, [ByteView("DEL"), key])
        notify(.evicted, "evicted", database, key)
        changed(database, key)
        remove(database, slot, hash)
    }

    /// The best of some samples from every database; nil when the policy allows none.
    private func evictionCandidate() -> (Int, Entry)? {
        let settings = state.pointee.settings
        guard settings.maxMemoryPolicy != .noEviction else { return nil }
        var best: (Int, Entry)?
        var bestScore = Int64.min
        for database in 0..<databaseCount where table(database).count > 0 {
            if settings.maxMemoryPolicy.onlyWithExpiry, timers(database).count == 0 { continue }
            // With few keys that have an expiry, samples that miss them do not count.
            var tries = settings.maxMemorySamples * (settings.maxMemoryPolicy.onlyWithExpiry ? 50 : 1)
            var samples = settings.maxMemorySamples
            while samples > 0, tries > 0 {
                tries -= 1
                guard let entry = table(database).randomEntry(&state.pointee.random) else { break }
                if settings.maxMemoryPolicy.onlyWithExpiry, !entry.hasExpiry { continue }
                samples -= 1
                let score = evictionScore(entry)
                if score > bestScore {
                    bestScore = score
                    best = (database, entry)
                }
            }
        }
        return best
    }

    /// The higher, the sooner the entry goes.
    private func evictionScore(_ entry: Entry) -> Int64 {
        switch state.pointee.settings.maxMemoryPolicy {
        case .allKeysLRU, .volatileLRU: Int64(idleSeconds(entry))
        case .allKeysLFU, .volatileLFU: 255 - Int64(lfuCounter(entry))
        case .volatileTTL: .max - entry.expiry
        case .allKeysRandom, .volatileRandom, .noEviction: 0
        }
    }
}

extension MaxMemoryPolicy {
    var onlyWithExpiry: Bool {
        switch self {
        case .volatileLRU, .volatileLFU, .volatileRandom, .volatileTTL: true
        default: false
        }
    }
}

extension Engine {
    /// Bytes of a key with its value, for MEMORY USAGE; nil when it is not there.
    public func memoryUsage(of key: ByteView, in database: Int) -> Int? {
        peek(database, key).map { memoryUsage(Table.entry($0), samples: 5) }
    }
}

extension Engine {
    /// Stores a string without propagation, when the key is free: DEBUG POPULATE.
    public func populate(_ database: Int, _ key: ByteView, _ value: ByteView) {
        let hash = hash(key)
        guard findSlot(database, key, hash) == nil else { return }
        setString(database, key, hash, value, expiry: nil)
        changed(database, key)
    }

    /// The line of DEBUG OBJECT; nil when the key is not there.
    public func debugDescription(of key: ByteView, in database: Int) -> String? {
        guard let slot = peek(database, key) else { return nil }
        let entry = Table.entry(slot)
        return
            "Value at:0x0 refcount:1 encoding:\(encodingName(entry)) serializedlength:\(memoryUsage(entry, samples: 5)) "
            + "lru:\(entry.access) lru_seconds_idle:\(idleSeconds(entry))"
    }
}
