// What the keyspace needs to know of every kind of value: how to free it, copy it, name it and measure it.
import ByteStorage

extension Engine {
    /// Frees what the entry points to, a large value later (`Reclaimer`). The entry's own block stays.
    @inline(never) func destroyValue(_ entry: Entry) {
        switch entry.kind {
        case .inlineString: break
        case .blobString:
            if entry.blob.capacity > Reclaimer.blobPiece { return discard(.blob(entry.blob, released: 0), objects: 1) }
            entry.blob.destroy(slab)
        case .list: destroyList(entry.list)
        case .set, .sortedSet, .hash: destroyCollection(entry.kind, entry.word)
        }
    }

    /// Frees a collection that is under no key.
    func destroyCollection(_ kind: EntryKind, _ word: UInt) {
        if collectionEncoding(word) == .indexed, discardIndexed(kind, word) { return }
        switch kind {
        case .hash: HashValue(word: word).destroy(self)
        case .set: SetValue(word: word).destroy(self)
        case .sortedSet: SortedSetValue(word: word).destroy(self)
        case .inlineString, .blobString, .list: break
        }
    }

    /// Leaves a collection to the reclaimer when it is large.
    private func discardIndexed(_ kind: EntryKind, _ word: UInt) -> Bool {
        guard kind == .sortedSet else {
            let table = Table(word: word)
            guard table.count > Reclaimer.threshold else { return false }
            discard(.table(table, position: 0, isKeyspace: false), objects: 1)
            return true
        }
        let sortedSet = SortedSetValue(word: word)
        guard sortedSet.count > Reclaimer.threshold else { return false }
        let (order, table) = sortedSet.dismantle(self)
        discard(.nodes([order]), objects: 0)
        discard(.table(table, position: 0, isKeyspace: false), objects: 1)
        return true
    }

    /// The name that TYPE and SCAN TYPE use.
    func typeName(_ entry: Entry) -> StaticString {
        switch entry.kind {
        case .inlineString, .blobString: "string"
        case .list: "list"
        case .set: "set"
        case .sortedSet: "zset"
        case .hash: "hash"
        }
    }

    /// The name that OBJECT ENCODING gives: Redis's names, for the representation that Redis would have chosen.
    func encodingName(_ entry: Entry) -> StaticString {
        switch entry.kind {
        case .inlineString:
            if entry.isModified { return "raw" }
            if parseInteger(entry.string) != nil { return "int" }
            return entry.inlineValueLength <= 44 ? "embstr" : "raw"
        case .blobString: return "raw"
        case .hash: return HashValue(word: entry.word).encodingName
        case .set: return SetValue(word: entry.word).encodingName
        case .sortedSet: return SortedSetValue(word: entry.word).encodingName
        case .list: return listEncodingName(entry)
        }
    }

    /// Bytes of the entry with its value.
    func memoryUsage(_ entry: Entry, samples: Int) -> Int {
        switch entry.kind {
        case .inlineString: entry.blockBytes + 8
        case .blobString: entry.blockBytes + 8 + Blob.headerBytes + entry.blob.capacity
        case .hash: entry.blockBytes + 8 + HashValue(word: entry.word).memoryUsage(samples: samples)
        case .set: entry.blockBytes + 8 + SetValue(word: entry.word).memoryUsage(samples: samples)
        case .sortedSet: entry.blockBytes + 8 + SortedSetValue(word: entry.word).memoryUsage(samples: samples)
        case .list: listMemoryUsage(entry, samples: samples)
        }
    }

    // MARK: Access clock: LRU seconds or LFU counter

    @inline(__always) func initializeAccess(_ entry: Entry) {
        if state.pointee.settings.maxMemoryPolicy.isLFU {
            entry.access = lfuMinutes << 8 | 5
        } else {
            entry.access = state.pointee.accessClock
        }
    }

    @inline(never) func updateAccess(_ entry: Entry) {
        if state.pointee.noTouch { return }
        guard state.pointee.settings.maxMemoryPolicy.isLFU else {
            entry.access = state.pointee.accessClock
            return
        }
        var counter = lfuCounter(entry)
        if counter < 255 {
            let base = max(0, Int(counter) - 5)
            let chance = UInt64(base * state.pointee.settings.lfuLogFactor + 1)
            if state.pointee.random.next(below: chance) == 0 { counter += 1 }
        }
        entry.access = lfuMinutes << 8 | counter
    }

    private var lfuMinutes: UInt32 { UInt32(truncatingIfNeeded: now / 60_000) & 0xffff }

    /// The LFU counter after decay.
    func lfuCounter(_ entry: Entry) -> UInt32 {
        let counter = entry.access & 0xff
        guard state.pointee.settings.lfuDecayMinutes > 0 else { return counter }
        let elapsed = (lfuMinutes &- entry.access >> 8) & 0xffff
        let periods = elapsed / UInt32(state.pointee.settings.lfuDecayMinutes)
        return periods > counter ? 0 : counter - periods
    }

    /// Seconds since the last access, for the LRU policies.
    func idleSeconds(_ entry: Entry) -> Int { Int((state.pointee.accessClock &- entry.access) & 0xff_ffff) }
}

extension Engine {
    /// Stores a copy of the entry's value under `key`, which must be free, with its expiry.
    func duplicate(_ source: Entry, to database: Int, key: ByteView) {
        let expiry = source.hasExpiry ? source.expiry : nil
        switch source.kind {
        case .inlineString, .blobString:
            setString(database, key, hash(key), source.string, expiry: expiry)
        case .list: duplicateList(source, to: database, key: key, expiry: expiry)
        case .set, .sortedSet, .hash:
            duplicateCollection(source, to: database, key: key, expiry: expiry)
        }
    }

    private func duplicateCollection(_ source: Entry, to database: Int, key: ByteView, expiry: Int64?) {
        let word: UInt
        switch source.kind {
        case .hash: word = HashValue(word: source.word).duplicate(self).word
        case .set: word = SetValue(word: source.word).duplicate(self).word
        case .sortedSet: word = SortedSetValue(word: source.word).duplicate(self).word
        case .inlineString, .blobString, .list: return
        }
        insertCollection(database, key, hash(key), source.kind, word, expiry: expiry)
        if source.kind == .sortedSet { signalReady(database, key) }
    }
}
