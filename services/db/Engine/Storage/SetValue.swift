// The value of a set: sorted integers, a compact list of members, or a table whose entries are the members.
//
// Encodings change in one direction only, when a member arrives that the present one cannot or should not hold.
// Views that are handed out are valid until the set changes, and during the callback only.
//
// - Spec: Redis configuration: set-max-intset-entries, set-max-listpack-entries, set-max-listpack-value.
import ByteStorage

struct SetValue {
    private(set) var word: UInt

    @inline(__always) init(word: UInt) { self.word = word }

    /// An empty set. Its owner puts it under a key or destroys it.
    static func make(_ engine: Engine, expectedCount: Int = 0) -> SetValue {
        let settings = engine.state.pointee.settings
        if expectedCount > max(settings.setMaxIntegerEntries, settings.setMaxCompactEntries) {
            let table = Table(hash: engine.state.pointee.hash, slab: engine.slab)
            table.reserve(expectedCount)
            return SetValue(word: table.word)
        }
        return SetValue(word: collectionWord(IntegerSet.make(engine.slab).base, .integers))
    }

    @inline(__always) var encoding: CollectionEncoding { collectionEncoding(word) }
    @inline(__always) private var list: CompactList { CompactList(collectionBlock(word)) }
    @inline(__always) private var integers: IntegerSet { IntegerSet(collectionBlock(word)) }
    @inline(__always) var table: Table { Table(word: word) }

    @inline(__always) var count: Int {
        switch encoding {
        case .compact: list.count
        case .indexed: table.count
        case .integers: integers.count
        }
    }

    // MARK: Reading

    @inline(__always) func contains(_ engine: Engine, _ member: ByteView) -> Bool {
        switch encoding {
        case .compact: list.find(member) != nil
        case .indexed: table.peek(member, engine.hash(member)) != nil
        case .integers: parseInteger(member).map { integers.contains($0) } ?? false
        }
    }

    /// Calls `body` with each member until it returns false. Other sets, and this one, may be asked meanwhile.
    ///
    /// - Returns: whether the walk went to the end.
    @discardableResult
    func forEachWhile(_ body: (ByteView) -> Bool) -> Bool {
        switch encoding {
        case .indexed: return table.forEachWhile({ body($0.key) })
        case .compact:
            let list = list
            var position = list.start
            while position < list.end {
                guard body(list[position]) else { return false }
                position = list.next(position)
            }
            return true
        case .integers:
            let integers = integers
            return withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { digits in
                guard let base = digits.baseAddress else { return true }
                for index in 0..<integers.count {
                    guard body(ByteView(base, formatInteger(integers[index], base))) else { return false }
                }
                return true
            }
        }
    }

    func forEach(_ body: (ByteView) -> Void) {
        forEachWhile({
            body($0)
            return true
        })
    }

    /// Calls `body` with a member chosen at random, if there is one.
    func withRandom(_ random: inout RandomGenerator, _ body: (ByteView) -> Void) {
        guard count > 0 else { return }
        switch encoding {
        case .indexed: if let entry = table.randomEntry(&random) { body(entry.key) }
        case .compact: body(list[list.position(Int(random.next(below: UInt64(count))))])
        case .integers: withDecimal(integers[Int(random.next(below: UInt64(count)))], body)
        }
    }

    // MARK: Changing. Arguments must not point into this set.

    /// - Returns: whether the member is new.
    mutating func add(_ engine: Engine, _ member: ByteView) -> Bool {
        switch encoding {
        case .indexed: return addIndexed(engine, member)
        case .compact: return addCompact(engine, member)
        case .integers:
            var integers = integers
            let limit = engine.state.pointee.settings.setMaxIntegerEntries
            guard let value = parseInteger(member), integers.count > 0 || limit > 0 else {
                leaveIntegers(engine, for: member)
                return add(engine, member)
            }
            let isNew = integers.insert(engine.slab, value)
            word = collectionWord(integers.base, .integers)
            if isNew && integers.count > limit { makeIndexed(engine) }
            return isNew
        }
    }

    private mutating func addCompact(_ engine: Engine, _ member: ByteView) -> Bool {
        var list = list
        let settings = engine.state.pointee.settings
        if member.count <= settings.setMaxCompactValue {
            if list.find(member) != nil { return false }
            let needed = list.usedBytes + member.count + 5
            if list.count < settings.setMaxCompactEntries && needed <= CompactList.largestBytes {
                list.append(engine.slab, member)
                word = collectionWord(list.base, .compact)
                return true
            }
        }
        makeIndexed(engine)
        return addIndexed(engine, member)
    }

    private func addIndexed(_ engine: Engine, _ member: ByteView) -> Bool {
        let hash = engine.hash(member)
        if table.find(member, hash) != nil { return false }
        table.insert(Entry.make(engine.slab, key: member, kind: .inlineString, valueBytes: 0, expires: false), hash)
        return true
    }

    /// Makes a set of integers one that can take `member`, which is no integer: a compact list when its limits allow.
    private mutating func leaveIntegers(_ engine: Engine, for member: ByteView) {
        let settings = engine.state.pointee.settings
        let integers = integers
        var longest = member.count
        if integers.count > 0 {
            // The longest text is that of the smallest or of the greatest integer.
            withDecimal(integers[0]) { longest = max(longest, $0.count) }
            withDecimal(integers[integers.count - 1]) { longest = max(longest, $0.count) }
        }
        guard integers.count < settings.setMaxCompactEntries, longest <= settings.setMaxCompactValue else {
            return makeIndexed(engine)
        }
        var list = CompactList.make(engine.slab)
        forEach { list.append(engine.slab, $0) }
        integers.destroy(engine.slab)
        word = collectionWord(list.base, .compact)
    }

    private mutating func makeIndexed(_ engine: Engine) {
        let table = Table(hash: engine.state.pointee.hash, slab: engine.slab)
        table.reserve(count + 1)
        forEach { member in
            let entry = Entry.make(engine.slab, key: member, kind: .inlineString, valueBytes: 0, expires: false)
            table.insert(entry, engine.hash(member))
        }
        destroy(engine)
        word = table.word
    }

    /// - Returns: whether the member was there.
    mutating func remove(_ engine: Engine, _ member: ByteView) -> Bool {
        switch encoding {
        case .compact:
            var list = list
            guard let position = list.find(member) else { return false }
            list.remove(engine.slab, position)
            word = collectionWord(list.base, .compact)
            return true
        case .integers:
            var integers = integers
            guard let value = parseInteger(member), integers.remove(engine.slab, value) else { return false }
            word = collectionWord(integers.base, .integers)
            return true
        case .indexed:
            let hash = engine.hash(member)
            guard let slot = table.find(member, hash) else { return false }
            let entry = Table.entry(slot)
            table.remove(slot, hash)
            entry.freeBlock(engine.slab)
            return true
        }
    }

    // MARK: The whole

    func duplicate(_ engine: Engine) -> SetValue {
        switch encoding {
        case .compact: return SetValue(word: collectionWord(list.duplicate(engine.slab).base, .compact))
        case .integers: return SetValue(word: collectionWord(integers.duplicate(engine.slab).base, .integers))
        case .indexed:
            let copy = Table(hash: engine.state.pointee.hash, slab: engine.slab)
            copy.reserve(count)
            table.forEach { copy.insert(Entry.makeElement(engine.slab, $0.key, $0.string), engine.hash($0.key)) }
            return SetValue(word: copy.word)
        }
    }

    func destroy(_ engine: Engine) {
        switch encoding {
        case .compact: list.destroy(engine.slab)
        case .integers: integers.destroy(engine.slab)
        case .indexed: table.destroyWithEntries()
        }
    }

    func memoryUsage(samples: Int) -> Int {
        switch encoding {
        case .compact: list.blockBytes
        case .integers: integers.blockBytes
        case .indexed: table.memoryUsage(samples: samples)
        }
    }

    var encodingName: StaticString {
        switch encoding {
        case .compact: "listpack"
        case .integers: "intset"
        case .indexed: "hashtable"
        }
    }

    /// Traps when the structure is damaged. For tests.
    func checkInvariants() {
        switch encoding {
        case .compact: list.checkInvariants()
        case .integers: integers.checkInvariants()
        case .indexed: table.checkInvariants()
        }
    }
}
