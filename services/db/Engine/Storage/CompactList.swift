// The compact encoding of small collections: all elements one after the other in one block.
//
// A table costs 64 bytes a bucket and a header an element; most hashes, sets and sorted sets of this product have a
// handful of elements, and walking a few hundred adjacent bytes is faster than a hashed look-up that misses the cache.
// So up to the limits of `EngineSettings` a collection is a list of length-prefixed byte strings, and every look-up is
// linear.
//
// Layout, bytes: 0 bytes used by the elements, 32 bits; 4 number of elements, 32 bits; 8 elements. An element is its
// length (below 253: one byte; 253 and 16 bits; 254 and 32 bits) and its bytes. The block's size follows from the bytes
// used (`blockBytes`), so that no capacity is stored: steps of 8 in the slab's range, of about an eighth of the size
// above it. Rejected: a length behind each element for walks from the tail (a byte an element; lists of a node's size
// are walked from the head quickly enough); integers in binary (the text of a small number is as short).
import ByteStorage
import CLinux

struct CompactList {
    private(set) var base: UnsafeMutableRawPointer

    static let headerBytes = 8
    /// Lists longer than this are never made: offsets stay far below 32 bits.
    static let largestBytes = 1 << 30

    /// An element's place: the offset of its length prefix. Valid until the list changes.
    typealias Position = Int

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static func make(_ slab: SlabAllocator) -> CompactList {
        let list = CompactList(slab.allocate(blockBytes(0)))
        list.base.storeBytes(of: 0, as: UInt64.self)
        return list
    }

    /// A list with the same elements in a block of its own.
    func duplicate(_ slab: SlabAllocator) -> CompactList {
        let copy = slab.allocate(blockBytes)
        copy.copyMemory(from: base, byteCount: end)
        return CompactList(copy)
    }

    func destroy(_ slab: SlabAllocator) { slab.free(base, blockBytes) }

    // MARK: Size

    @inline(__always) private(set) var usedBytes: Int {
        get { Int(base.load(as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(truncatingIfNeeded: newValue), as: UInt32.self) }
    }

    @inline(__always) private(set) var count: Int {
        get { Int(base.load(fromByteOffset: 4, as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(truncatingIfNeeded: newValue), toByteOffset: 4, as: UInt32.self) }
    }

    var blockBytes: Int { CompactList.blockBytes(usedBytes) }

    @inline(__always) static func blockBytes(_ usedBytes: Int) -> Int { steppedSize(usedBytes &+ headerBytes) }

    /// The bytes that an element of `length` bytes takes.
    @inline(__always) static func elementBytes(_ length: Int) -> Int {
        length < 253 ? length &+ 1 : length <= 0xffff ? length &+ 3 : length &+ 5
    }

    // MARK: Walks

    @inline(__always) var start: Position { CompactList.headerBytes }
    @inline(__always) var end: Position { CompactList.headerBytes &+ usedBytes }

    @inline(__always) subscript(_ position: Position) -> ByteView {
        let first = base.load(fromByteOffset: position, as: UInt8.self)
        if first < 253 { return ByteView(base + (position &+ 1), Int(first)) }
        return longElement(position)
    }

    private func longElement(_ position: Position) -> ByteView {
        if base.load(fromByteOffset: position, as: UInt8.self) == 253 {
            return ByteView(
                base + (position &+ 3), Int(base.loadUnaligned(fromByteOffset: position &+ 1, as: UInt16.self)))
        }
        return ByteView(base + (position &+ 5), Int(base.loadUnaligned(fromByteOffset: position &+ 1, as: UInt32.self)))
    }

    @inline(__always) func next(_ position: Position) -> Position {
        let element = self[position]
        return element.base + element.count - UnsafeRawPointer(base)
    }

    /// The place of element number `index`. Linear.
    func position(_ index: Int) -> Position {
        var position = start
        for _ in 0..<index { position = next(position) }
        return position
    }

    /// The first element equal to `bytes` among the elements number 0, `step`, 2 `step`...
    @inline(__always) func find(_ bytes: ByteView, step: Int = 1) -> Position? {
        var position = start
        let end = end
        while position < end {
            let element = self[position]
            if element == bytes { return position }
            position = element.base + element.count - UnsafeRawPointer(base)
            if step == 2 { position = next(position) }
        }
        return nil
    }

    // MARK: Changes. `bytes` must not lie inside this list: its block moves.

    mutating func append(_ slab: SlabAllocator, _ bytes: ByteView) {
        insert(slab, end, bytes)
    }

    /// Puts `bytes` before the element at `position`.
    mutating func insert(_ slab: SlabAllocator, _ position: Position, _ bytes: ByteView) {
        splice(slab, position, removing: 0, inserting: CompactList.elementBytes(bytes.count))
        write(position, bytes)
        count &+= 1
    }

    /// Puts `first` and `second` before the element at `position`.
    mutating func insert(_ slab: SlabAllocator, _ position: Position, _ first: ByteView, _ second: ByteView) {
        let firstBytes = CompactList.elementBytes(first.count)
        splice(slab, position, removing: 0, inserting: firstBytes &+ CompactList.elementBytes(second.count))
        write(position, first)
        write(position &+ firstBytes, second)
        count &+= 2
    }

    mutating func replace(_ slab: SlabAllocator, _ position: Position, _ bytes: ByteView) {
        let element = self[position]
        if element.count == bytes.count {
            UnsafeMutableRawPointer(mutating: element.base).copyMemory(from: bytes.base, byteCount: bytes.count)
            return
        }
        splice(
            slab, position, removing: CompactList.elementBytes(element.count),
            inserting: CompactList.elementBytes(bytes.count))
        write(position, bytes)
    }

    /// Removes `number` elements from the one at `position` on.
    mutating func remove(_ slab: SlabAllocator, _ position: Position, _ number: Int = 1) {
        var last = position
        for _ in 0..<number { last = next(last) }
        splice(slab, position, removing: last &- position, inserting: 0)
        count &-= number
    }

    @inline(__always) private func write(_ position: Position, _ bytes: ByteView) {
        var target = base + position
        if bytes.count < 253 {
            target.storeBytes(of: UInt8(truncatingIfNeeded: bytes.count), as: UInt8.self)
            target += 1
        } else if bytes.count <= 0xffff {
            target.storeBytes(of: 253, as: UInt8.self)
            target.storeBytes(of: UInt16(truncatingIfNeeded: bytes.count), toByteOffset: 1, as: UInt16.self)
            target += 3
        } else {
            target.storeBytes(of: 254, as: UInt8.self)
            target.storeBytes(of: UInt32(truncatingIfNeeded: bytes.count), toByteOffset: 1, as: UInt32.self)
            target += 5
        }
        memcpy(target, bytes.base, bytes.count)
    }

    /// Replaces `removed` bytes at `position` by `inserted` bytes still to be written, in another block when the size
    /// class changes.
    private mutating func splice(
        _ slab: SlabAllocator, _ position: Position, removing removed: Int, inserting inserted: Int
    ) {
        let used = usedBytes
        let newUsed = used &- removed &+ inserted
        precondition(newUsed <= CompactList.largestBytes, "a compact list outgrew its limit")
        let tail = CompactList.headerBytes &+ used &- position &- removed
        let oldBlock = CompactList.blockBytes(used)
        let newBlock = CompactList.blockBytes(newUsed)
        if oldBlock == newBlock {
            memmove(base + (position &+ inserted), base + (position &+ removed), tail)
        } else {
            let new = slab.allocate(newBlock)
            memcpy(new, base, position)
            memcpy(new + (position &+ inserted), base + (position &+ removed), tail)
            slab.free(base, oldBlock)
            base = new
        }
        usedBytes = newUsed
    }

    /// Traps when the lengths do not add up. For tests.
    func checkInvariants() {
        var position = start
        var found = 0
        while position < end {
            position = next(position)
            found += 1
        }
        precondition(position == end, "the last element ends beyond the list")
        precondition(found == count, "the list counts \(count), its elements are \(found)")
    }
}

/// Block sizes for structures that grow a little at a time and do not store their capacity: steps of 8 bytes up to
/// half a kilobyte, where a move is cheap, and of an eighth to a sixteenth of the size beyond.
@inline(__always) func steppedSize(_ bytes: Int) -> Int {
    if bytes <= 512 { return SlabAllocator.rounded(bytes) }
    let step = 1 &<< (60 &- bytes.leadingZeroBitCount)
    return (bytes &+ step &- 1) & ~(step &- 1)
}
