// Figures about the keyspace for INFO and MEMORY, and what DUMP and RESTORE need of it.
import ByteStorage

extension Engine {
    /// Bytes of the table by which a database's keys are found, a part of `usedBytes`.
    public func tableBytes(of database: Int) -> Int {
        let table = table(database).state.pointee
        let old = table.rehashIndex == .max ? 0 : max(0, table.old.bytes - table.oldFreed)
        return Table.stateBytes + table.current.bytes + old
    }

    public var tableBytes: Int { (0..<databaseCount).reduce(0) { $0 + tableBytes(of: $1) } }
    /// Bytes of pages that the slabs hold, in use or not.
    public var reservedBytes: Int { state.pointee.slab.state.pointee.reservedBytes }

    /// Milliseconds to the expiry of the keys that have one, on average over a sample; 0 without such keys.
    public func averageTTL(_ database: Int) -> Int64 {
        guard expiryCount(database) > 0 else { return 0 }
        var sum: Int64 = 0
        var count: Int64 = 0
        for _ in 0..<Engine.ttlSamples {
            guard let entry = table(database).randomEntry(&state.pointee.random) else { break }
            guard entry.hasExpiry, entry.expiry > now else { continue }
            let (total, isOverflowing) = sum.addingReportingOverflow(entry.expiry - now)
            if isOverflowing { break }
            sum = total
            count += 1
        }
        return count > 0 ? sum / count : 0
    }

    private static let ttlSamples = 100
}

// MARK: - DUMP and RESTORE

extension Engine {
    /// A key that is there, for reading it.
    public func keyView(_ key: ByteView, in database: Int) -> KeyView? {
        findToRead(database, key, hash(key)).map { KeyView(entry: $0, database: database) }
    }

    /// A key has been loaded by a client's command: tells everybody who has to know.
    public func restored(_ database: Int, _ key: ByteView, idleSeconds: Int64?, frequency: UInt8?) {
        if let slot = locate(database, key, hash(key)) {
            let entry = Table.entry(slot)
            setAccess(entry, idleSeconds: idleSeconds, frequency: frequency)
            if entry.kind == .list || entry.kind == .sortedSet { signalReady(database, key) }
        }
        changed(database, key)
        notify(.generic, "restore", database, key)
    }

    private func setAccess(_ entry: Entry, idleSeconds: Int64?, frequency: UInt8?) {
        if state.pointee.settings.maxMemoryPolicy.isLFU {
            if let frequency { entry.access = entry.access & ~0xff | UInt32(frequency) }
        } else if let idleSeconds {
            entry.access = (state.pointee.accessClock &- UInt32(clamping: idleSeconds)) & 0xff_ffff
        }
    }
}
