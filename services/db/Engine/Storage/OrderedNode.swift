// A node of an `OrderedIndex`.
//
// Layout, bytes: 0 count; 8 previous leaf; 16 next leaf; 24 scores. Leaf: 30 scores, 30 entries. Branch: 15 scores and
// entries of the least key below each child, 15 children, 15 sizes.
// The scores stand together so that a search is one pass over a few adjacent lines that compares all of them: nothing for
// the processor to guess wrong, and all its cache misses at once. Halving costs a wrong guess and a miss of its own at
// nearly every step.
//
// SAFETY: indexes are below `count`, which never passes `capacity`; both kinds of node are of `bytes` size; children and
// entries are alive as long as an item names them.
import ByteStorage
import CLinux

struct OrderedNode {
    let base: UnsafeMutableRawPointer
    let capacity: Int

    static let bytes = 504
    private static let scoresOffset = 24
    private static let childrenOffset = 264
    private static let sizesOffset = 384
    private static let leafCapacity = 30
    private static let branchCapacity = 15

    @inline(__always) init(_ base: UnsafeMutableRawPointer, _ height: Int) {
        self.base = base
        capacity = height == 0 ? OrderedNode.leafCapacity : OrderedNode.branchCapacity
    }

    static func make(_ slab: SlabAllocator, isLeaf: Bool) -> OrderedNode {
        let base = slab.allocate(bytes)
        memset(base, 0, scoresOffset)
        return OrderedNode(base, isLeaf ? 0 : 1)
    }

    @inline(__always) var isLeaf: Bool { capacity == OrderedNode.leafCapacity }
    @inline(__always) var count: Int {
        get { base.load(as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, as: Int.self) }
    }

    var previous: UnsafeMutableRawPointer? {
        get { UnsafeMutableRawPointer(bitPattern: base.load(fromByteOffset: 8, as: UInt.self)) }
        nonmutating set { base.storeBytes(of: UInt(bitPattern: newValue), toByteOffset: 8, as: UInt.self) }
    }

    var next: UnsafeMutableRawPointer? {
        get { UnsafeMutableRawPointer(bitPattern: base.load(fromByteOffset: 16, as: UInt.self)) }
        nonmutating set { base.storeBytes(of: UInt(bitPattern: newValue), toByteOffset: 16, as: UInt.self) }
    }

    func link(previous: UnsafeMutableRawPointer?, next: UnsafeMutableRawPointer?) {
        self.previous = previous
        self.next = next
    }

    // MARK: Items

    @inline(__always) private var entriesOffset: Int { OrderedNode.scoresOffset &+ capacity &<< 3 }
    @inline(__always) private func offset(_ column: Int, _ index: Int) -> Int { column &+ index &<< 3 }

    @inline(__always) private func word(_ column: Int, _ index: Int) -> UInt {
        base.load(fromByteOffset: offset(column, index), as: UInt.self)
    }

    @inline(__always) private func setWord(_ column: Int, _ index: Int, _ value: UInt) {
        base.storeBytes(of: value, toByteOffset: offset(column, index), as: UInt.self)
    }

    @inline(__always) func score(_ index: Int) -> Double {
        base.load(fromByteOffset: offset(OrderedNode.scoresOffset, index), as: Double.self)
    }

    @inline(__always) func entry(_ index: Int) -> Entry {
        Entry(UnsafeMutableRawPointer(bitPattern: word(entriesOffset, index)).unsafelyUnwrapped)
    }

    @inline(__always) func child(_ index: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(bitPattern: word(OrderedNode.childrenOffset, index)).unsafelyUnwrapped
    }

    @inline(__always) func size(_ index: Int) -> Int { Int(bitPattern: word(OrderedNode.sizesOffset, index)) }

    @inline(__always) func setKey(_ index: Int, _ score: Double, _ entry: Entry) {
        base.storeBytes(of: score, toByteOffset: offset(OrderedNode.scoresOffset, index), as: Double.self)
        setWord(entriesOffset, index, UInt(bitPattern: entry.base))
    }

    /// Makes item `index` describe `child` as it is now.
    func setItem(_ index: Int, _ child: OrderedNode) {
        setKey(index, child.score(0), child.entry(0))
        setWord(OrderedNode.childrenOffset, index, UInt(bitPattern: child.base))
        var size = child.count
        if !child.isLeaf {
            size = 0
            for index in 0..<child.count { size += child.size(index) }
        }
        setWord(OrderedNode.sizesOffset, index, UInt(bitPattern: size))
    }

    /// Updates item `index` after one member came into its child or left it. The child must not be empty.
    @inline(__always) func childChanged(_ index: Int, _ child: OrderedNode, by change: Int) {
        setKey(index, child.score(0), child.entry(0))
        setWord(OrderedNode.sizesOffset, index, UInt(bitPattern: size(index) &+ change))
    }

    /// Calls `body` with the offset of each column.
    @inline(__always) private func forEachColumn(_ body: (Int) -> Void) {
        body(OrderedNode.scoresOffset)
        body(entriesOffset)
        if !isLeaf {
            body(OrderedNode.childrenOffset)
            body(OrderedNode.sizesOffset)
        }
    }

    func openGap(_ index: Int) {
        forEachColumn { memmove(base + offset($0, index + 1), base + offset($0, index), (count - index) &<< 3) }
        count += 1
    }

    func closeGap(_ index: Int) {
        forEachColumn { memmove(base + offset($0, index), base + offset($0, index + 1), (count - index - 1) &<< 3) }
        count -= 1
    }

    /// Copies items of `other`, which is of the same kind, or of this node, without touching the counts.
    func take(_ other: OrderedNode, from: Int, count: Int, at index: Int) {
        forEachColumn { memmove(base + offset($0, index), other.base + offset($0, from), count &<< 3) }
    }

    // MARK: Search

    /// The number of leading items for which `isTrue` holds.
    @inline(__always) func partition(_ isTrue: (Int) -> Bool) -> Int { partition(0, count, isTrue) }

    @inline(__always) private func partition(_ from: Int, _ to: Int, _ isTrue: (Int) -> Bool) -> Int {
        var low = from
        var high = to
        while low < high {
            let middle = (low &+ high) >> 1
            if isTrue(middle) { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    /// The items with that score: from the first one to the one after the last.
    @inline(__always) private func range(_ score: Double) -> (Int, Int) {
        let count = count
        let wanted = SIMD2(repeating: score)
        // Each lane counts down by one for every score that fulfils its comparison, whose mask is -1.
        var below = SIMD2<Int64>.zero
        var equal = SIMD2<Int64>.zero
        var index = 0
        while index &+ 1 < count {
            let scores = base.loadUnaligned(
                fromByteOffset: offset(OrderedNode.scoresOffset, index), as: SIMD2<Double>.self)
            below &+= unsafeBitCast(scores .< wanted, to: SIMD2<Int64>.self)
            equal &+= unsafeBitCast(scores .== wanted, to: SIMD2<Int64>.self)
            index &+= 2
        }
        var from = Int(0 &- below[0] &- below[1])
        var to = from &- Int(equal[0] &+ equal[1])
        if index < count {
            // The last of an odd number. All before it are below it, or equal.
            let last = self.score(index)
            if last < score { from &+= 1 }
            if last <= score { to &+= 1 }
        }
        return (from, to)
    }

    /// Has the node fetched whole: a search touches most of its lines, and their misses overlap this way.
    @inline(__always) func prefetch() {
        for line in 0..<8 { cl_prefetch(base + line &<< 6) }
    }

    /// The number of items before (score, member).
    @inline(__always) func lowerBound(_ score: Double, _ member: ByteView) -> Int {
        let (from, to) = range(score)
        return from == to ? from : partition(from, to) { entry($0).key.compare(member) < 0 }
    }

    /// In a branch: the child below which (score, member) is or belongs.
    @inline(__always) func childIndex(_ score: Double, _ member: ByteView) -> Int {
        let (from, to) = range(score)
        // An item's key is the least below it: the child is that of the last key that is not greater.
        let notAfter = from == to ? from : partition(from, to) { entry($0).key.compare(member) <= 0 }
        return max(0, notAfter &- 1)
    }

    /// The same for an entry that is in the tree: its own key need not be read to be known equal.
    @inline(__always) func childIndex(_ score: Double, _ member: Entry) -> Int {
        let (from, to) = range(score)
        if from == to { return max(0, from &- 1) }
        if entry(from).base == member.base { return from }
        return childIndex(score, member.key)
    }

    /// In a leaf: where `member` is, which must be there with that score.
    @inline(__always) func index(of member: Entry, _ score: Double) -> Int {
        let (from, to) = range(score)
        for index in from..<to where entry(index).base == member.base { return index }
        preconditionFailure("a member of the sorted set is not in its index")
    }

    @inline(__always)
    static func isBefore(_ score: Double, _ entry: Entry, _ otherScore: Double, _ other: ByteView) -> Bool {
        score != otherScore ? score < otherScore : entry.key.compare(other) < 0
    }
}
