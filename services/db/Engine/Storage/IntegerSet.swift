// A set of integers: sorted, without duplicates, each in 2, 4 or 8 bytes, in one block.
//
// Sets of identifiers are common and half of a table's memory is pointers: sorted integers take a twentieth of it and
// are searched by halving. All elements have the width of the widest one that the set ever had.
//
// Layout, bytes: 0 count, 32 bits; 4 width in bytes, 32 bits; 8 elements, little-endian. The block's size follows from
// count and width (`steppedSize`).
import ByteStorage
import CLinux

struct IntegerSet {
    private(set) var base: UnsafeMutableRawPointer

    static let headerBytes = 8

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static func make(_ slab: SlabAllocator) -> IntegerSet {
        let base = slab.allocate(headerBytes)
        base.storeBytes(of: 0, as: UInt32.self)
        base.storeBytes(of: 2, toByteOffset: 4, as: UInt32.self)
        return IntegerSet(base)
    }

    func duplicate(_ slab: SlabAllocator) -> IntegerSet {
        let copy = slab.allocate(blockBytes)
        copy.copyMemory(from: base, byteCount: IntegerSet.headerBytes + count * width)
        return IntegerSet(copy)
    }

    func destroy(_ slab: SlabAllocator) { slab.free(base, blockBytes) }

    @inline(__always) private(set) var count: Int {
        get { Int(base.load(as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(truncatingIfNeeded: newValue), as: UInt32.self) }
    }

    @inline(__always) private var width: Int { Int(base.load(fromByteOffset: 4, as: UInt32.self)) }
    var blockBytes: Int { steppedSize(IntegerSet.headerBytes &+ count &* width) }

    /// The element number `index` in ascending order.
    @inline(__always) subscript(_ index: Int) -> Int64 {
        let offset = IntegerSet.headerBytes &+ index &* width
        switch width {
        case 2: return Int64(base.load(fromByteOffset: offset, as: Int16.self))
        case 4: return Int64(base.load(fromByteOffset: offset, as: Int32.self))
        default: return base.load(fromByteOffset: offset, as: Int64.self)
        }
    }

    @inline(__always) private func store(_ index: Int, _ value: Int64) {
        let offset = IntegerSet.headerBytes &+ index &* width
        switch width {
        case 2: base.storeBytes(of: Int16(truncatingIfNeeded: value), toByteOffset: offset, as: Int16.self)
        case 4: base.storeBytes(of: Int32(truncatingIfNeeded: value), toByteOffset: offset, as: Int32.self)
        default: base.storeBytes(of: value, toByteOffset: offset, as: Int64.self)
        }
    }

    private static func width(_ value: Int64) -> Int {
        if Int16(exactly: value) != nil { return 2 }
        return Int32(exactly: value) != nil ? 4 : 8
    }

    /// The number of elements below `value`.
    @inline(__always) private func rank(_ value: Int64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) >> 1
            if self[middle] < value { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    @inline(__always) func contains(_ value: Int64) -> Bool {
        let index = rank(value)
        return index < count && self[index] == value
    }

    /// - Returns: whether it was not there yet.
    mutating func insert(_ slab: SlabAllocator, _ value: Int64) -> Bool {
        if IntegerSet.width(value) > width { widen(slab, IntegerSet.width(value)) }
        let index = rank(value)
        if index < count && self[index] == value { return false }
        resize(slab, at: index, by: 1)
        store(index, value)
        return true
    }

    /// - Returns: whether it was there.
    mutating func remove(_ slab: SlabAllocator, _ value: Int64) -> Bool {
        let index = rank(value)
        guard index < count && self[index] == value else { return false }
        resize(slab, at: index, by: -1)
        return true
    }

    /// Makes room for an element before number `index`, or takes that element away.
    private mutating func resize(_ slab: SlabAllocator, at index: Int, by change: Int) {
        let width = width
        let head = IntegerSet.headerBytes + index * width
        let from = change < 0 ? head + width : head
        let to = change < 0 ? head : head + width
        let tail = IntegerSet.headerBytes + count * width - from
        let oldBlock = blockBytes
        let newBlock = steppedSize(IntegerSet.headerBytes + (count + change) * width)
        if oldBlock == newBlock {
            memmove(base + to, base + from, tail)
        } else {
            let new = slab.allocate(newBlock)
            memcpy(new, base, head)
            memcpy(new + to, base + from, tail)
            slab.free(base, oldBlock)
            base = new
        }
        count += change
    }

    private mutating func widen(_ slab: SlabAllocator, _ newWidth: Int) {
        let count = count
        let wide = IntegerSet(slab.allocate(steppedSize(IntegerSet.headerBytes + count * newWidth)))
        wide.base.storeBytes(of: UInt32(truncatingIfNeeded: count), as: UInt32.self)
        wide.base.storeBytes(of: UInt32(truncatingIfNeeded: newWidth), toByteOffset: 4, as: UInt32.self)
        for index in 0..<count { wide.store(index, self[index]) }
        destroy(slab)
        base = wide.base
    }

    /// Traps when the order is damaged. For tests.
    func checkInvariants() {
        for index in 1..<max(1, count) { precondition(self[index - 1] < self[index], "integers out of order") }
    }
}
