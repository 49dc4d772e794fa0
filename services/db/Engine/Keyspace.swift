// Looking keys up and changing entries: the operations that every command is built from.
import ByteStorage
import RESP

extension Engine {
    // MARK: Look-up

    /// The slot of a key that is there and not expired, for a command that may change it. An expired key is deleted.
    @inline(__always) func findSlot(_ database: Int, _ key: ByteView, _ hash: UInt64) -> Slot? {
        guard let slot = locate(database, key, hash) else { return nil }
        let entry = Table.entry(slot)
        if entry.hasExpiry && entry.expiry <= now { return expiredSlot(database, slot, hash) }
        touch(entry)
        return slot
    }

    /// The entry of a key that is there and not expired, for a command that reads it; counts hits and misses.
    @inline(__always) func findToRead(_ database: Int, _ key: ByteView, _ hash: UInt64) -> Entry? {
        if let slot = findSlot(database, key, hash) {
            state.pointee.statistics.keyspaceHits &+= 1
            return Table.entry(slot)
        }
        state.pointee.statistics.keyspaceMisses &+= 1
        notify(.keyMiss, "keymiss", database, key)
        return nil
    }

    /// Like `findSlot`, without touching the access clock: for TTL, OBJECT, DEBUG and the like.
    func peek(_ database: Int, _ key: ByteView) -> Slot? {
        let hash = hash(key)
        guard let slot = locate(database, key, hash) else { return nil }
        let entry = Table.entry(slot)
        if entry.hasExpiry && entry.expiry <= now { return expiredSlot(database, slot, hash) }
        return slot
    }

    @inline(__always) func touch(_ entry: Entry) {
        // Written only when the second changed: a store to every entry that is read would dirty its cache line.
        if entry.access != state.pointee.accessClock { updateAccess(entry) }
    }

    /// A key whose time has come: deleted here on a primary; on a replica it is invisible until the primary's DEL comes, but
    /// the primary's own commands still see it.
    @inline(never) private func expiredSlot(_ database: Int, _ slot: Slot, _ hash: UInt64) -> Slot? {
        if state.pointee.obeysStream { return slot }
        if state.pointee.isReplica { return nil }
        expire(database, slot, hash)
        return nil
    }

    /// Deletes an expired key and tells log, replicas and listeners.
    func expire(_ database: Int, _ slot: Slot, _ hash: UInt64) {
        let key = Table.entry(slot).key
        state.pointee.statistics.expiredKeys &+= 1
        state.pointee.stream.append(database: database, [ByteView("DEL"), key])
        notify(.expired, "expired", database, key)
        changed(database, key)
        remove(database, slot, hash)
    }

    /// Deletes due keys of all databases, at most `budget` of them.
    ///
    /// - Returns: whether more are due now.
    public func expireDueKeys(budget: Int) -> Bool {
        guard !state.pointee.isReplica, state.pointee.activeExpire else { return false }
        var isMoreDue = false
        for database in 0..<databaseCount where timers(database).count > 0 {
            let more = timers(database).advance(to: now, budget: budget) { entry in
                let hash = hash(entry.key)
                guard let slot = locate(database, entry.key, hash) else {
                    preconditionFailure("a timer points to an entry that is not in its table")
                }
                expire(database, slot, hash)
            }
            isMoreDue = isMoreDue || more
        }
        return isMoreDue
    }

    /// Milliseconds since 1970 when the next key may be due, nil when none has an expiry.
    public var nextExpiryCheck: Int64? {
        guard !state.pointee.isReplica, state.pointee.activeExpire else { return nil }
        var result: Int64?
        for database in 0..<databaseCount where timers(database).count > 0 {
            if let deadline = timers(database).nextDeadline { result = min(result ?? .max, deadline) }
        }
        return result
    }

    // MARK: Strings

    /// Stores a string under `key`, whatever was there. `expiry` nil: without one; `.keep` is the caller's business.
    @inline(__always)
    func setString(_ database: Int, _ key: ByteView, _ hash: UInt64, _ value: ByteView, expiry: Int64?) {
        let table = table(database)
        if let slot = locate(database, key, hash) {
            let old = Table.entry(slot)
            if old.kind == .inlineString && expiry == nil && !old.hasExpiry && value.count <= Entry.largestInlineValue {
                if overwriteInline(old, value) { return }
            }
            replaceString(database, slot, key, value, expiry)
            return
        }
        table.insert(makeString(database, key, value, expiry), hash)
    }

    /// Overwrites in place when the block fits and not too much of it would be wasted.
    @inline(__always) private func overwriteInline(_ entry: Entry, _ value: ByteView) -> Bool {
        let offset = entry.valueOffset
        let needed = SlabAllocator.rounded(offset &+ value.count)
        let spare = entry.blockBytes &- needed
        guard spare >= 0 && spare <= 64 else { return false }
        var header = entry.header & ~(0xff_0000_0fff | Entry.modified)
        header |= UInt64(truncatingIfNeeded: value.count) | UInt64(truncatingIfNeeded: spare >> 3) << 32
        entry.header = header & 0xff_ffff_ffff | UInt64(state.pointee.accessClock) << 40
        (entry.base + offset).copyMemory(from: value.base, byteCount: value.count)
        return true
    }

    @inline(__always)
    func makeString(_ database: Int, _ key: ByteView, _ value: ByteView, _ expiry: Int64?) -> Entry {
        let entry: Entry
        if value.count <= Entry.largestInlineValue {
            entry = Entry.make(
                slab, key: key, kind: .inlineString, valueBytes: value.count, expires: expiry != nil)
            entry.valueBase.copyMemory(from: value.base, byteCount: value.count)
        } else {
            entry = Entry.make(slab, key: key, kind: .blobString, valueBytes: 8, expires: expiry != nil)
            let blob = Blob.make(slab, count: value.count, capacity: value.count)
            blob.bytes.copyMemory(from: value.base, byteCount: value.count)
            entry.setPointer(blob.base)
        }
        initializeAccess(entry)
        if let expiry {
            entry.expiry = expiry
            timers(database).add(entry)
        }
        return entry
    }

    @inline(never)
    func replaceString(_ database: Int, _ slot: Slot, _ key: ByteView, _ value: ByteView, _ expiry: Int64?) {
        let old = Table.entry(slot)
        // The same shape with an expiry: overwrite value and expiry in place.
        if let expiry, old.hasExpiry, old.kind == .inlineString, value.count <= Entry.largestInlineValue,
            overwriteInline(old, value)
        {
            setExpiry(database, old, expiry)
            return
        }
        // `key` or `value` may point into the old entry (GETSET of itself, RENAME): build the new one first.
        let new = makeString(database, key, value, expiry)
        slot.pointee = UInt(bitPattern: new.base)
        destroy(database, old)
    }

    // MARK: Entries

    /// Puts a collection's pointer under a new key.
    func insertObject(
        _ database: Int, _ key: ByteView, _ hash: UInt64, _ kind: EntryKind, _ object: UnsafeMutableRawPointer,
        expiry: Int64? = nil
    ) -> Entry {
        let entry = Entry.make(slab, key: key, kind: kind, valueBytes: 8, expires: expiry != nil)
        entry.setPointer(object)
        initializeAccess(entry)
        if let expiry {
            entry.expiry = expiry
            timers(database).add(entry)
        }
        table(database).insert(entry, hash)
        return entry
    }

    /// Takes the key at `slot` out of the database and frees it with its value.
    @inline(__always) func remove(_ database: Int, _ slot: Slot, _ hash: UInt64) {
        let entry = Table.entry(slot)
        table(database).remove(slot, hash)
        destroy(database, entry)
    }

    /// Frees an entry that is in no table any more: timer, value and block.
    @inline(__always) func destroy(_ database: Int, _ entry: Entry) {
        if entry.hasExpiry { timers(database).remove(entry) }
        if entry.kind != .inlineString { destroyValue(entry) }
        entry.freeBlock(slab)
    }

    /// Changes the expiry of an entry that has one.
    @inline(__always) func setExpiry(_ database: Int, _ entry: Entry, _ expiry: Int64) {
        let timers = timers(database)
        timers.remove(entry)
        entry.expiry = expiry
        timers.add(entry)
    }

    /// Gives the entry at `slot` an expiry, or takes it away with nil. The entry may move: use the one returned.
    @discardableResult
    func updateExpiry(_ database: Int, _ slot: Slot, _ expiry: Int64?) -> Entry {
        let old = Table.entry(slot)
        if let expiry, old.hasExpiry {
            setExpiry(database, old, expiry)
            return old
        }
        guard (expiry != nil) != old.hasExpiry else { return old }
        let new = Entry.make(
            slab, key: old.key, kind: old.kind, valueBytes: old.inlineValueLength, expires: expiry != nil)
        new.valueBase.copyMemory(from: old.valueBase, byteCount: old.inlineValueLength)
        new.header = new.header & ~Entry.modified | old.header & Entry.modified
        new.access = old.access
        if old.hasExpiry { timers(database).remove(old) }
        slot.pointee = UInt(bitPattern: new.base)
        old.freeBlock(slab)
        if let expiry {
            new.expiry = expiry
            timers(database).add(new)
        }
        return new
    }

    /// Deletes `key` if it is there: the core of DEL, UNLINK and of every command that replaces a key.
    @discardableResult
    func deleteKey(_ database: Int, _ key: ByteView) -> Bool {
        let hash = hash(key)
        guard let slot = findSlot(database, key, hash) else { return false }
        remove(database, slot, hash)
        return true
    }
}
