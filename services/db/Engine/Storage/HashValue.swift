// The value of a hash: a compact list of field, value, field, value..., or a table whose entries are the fields.
//
// Small hashes are searched linearly (see CompactList); past the limits of `EngineSettings` the hash becomes a table
// and stays one, as in Redis. Views that are handed out point into the hash and are valid until it changes.
import ByteStorage

struct HashValue {
    private(set) var word: UInt

    @inline(__always) init(word: UInt) { self.word = word }

    /// An empty hash. Its owner puts it under a key or destroys it.
    static func make(_ engine: Engine, expectedCount: Int = 0) -> HashValue {
        if expectedCount > engine.state.pointee.settings.hashMaxCompactEntries {
            let table = Table(hash: engine.state.pointee.hash, slab: engine.slab)
            table.reserve(expectedCount)
            return HashValue(word: table.word)
        }
        return HashValue(word: collectionWord(CompactList.make(engine.slab).base, .compact))
    }

    @inline(__always) var isCompact: Bool { collectionEncoding(word) == .compact }
    @inline(__always) private var list: CompactList { CompactList(collectionBlock(word)) }
    @inline(__always) var table: Table { Table(word: word) }
    @inline(__always) var count: Int { isCompact ? list.count >> 1 : table.count }

    // MARK: Reading

    @inline(__always) func get(_ engine: Engine, _ field: ByteView) -> ByteView? {
        if isCompact {
            let list = list
            guard let position = list.find(field, step: 2) else { return nil }
            return list[list.next(position)]
        }
        guard let slot = table.peek(field, engine.hash(field)) else { return nil }
        return Table.entry(slot).string
    }

    /// Calls `body` with field and value of each pair.
    func forEach(_ body: (ByteView, ByteView) -> Void) {
        guard isCompact else { return table.forEach { body($0.key, $0.string) } }
        let list = list
        var position = list.start
        while position < list.end {
            let value = list.next(position)
            body(list[position], list[value])
            position = list.next(value)
        }
    }

    /// A pair chosen at random. The hash must not be empty.
    func random(_ random: inout RandomGenerator) -> (field: ByteView, value: ByteView)? {
        guard isCompact else { return table.randomEntry(&random).map { ($0.key, $0.string) } }
        guard count > 0 else { return nil }
        let list = list
        let position = list.position(Int(random.next(below: UInt64(count))) * 2)
        return (list[position], list[list.next(position)])
    }

    // MARK: Changing. Arguments must not point into this hash.

    /// - Returns: whether the field is new.
    mutating func set(_ engine: Engine, _ field: ByteView, _ value: ByteView) -> Bool {
        guard isCompact else { return setIndexed(engine, field, value) }
        var list = list
        let settings = engine.state.pointee.settings
        let longest = settings.hashMaxCompactValue
        let needed = list.usedBytes + field.count + value.count + 10
        guard field.count <= longest, value.count <= longest, needed <= CompactList.largestBytes else {
            makeIndexed(engine)
            return setIndexed(engine, field, value)
        }
        if let position = list.find(field, step: 2) {
            list.replace(engine.slab, list.next(position), value)
            word = collectionWord(list.base, .compact)
            return false
        }
        guard list.count >> 1 < settings.hashMaxCompactEntries else {
            makeIndexed(engine)
            return setIndexed(engine, field, value)
        }
        list.insert(engine.slab, list.end, field, value)
        word = collectionWord(list.base, .compact)
        return true
    }

    private func setIndexed(_ engine: Engine, _ field: ByteView, _ value: ByteView) -> Bool {
        let hash = engine.hash(field)
        let table = table
        guard let slot = table.find(field, hash) else {
            table.insert(Entry.makeElement(engine.slab, field, value), hash)
            return true
        }
        let old = Table.entry(slot)
        if old.kind == .inlineString, old.inlineValueLength == value.count {
            old.valueBase.copyMemory(from: value.base, byteCount: value.count)
            return false
        }
        slot.pointee = UInt(bitPattern: Entry.makeElement(engine.slab, field, value).base)
        if old.kind == .blobString { old.blob.destroy(engine.slab) }
        old.freeBlock(engine.slab)
        return false
    }

    private mutating func makeIndexed(_ engine: Engine) {
        let old = list
        let table = Table(hash: engine.state.pointee.hash, slab: engine.slab)
        forEach { field, value in
            table.insert(Entry.makeElement(engine.slab, field, value), engine.hash(field))
        }
        word = table.word
        old.destroy(engine.slab)
    }

    /// - Returns: whether the field was there.
    mutating func remove(_ engine: Engine, _ field: ByteView) -> Bool {
        if isCompact {
            var list = list
            guard let position = list.find(field, step: 2) else { return false }
            list.remove(engine.slab, position, 2)
            word = collectionWord(list.base, .compact)
            return true
        }
        let hash = engine.hash(field)
        guard let slot = table.find(field, hash) else { return false }
        let entry = Table.entry(slot)
        table.remove(slot, hash)
        if entry.kind == .blobString { entry.blob.destroy(engine.slab) }
        entry.freeBlock(engine.slab)
        return true
    }

    // MARK: The whole

    func duplicate(_ engine: Engine) -> HashValue {
        if isCompact { return HashValue(word: collectionWord(list.duplicate(engine.slab).base, .compact)) }
        let copy = Table(hash: engine.state.pointee.hash, slab: engine.slab)
        copy.reserve(table.count)
        table.forEach { copy.insert(Entry.makeElement(engine.slab, $0.key, $0.string), engine.hash($0.key)) }
        return HashValue(word: copy.word)
    }

    func destroy(_ engine: Engine) {
        if isCompact { list.destroy(engine.slab) } else { table.destroyWithEntries() }
    }

    func memoryUsage(samples: Int) -> Int {
        isCompact ? list.blockBytes : table.memoryUsage(samples: samples)
    }

    var encodingName: StaticString { isCompact ? "listpack" : "hashtable" }

    /// Traps when the structure is damaged. For tests.
    func checkInvariants() {
        if isCompact { list.checkInvariants() } else { table.checkInvariants() }
    }
}
