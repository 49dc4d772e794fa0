// The value of a sorted set: a compact list of member, score, member, score... in order, or a table from members to
// scores with an ordered index beside it.
//
// In the compact list a score is an element of its eight bytes. In the table it is the entry's value; the index holds
// it once more, so that searches by score do not touch the entries. Every range command is a range of ranks: bounds are
// counted (`scorePrefix`, `memberPrefix`), then the members between are walked. Views are valid until the sorted set
// changes.
import ByteStorage

struct SortedSetValue {
    private(set) var word: UInt

    /// The block of the indexed encoding.
    struct Indexed {
        var order: OrderedIndex.State
        let table: Table
    }

    @inline(__always) init(word: UInt) { self.word = word }

    /// An empty sorted set. Its owner puts it under a key or destroys it.
    static func make(_ engine: Engine, expectedCount: Int = 0) -> SortedSetValue {
        if expectedCount > engine.state.pointee.settings.sortedSetMaxCompactEntries {
            let value = makeIndexed(engine)
            value.table.reserve(expectedCount)
            return value
        }
        return SortedSetValue(word: collectionWord(CompactList.make(engine.slab).base, .compact))
    }

    private static func makeIndexed(_ engine: Engine) -> SortedSetValue {
        let slab = engine.slab
        let block = slab.allocate(MemoryLayout<Indexed>.size)
        block.initializeMemory(
            as: Indexed.self,
            to: Indexed(
                order: OrderedIndex.makeState(slab), table: Table(hash: engine.state.pointee.hash, slab: slab)))
        return SortedSetValue(word: collectionWord(block, .indexed))
    }

    @inline(__always) var isCompact: Bool { collectionEncoding(word) == .compact }
    @inline(__always) private var list: CompactList { CompactList(collectionBlock(word)) }
    @inline(__always) private var indexed: UnsafeMutablePointer<Indexed> {
        collectionBlock(word).assumingMemoryBound(to: Indexed.self)
    }
    @inline(__always) var table: Table { indexed.pointee.table }
    @inline(__always) private var order: OrderedIndex {
        // SAFETY: the index's state is the first member of the block.
        OrderedIndex(state: collectionBlock(word).assumingMemoryBound(to: OrderedIndex.State.self))
    }
    @inline(__always) var count: Int { isCompact ? list.count >> 1 : order.count }

    // MARK: Reading

    func score(_ engine: Engine, _ member: ByteView) -> Double? {
        if isCompact {
            let list = list
            return list.find(member, step: 2).map { SortedSetValue.score(list, list.next($0)) }
        }
        return table.peek(member, engine.hash(member)).map { SortedSetValue.score(Table.entry($0)) }
    }

    @inline(__always) private static func score(_ list: CompactList, _ position: Int) -> Double {
        list[position].base.loadUnaligned(as: Double.self)
    }

    /// The score in an entry of the table.
    @inline(__always) static func score(_ entry: Entry) -> Double { entry.valueBase.loadUnaligned(as: Double.self) }

    /// The number of members from the lowest on whose score fulfils `isBefore`, which must be true for a prefix only.
    func scorePrefix(_ isBefore: (Double) -> Bool) -> Int {
        isCompact ? compactPrefix { score, _ in isBefore(score) } : order.prefix { score, _ in isBefore(score) }
    }

    /// The number of members from the lowest on that fulfil `isBefore`, which must be true for a prefix only.
    func memberPrefix(_ isBefore: (ByteView) -> Bool) -> Int {
        isCompact ? compactPrefix { _, member in isBefore(member) } : order.prefix { isBefore($1.key) }
    }

    @inline(__always) private func compactPrefix(_ isBefore: (Double, ByteView) -> Bool) -> Int {
        let list = list
        var position = list.start
        var found = 0
        while position < list.end {
            let scorePosition = list.next(position)
            guard isBefore(SortedSetValue.score(list, scorePosition), list[position]) else { return found }
            found += 1
            position = list.next(scorePosition)
        }
        return found
    }

    /// The rank of a member, the lowest being 0, and its score.
    func rank(_ engine: Engine, _ member: ByteView) -> (rank: Int, score: Double)? {
        guard let score = score(engine, member) else { return nil }
        return (isCompact ? compactPrefix { _, other in !(other == member) } : order.rank(score, member), score)
    }

    /// Calls `body` with `count` members from `rank` on, upwards, or downwards when `reversed`: then from the member of
    /// that rank down. The range must lie within the sorted set.
    func forEach(from rank: Int, count: Int, reversed: Bool = false, _ body: (ByteView, Double) -> Void) {
        guard count > 0 else { return }
        guard isCompact else {
            var cursor = order.cursor(rank)
            for left in stride(from: count, to: 0, by: -1) {
                body(cursor.entry.key, cursor.score)
                if left > 1 { guard reversed ? cursor.retreat() : cursor.advance() else { return } }
            }
            return
        }
        let list = list
        let first = reversed ? rank - count + 1 : rank
        var position = list.position(first * 2)
        guard reversed else {
            for _ in 0..<count {
                let scorePosition = list.next(position)
                body(list[position], SortedSetValue.score(list, scorePosition))
                position = list.next(scorePosition)
            }
            return
        }
        withUnsafeTemporaryAllocation(of: Int.self, capacity: count) { positions in
            for index in 0..<count {
                positions[index] = position
                position = list.next(list.next(position))
            }
            for position in positions.reversed() {
                body(list[position], SortedSetValue.score(list, list.next(position)))
            }
        }
    }

    func forEach(_ body: (ByteView, Double) -> Void) { forEach(from: 0, count: count, body) }

    // MARK: Changing. Arguments must not point into this sorted set, except where said.

    /// Adds a member that is not in the set.
    mutating func insert(_ engine: Engine, _ member: ByteView, _ score: Double) {
        if isCompact {
            var list = list
            let settings = engine.state.pointee.settings
            if list.count >> 1 < settings.sortedSetMaxCompactEntries,
                member.count <= settings.sortedSetMaxCompactValue,
                list.usedBytes + member.count + 14 <= CompactList.largestBytes
            {
                let rank = compactPrefix { $0 != score ? $0 < score : $1.compare(member) < 0 }
                // A negative zero becomes 0, which Redis's compact encoding does too.
                withUnsafeBytes(of: score == 0 ? 0 : score) { bytes in
                    let view = ByteView(bytes.baseAddress ?? emptyByteBase, 8)
                    list.insert(engine.slab, list.position(rank * 2), member, view)
                }
                word = collectionWord(list.base, .compact)
                return
            }
            becomeIndexed(engine)
        }
        let entry = Entry.make(engine.slab, key: member, kind: .inlineString, valueBytes: 8, expires: false)
        entry.valueBase.storeBytes(of: score, as: Double.self)
        table.insert(entry, engine.hash(member))
        order.insert(score, entry)
    }

    private mutating func becomeIndexed(_ engine: Engine) {
        let old = self
        var new = SortedSetValue.makeIndexed(engine)
        new.table.reserve(old.count + 1)
        old.forEach { new.insert(engine, $0, $1) }
        old.destroy(engine)
        word = new.word
    }

    /// Changes the score of a member of the set.
    mutating func update(_ engine: Engine, _ member: ByteView, from old: Double, to new: Double) {
        if isCompact {
            _ = remove(engine, member)
            return insert(engine, member, new)
        }
        guard let slot = table.find(member, engine.hash(member)) else { return }
        let entry = Table.entry(slot)
        order.move(entry, from: old, to: new)
        entry.valueBase.storeBytes(of: new, as: Double.self)
    }

    /// - Returns: whether the member was there.
    mutating func remove(_ engine: Engine, _ member: ByteView) -> Bool {
        if isCompact {
            var list = list
            guard let position = list.find(member, step: 2) else { return false }
            list.remove(engine.slab, position, 2)
            word = collectionWord(list.base, .compact)
            return true
        }
        let hash = engine.hash(member)
        guard let slot = table.find(member, hash) else { return false }
        let entry = Table.entry(slot)
        order.remove(SortedSetValue.score(entry), entry)
        table.remove(slot, hash)
        entry.freeBlock(engine.slab)
        return true
    }

    /// Removes `count` members from `rank` on upwards; the range must lie within the set.
    mutating func removeRange(_ engine: Engine, from rank: Int, count: Int) {
        guard count > 0 else { return }
        if isCompact {
            var list = list
            list.remove(engine.slab, list.position(rank * 2), count * 2)
            word = collectionWord(list.base, .compact)
            return
        }
        for _ in 0..<count { _ = remove(engine, order.cursor(rank).entry.key) }
    }

    // MARK: The whole

    func duplicate(_ engine: Engine) -> SortedSetValue {
        if isCompact { return SortedSetValue(word: collectionWord(list.duplicate(engine.slab).base, .compact)) }
        var copy = SortedSetValue.makeIndexed(engine)
        copy.table.reserve(count)
        forEach { copy.insert(engine, $0, $1) }
        return copy
    }

    func destroy(_ engine: Engine) {
        if isCompact { return list.destroy(engine.slab) }
        order.destroy()
        table.destroyWithEntries()
        engine.slab.free(collectionBlock(word), MemoryLayout<Indexed>.size)
    }

    /// Frees the block of an indexed sorted set and hands its parts over.
    func dismantle(_ engine: Engine) -> (order: OrderedIndex.Subtree, table: Table) {
        let parts = (order.whole, table)
        engine.slab.free(collectionBlock(word), MemoryLayout<Indexed>.size)
        return parts
    }

    func memoryUsage(samples: Int) -> Int {
        if isCompact { return list.blockBytes }
        return MemoryLayout<Indexed>.size + order.nodeBytes + table.memoryUsage(samples: samples)
    }

    var encodingName: StaticString { isCompact ? "listpack" : "skiplist" }

    /// Traps when the structure is damaged. For tests.
    func checkInvariants() {
        guard !isCompact else { return list.checkInvariants() }
        table.checkInvariants()
        order.checkInvariants()
        precondition(table.count == order.count, "table and order disagree")
        forEach { member, score in
            let stored = table.peek(member, table.hash(member)).map { SortedSetValue.score(Table.entry($0)) }
            precondition(stored == score, "the table has another score than the order")
        }
    }
}
