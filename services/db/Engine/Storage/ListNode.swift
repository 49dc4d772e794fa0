// One node of a list: a block of adjacent elements with room at either end.
//
// Layout, bytes: 0 previous node's address, 8 next node's, 16 bytes of the block, 32 bits, 20 number of elements, 24
// offset of the first element, 28 offset behind the last one; then free room, elements, free room. An element is its
// length, its bytes, and its length again, so that a node is walked from both ends. A length below 253 is one byte;
// longer ones are 16 or 32 bits behind (in front of, at the end) the byte 253 or 254.
// Room at both ends makes a push or a pop a few stores wherever it happens. Rejected: one gap in the middle (walks
// would have to jump it), a back-length for the whole node only (no walk from the tail without one from the head).
import ByteStorage
import CLinux

/// The two ends of a list.
enum ListEnd {
    case head, tail
}

struct ListNode: Equatable {
    let base: UnsafeMutableRawPointer

    static let headerBytes = 32
    /// Offsets are 32 bits.
    static let largestElement = 1 << 31

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always) init?(word: UInt) {
        guard let base = UnsafeMutableRawPointer(bitPattern: word) else { return nil }
        self.base = base
    }

    /// Allocates a node without elements and without neighbours; its first element goes to `start`.
    static func make(_ slab: SlabAllocator, capacity: Int, start: Int) -> ListNode {
        let node = ListNode(slab.allocate(capacity))
        node.previous = nil
        node.next = nil
        node.capacity = SlabAllocator.rounded(capacity)
        node.count = 0
        node.start = start
        node.end = start
        return node
    }

    func destroy(_ slab: SlabAllocator) { slab.free(base, capacity) }

    // MARK: Header

    @inline(__always) var previous: ListNode? {
        get { ListNode(word: base.load(as: UInt.self)) }
        nonmutating set { base.storeBytes(of: newValue.map { UInt(bitPattern: $0.base) } ?? 0, as: UInt.self) }
    }

    @inline(__always) var next: ListNode? {
        get { ListNode(word: base.load(fromByteOffset: 8, as: UInt.self)) }
        nonmutating set {
            base.storeBytes(of: newValue.map { UInt(bitPattern: $0.base) } ?? 0, toByteOffset: 8, as: UInt.self)
        }
    }

    @inline(__always) private func field(_ offset: Int) -> Int {
        Int(base.load(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always) private func setField(_ offset: Int, _ value: Int) {
        base.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: offset, as: UInt32.self)
    }

    /// Bytes of the block, header included.
    @inline(__always) var capacity: Int {
        get { field(16) }
        nonmutating set { setField(16, newValue) }
    }
    @inline(__always) var count: Int {
        get { field(20) }
        nonmutating set { setField(20, newValue) }
    }
    /// Offset of the first element.
    @inline(__always) var start: Int {
        get { field(24) }
        nonmutating set { setField(24, newValue) }
    }
    /// Offset behind the last element.
    @inline(__always) var end: Int {
        get { field(28) }
        nonmutating set { setField(28, newValue) }
    }

    @inline(__always) var used: Int { end &- start }
    /// Free bytes at both ends together.
    @inline(__always) var gap: Int { capacity &- ListNode.headerBytes &- used }
    @inline(__always) var frontGap: Int { start &- ListNode.headerBytes }
    @inline(__always) var backGap: Int { capacity &- end }

    // MARK: Elements

    /// The bytes that an element of `length` bytes takes.
    @inline(__always) static func encodedBytes(_ length: Int) -> Int {
        length < 253 ? length &+ 2 : length <= 0xffff ? length &+ 6 : length &+ 10
    }

    /// The element that begins at `offset`.
    @inline(__always) func element(_ offset: Int) -> ByteView {
        let first = base.load(fromByteOffset: offset, as: UInt8.self)
        if first < 253 { return ByteView(base + (offset &+ 1), Int(first)) }
        return longElement(offset)
    }

    @inline(never) private func longElement(_ offset: Int) -> ByteView {
        if base.load(fromByteOffset: offset, as: UInt8.self) == 253 {
            return ByteView(base + (offset + 3), Int(base.loadUnaligned(fromByteOffset: offset + 1, as: UInt16.self)))
        }
        return ByteView(base + (offset + 5), Int(base.loadUnaligned(fromByteOffset: offset + 1, as: UInt32.self)))
    }

    /// The bytes that the element beginning at `offset` takes.
    @inline(__always) func elementBytes(_ offset: Int) -> Int { ListNode.encodedBytes(element(offset).count) }

    /// The bytes that the element ending before `end` takes.
    @inline(__always) func elementBytes(endingAt end: Int) -> Int {
        let last = base.load(fromByteOffset: end &- 1, as: UInt8.self)
        if last < 253 { return Int(last) &+ 2 }
        if last == 253 { return Int(base.loadUnaligned(fromByteOffset: end &- 3, as: UInt16.self)) &+ 6 }
        return Int(base.loadUnaligned(fromByteOffset: end &- 5, as: UInt32.self)) &+ 10
    }

    /// Writes an element at `offset`, where there must be room.
    @inline(__always) func write(_ offset: Int, _ bytes: ByteView) {
        guard bytes.count < 253 else { return writeLong(offset, bytes) }
        let target = base + offset
        target.storeBytes(of: UInt8(truncatingIfNeeded: bytes.count), as: UInt8.self)
        memcpy(target + 1, bytes.base, bytes.count)
        target.storeBytes(of: UInt8(truncatingIfNeeded: bytes.count), toByteOffset: bytes.count &+ 1, as: UInt8.self)
    }

    @inline(never) private func writeLong(_ offset: Int, _ bytes: ByteView) {
        let target = base + offset
        let count = bytes.count
        if count <= 0xffff {
            target.storeBytes(of: 253, as: UInt8.self)
            target.storeBytes(of: UInt16(count), toByteOffset: 1, as: UInt16.self)
            memcpy(target + 3, bytes.base, count)
            target.storeBytes(of: UInt16(count), toByteOffset: count + 3, as: UInt16.self)
            target.storeBytes(of: 253, toByteOffset: count + 5, as: UInt8.self)
        } else {
            target.storeBytes(of: 254, as: UInt8.self)
            target.storeBytes(of: UInt32(count), toByteOffset: 1, as: UInt32.self)
            memcpy(target + 5, bytes.base, count)
            target.storeBytes(of: UInt32(count), toByteOffset: count + 5, as: UInt32.self)
            target.storeBytes(of: 254, toByteOffset: count + 9, as: UInt8.self)
        }
    }

    /// Where element number `index` begins; `count` gives `end`. Walks from the nearer end.
    func offset(of index: Int) -> Int {
        if index &* 2 <= count {
            var offset = start
            for _ in 0..<index { offset &+= elementBytes(offset) }
            return offset
        }
        var offset = end
        for _ in index..<count { offset &-= elementBytes(endingAt: offset) }
        return offset
    }

    // MARK: Room

    /// Moves the elements within the block.
    func slide(to newStart: Int) {
        let used = used
        memmove(base + newStart, base + start, used)
        start = newStart
        end = newStart &+ used
    }

    /// Opens `bytes` bytes in front of `offset`; they count as used from then on. The gap must be large enough.
    ///
    /// - Returns: where the opened room begins.
    func openRoom(_ offset: Int, _ bytes: Int) -> Int {
        let front = offset &- start
        let back = end &- offset
        if backGap >= bytes && (back <= front || frontGap < bytes) {
            memmove(base + (offset &+ bytes), base + offset, back)
            end &+= bytes
            return offset
        }
        if frontGap >= bytes {
            memmove(base + (start &- bytes), base + start, front)
            start &-= bytes
            return offset &- bytes
        }
        // Neither end has enough: both parts move, and what is left is shared between the ends.
        slide(to: ListNode.headerBytes)
        let place = ListNode.headerBytes &+ front
        memmove(base + (place &+ bytes), base + place, back)
        end &+= bytes
        return place
    }

    /// Closes the gap that the `bytes` bytes at `offset` leave, moving the smaller part.
    ///
    /// - Returns: where the element behind them begins now.
    func closeRoom(_ offset: Int, _ bytes: Int) -> Int {
        let front = offset &- start
        let back = end &- offset &- bytes
        if back <= front {
            memmove(base + offset, base + (offset &+ bytes), back)
            end &-= bytes
            return offset
        }
        memmove(base + (start &+ bytes), base + start, front)
        start &+= bytes
        return offset &+ bytes
    }

    /// Traps when the elements do not add up from either end. For tests.
    func checkInvariants() {
        precondition(start >= ListNode.headerBytes && start <= end && end <= capacity, "elements outside the block")
        var offset = start
        var starts: [Int] = []
        while offset < end {
            starts.append(offset)
            offset += elementBytes(offset)
        }
        precondition(offset == end && starts.count == count, "a node counts \(count), its elements are \(starts.count)")
        while let expected = starts.popLast() {
            offset -= elementBytes(endingAt: offset)
            precondition(offset == expected, "the lengths of an element differ")
        }
    }
}
