// A list: a header and a chain of nodes, each a block of adjacent elements.
//
// The problem: pushes and pops at both ends in constant time, little memory an element, and access by index that need
// not walk every element. A chain of blocks of some kilobytes gives all three: ends are blocks with room at both ends
// (`ListNode`), an index skips whole blocks. A small list is one small block that grows by halves of its size; an
// element larger than a block's limit gets a block of its own.
// Rejected: one array of pointers (16 bytes and more an element, one block each); a growable ring of bytes (inserting
// in the middle of a long list moves half of it).
//
// Header, bytes: 0 first node's address, 8 last node's, 16 number of elements, 24 number of nodes.
// Invariants (`checkInvariants`): the chain is the same in both directions; no node is empty; the counts add up.
import ByteStorage
import CLinux

/// How large a node may become: the setting `list-max-listpack-size`.
struct ListLimits {
    /// Bytes of a node's block, header included.
    let blockBytes: Int
    let entries: Int

    /// - Parameter setting: positive: elements a node, and at most 8 KiB; -1 to -5: 4, 8, 16, 32, 64 KiB a node.
    @inline(__always) init(setting: Int) {
        if setting < 0 {
            blockBytes = 4096 &<< (min(5, 0 &- max(setting, -5)) &- 1)
            entries = .max
        } else {
            blockBytes = 8192
            entries = max(1, setting)
        }
    }

    /// Bytes of elements that fit into a node.
    @inline(__always) var payload: Int { blockBytes &- ListNode.headerBytes }

    @inline(__always) func allow(_ node: ListNode, adding bytes: Int, entries added: Int = 1) -> Bool {
        node.used &+ bytes <= payload && node.count &+ added <= entries
    }
}

struct ListValue {
    let base: UnsafeMutableRawPointer

    static let headerBytes = 32
    /// What a node of a longer list starts with.
    private static let firstBlockBytes = 1024
    /// Blocks up to this size are not worth shrinking.
    private static let smallBlockBytes = 256

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static func make(_ slab: SlabAllocator) -> ListValue {
        let list = ListValue(slab.allocate(headerBytes))
        list.base.initializeMemory(as: UInt64.self, repeating: 0, count: 4)
        return list
    }

    func destroy(_ slab: SlabAllocator) {
        var budget = Int.max
        _ = destroyNodes(slab, budget: &budget)
    }

    /// Frees up to `budget` nodes of a list that nobody uses any more, and with the last one the list.
    ///
    /// - Returns: whether all is freed.
    func destroyNodes(_ slab: SlabAllocator, budget: inout Int) -> Bool {
        while let node = head {
            guard budget > 0 else { return false }
            budget -= 1
            head = node.next
            node.destroy(slab)
        }
        slab.free(base, ListValue.headerBytes)
        return true
    }

    /// A list with the same elements, in blocks without free room.
    func duplicate(_ slab: SlabAllocator) -> ListValue {
        let copy = ListValue.make(slab)
        var source = head
        while let node = source {
            let new = ListNode.make(
                slab, capacity: ListNode.headerBytes + node.used, start: ListNode.headerBytes)
            memcpy(new.base + new.start, node.base + node.start, node.used)
            new.end = new.start + node.used
            new.count = node.count
            copy.link(new, after: copy.tail)
            source = node.next
        }
        copy.count = count
        return copy
    }

    // MARK: Header

    @inline(__always) var head: ListNode? {
        get { ListNode(word: base.load(as: UInt.self)) }
        nonmutating set { base.storeBytes(of: newValue.map { UInt(bitPattern: $0.base) } ?? 0, as: UInt.self) }
    }
    @inline(__always) var tail: ListNode? {
        get { ListNode(word: base.load(fromByteOffset: 8, as: UInt.self)) }
        nonmutating set {
            base.storeBytes(of: newValue.map { UInt(bitPattern: $0.base) } ?? 0, toByteOffset: 8, as: UInt.self)
        }
    }
    @inline(__always) var count: Int {
        get { base.load(fromByteOffset: 16, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 16, as: Int.self) }
    }
    @inline(__always) private(set) var nodeCount: Int {
        get { base.load(fromByteOffset: 24, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 24, as: Int.self) }
    }

    @inline(__always) func end(_ end: ListEnd) -> ListNode? { end == .head ? head : tail }

    // MARK: Both ends

    /// Adds an element at `end`. `bytes` must not lie inside this list: its blocks move.
    @inline(__always) func push(_ slab: SlabAllocator, _ limits: ListLimits, _ bytes: ByteView, _ end: ListEnd) {
        let needed = ListNode.encodedBytes(bytes.count)
        if end == .tail {
            let node: ListNode
            if let tail, tail.backGap >= needed, tail.count < limits.entries {
                node = tail
            } else {
                node = makeRoom(slab, limits, needed, .tail)
            }
            node.write(node.end, bytes)
            node.end &+= needed
            node.count &+= 1
        } else {
            let node: ListNode
            if let head, head.frontGap >= needed, head.count < limits.entries {
                node = head
            } else {
                node = makeRoom(slab, limits, needed, .head)
            }
            node.start &-= needed
            node.write(node.start, bytes)
            node.count &+= 1
        }
        count &+= 1
    }

    /// The node at `end` with `needed` bytes free at that end: with its elements moved, in a larger block, or a new
    /// one.
    @inline(never)
    private func makeRoom(_ slab: SlabAllocator, _ limits: ListLimits, _ needed: Int, _ end: ListEnd) -> ListNode {
        if let node = self.end(end), limits.allow(node, adding: needed) {
            // Moving the elements pays when it frees at least a quarter of their size: constant time a push on average.
            let gap = node.gap
            if gap >= needed, gap &* 4 >= node.used {
                let share = max(needed, gap / 2)
                node.slide(to: ListNode.headerBytes &+ (end == .head ? share : gap &- share))
                return node
            }
            let ample = SlabAllocator.rounded(ListNode.headerBytes &+ (node.used &+ needed) &* 3 / 2)
            let wanted = min(limits.blockBytes, ample)
            if wanted > node.capacity {
                return resize(slab, node, wanted, start: end == .tail ? ListNode.headerBytes : wanted &- node.used)
            }
        }
        let new = ListNode.make(slab, capacity: newBlockBytes(limits, needed), start: ListNode.headerBytes)
        if end == .tail {
            link(new, after: tail)
        } else {
            new.start = new.capacity
            new.end = new.capacity
            link(new, after: nil)
        }
        return new
    }

    /// Bytes of a block for a new node: exact for a list of one element, room for some more in a longer list.
    private func newBlockBytes(_ limits: ListLimits, _ needed: Int) -> Int {
        let exact = ListNode.headerBytes &+ needed
        guard nodeCount > 0, exact < limits.blockBytes else { return SlabAllocator.rounded(exact) }
        let expected = ListNode.headerBytes &+ needed &* min(limits.entries, ListValue.firstBlockBytes)
        return SlabAllocator.rounded(max(exact, min(ListValue.firstBlockBytes, expected, limits.blockBytes)))
    }

    /// The first or last element. The list must not be empty.
    @inline(__always) func peek(_ end: ListEnd) -> ByteView {
        guard let node = self.end(end) else { return ByteView("") }
        return node.element(end == .head ? node.start : node.end &- node.elementBytes(endingAt: node.end))
    }

    /// Removes the first or last element. The list must not be empty.
    @inline(__always) func removeOne(_ slab: SlabAllocator, _ end: ListEnd) {
        guard let node = self.end(end) else { return }
        if end == .head {
            node.start &+= node.elementBytes(node.start)
        } else {
            node.end &-= node.elementBytes(endingAt: node.end)
        }
        node.count &-= 1
        count &-= 1
        if node.count == 0 {
            unlink(slab, node)
        } else if nodeCount == 1 {
            shrinkIfSparse(slab, node)
        }
    }

    /// Removes `number` elements, at most `count`, from `end` on. Whole nodes go without being walked.
    func remove(_ slab: SlabAllocator, _ number: Int, from end: ListEnd) {
        var left = number
        while left > 0, let node = self.end(end) {
            if node.count <= left {
                left -= node.count
                count -= node.count
                unlink(slab, node)
                continue
            }
            if end == .head {
                node.start = node.offset(of: left)
            } else {
                node.end = node.offset(of: node.count - left)
            }
            node.count -= left
            count -= left
            left = 0
            shrinkIfSparse(slab, node)
        }
    }

    // MARK: Nodes

    /// Puts a node behind `previous`; nil: at the head.
    func link(_ node: ListNode, after previous: ListNode?) {
        let next = previous == nil ? head : previous?.next
        node.previous = previous
        node.next = next
        if let previous { previous.next = node } else { head = node }
        if let next { next.previous = node } else { tail = node }
        nodeCount &+= 1
    }

    /// Takes a node out of the chain and frees it. Its elements must have been taken off `count`.
    func unlink(_ slab: SlabAllocator, _ node: ListNode) {
        if let previous = node.previous { previous.next = node.next } else { head = node.next }
        if let next = node.next { next.previous = node.previous } else { tail = node.previous }
        nodeCount &-= 1
        node.destroy(slab)
    }

    /// Moves a node to a block of `capacity` bytes, its elements at `start`.
    func resize(_ slab: SlabAllocator, _ node: ListNode, _ capacity: Int, start: Int) -> ListNode {
        let new = ListNode.make(slab, capacity: capacity, start: start)
        let used = node.used
        memcpy(new.base + start, node.base + node.start, used)
        new.end = start &+ used
        new.count = node.count
        new.previous = node.previous
        new.next = node.next
        if let previous = node.previous { previous.next = new } else { head = new }
        if let next = node.next { next.previous = new } else { tail = new }
        node.destroy(slab)
        return new
    }

    /// Gives memory back when less than an eighth of a block is used.
    @inline(__always) func shrinkIfSparse(_ slab: SlabAllocator, _ node: ListNode) {
        if node.capacity > ListValue.smallBlockBytes && node.used &* 8 < node.capacity { shrink(slab, node) }
    }

    @inline(never) private func shrink(_ slab: SlabAllocator, _ node: ListNode) {
        let capacity = SlabAllocator.rounded(ListNode.headerBytes + node.used * 2)
        let gap = capacity - ListNode.headerBytes - node.used
        _ = resize(slab, node, capacity, start: ListNode.headerBytes + gap / 2)
    }

    // MARK: Measures

    /// Whether one node within the limits holds everything.
    func isCompact(_ limits: ListLimits) -> Bool {
        guard nodeCount == 1, let head else { return nodeCount == 0 }
        return head.used <= limits.payload && head.count <= limits.entries
    }

    /// Bytes of header and nodes, these estimated from the first `samples`; 0: all.
    func memoryUsage(samples: Int) -> Int {
        var seen = 0
        var bytes = 0
        var node = head
        while let current = node, samples == 0 || seen < samples {
            bytes += current.capacity
            seen += 1
            node = current.next
        }
        return ListValue.headerBytes + (seen == 0 ? 0 : bytes * nodeCount / seen)
    }

    /// Traps when the structure is damaged. For tests.
    func checkInvariants() {
        var elements = 0
        var nodes = 0
        var previous: ListNode?
        var node = head
        while let current = node {
            precondition(current.previous == previous, "a node's link back is wrong")
            precondition(current.count > 0, "an empty node")
            current.checkInvariants()
            elements += current.count
            nodes += 1
            previous = current
            node = current.next
        }
        precondition(tail == previous, "the last node is not the tail")
        precondition(elements == count, "the list counts \(count), its elements are \(elements)")
        precondition(nodes == nodeCount, "the list counts \(nodeCount) nodes, there are \(nodes)")
    }
}
