// Walking a list, and changing it anywhere but at its ends.
//
// An insertion into a full node splits it, the smaller part going to a new block; small neighbours are merged after
// insertions and removals, so that a list does not end up as many nearly empty nodes whatever a client does to it.
import ByteStorage
import CLinux

/// The place of an element. Valid until the list changes.
struct ListCursor {
    var node: ListNode
    var offset: Int

    @inline(__always) var element: ByteView { node.element(offset) }

    /// Goes to the next element; false at the end, then the cursor stays.
    @inline(__always) mutating func moveForward() -> Bool {
        let following = offset &+ node.elementBytes(offset)
        if following < node.end {
            offset = following
            return true
        }
        guard let next = node.next else { return false }
        node = next
        offset = next.start
        return true
    }

    /// Goes to the element before; false at the head, then the cursor stays.
    @inline(__always) mutating func moveBackward() -> Bool {
        if offset > node.start {
            offset &-= node.elementBytes(endingAt: offset)
            return true
        }
        guard let previous = node.previous else { return false }
        node = previous
        offset = previous.end &- previous.elementBytes(endingAt: previous.end)
        return true
    }
}

extension ListValue {
    // MARK: Walks

    /// The first or last element; nil when the list is empty.
    func cursor(_ end: ListEnd) -> ListCursor? {
        guard let node = self.end(end) else { return nil }
        return ListCursor(
            node: node, offset: end == .head ? node.start : node.end &- node.elementBytes(endingAt: node.end))
    }

    /// Element number `index`; nil when there is none. Skips whole nodes from the nearer end.
    func cursor(at index: Int) -> ListCursor? {
        guard index >= 0, index < count else { return nil }
        if index &* 2 < count {
            var rest = index
            var node = head
            while let current = node {
                if rest < current.count { return ListCursor(node: current, offset: current.offset(of: rest)) }
                rest &-= current.count
                node = current.next
            }
            return nil
        }
        var rest = count &- index
        var node = tail
        while let current = node {
            if rest <= current.count {
                return ListCursor(node: current, offset: current.offset(of: current.count &- rest))
            }
            rest &-= current.count
            node = current.previous
        }
        return nil
    }

    /// Calls `body` with up to `number` elements from `index` on.
    @inline(__always) func forEach(from index: Int = 0, _ number: Int, _ body: (ByteView) -> Void) {
        guard number > 0, let first = cursor(at: index) else { return }
        var node = first.node
        var offset = first.offset
        var left = number
        while true {
            let end = node.end
            while offset < end {
                let element = node.element(offset)
                body(element)
                left &-= 1
                if left == 0 { return }
                offset &+= ListNode.encodedBytes(element.count)
            }
            guard let next = node.next else { return }
            node = next
            offset = next.start
        }
    }

    /// Calls `body` with up to `number` elements from the last one backwards.
    @inline(__always) func forEachBackwards(_ number: Int, _ body: (ByteView) -> Void) {
        guard number > 0, var cursor = cursor(.tail) else { return }
        var left = number
        repeat {
            body(cursor.element)
            left &-= 1
        } while left > 0 && cursor.moveBackward()
    }

    // MARK: Changes. `bytes` must not lie inside this list: its blocks move.

    /// Puts an element in front of the one at `cursor`, or behind it.
    func insert(_ slab: SlabAllocator, _ limits: ListLimits, _ bytes: ByteView, _ cursor: ListCursor, after: Bool) {
        let offset = after ? cursor.offset + cursor.node.elementBytes(cursor.offset) : cursor.offset
        insert(slab, limits, bytes, cursor.node, offset)
        count += 1
    }

    /// Writes an element at `offset` of `node` or in a neighbour there. Leaves `count` alone.
    private func insert(
        _ slab: SlabAllocator, _ limits: ListLimits, _ bytes: ByteView, _ node: ListNode, _ offset: Int
    ) {
        let needed = ListNode.encodedBytes(bytes.count)
        if limits.allow(node, adding: needed) {
            place(slab, bytes, node, offset)
            return
        }
        if offset == node.start {
            if let previous = node.previous, limits.allow(previous, adding: needed) {
                place(slab, bytes, previous, previous.end)
                return
            }
            return insertNode(slab, bytes, after: node.previous)
        }
        if offset == node.end {
            if let next = node.next, limits.allow(next, adding: needed) {
                place(slab, bytes, next, next.start)
                return
            }
            return insertNode(slab, bytes, after: node)
        }
        var (left, right) = split(slab, node, offset)
        if limits.allow(left, adding: needed) {
            left = place(slab, bytes, left, left.end)
        } else if limits.allow(right, adding: needed) {
            right = place(slab, bytes, right, right.start)
        } else {
            insertNode(slab, bytes, after: left)
        }
        if let previous = left.previous { mergeIfSmall(slab, limits, previous, left) }
        if let next = right.next { mergeIfSmall(slab, limits, right, next) }
    }

    private func insertNode(_ slab: SlabAllocator, _ bytes: ByteView, after previous: ListNode?) {
        let needed = ListNode.encodedBytes(bytes.count)
        let node = ListNode.make(slab, capacity: ListNode.headerBytes + needed, start: ListNode.headerBytes)
        node.write(node.start, bytes)
        node.end = node.start + needed
        node.count = 1
        link(node, after: previous)
    }

    /// Writes an element at `offset` of `node`, in a larger block if need be.
    @discardableResult
    private func place(_ slab: SlabAllocator, _ bytes: ByteView, _ node: ListNode, _ offset: Int) -> ListNode {
        let needed = ListNode.encodedBytes(bytes.count)
        let (node, offset) = withGap(slab, node, offset, needed)
        node.write(node.openRoom(offset, needed), bytes)
        node.count += 1
        return node
    }

    /// The node with at least `needed` bytes free, and where `offset` is in it now.
    private func withGap(_ slab: SlabAllocator, _ node: ListNode, _ offset: Int, _ needed: Int) -> (ListNode, Int) {
        guard node.gap < needed else { return (node, offset) }
        let front = offset - node.start
        // A quarter more than needed, so that a run of insertions does not copy the block each time.
        let capacity = SlabAllocator.rounded(ListNode.headerBytes + node.used + needed + (node.used + needed) / 4)
        let new = resize(slab, node, capacity, start: ListNode.headerBytes)
        return (new, new.start + front)
    }

    /// Divides a node in front of `offset`, which is neither its start nor its end.
    private func split(_ slab: SlabAllocator, _ node: ListNode, _ offset: Int) -> (ListNode, ListNode) {
        var front = 0
        var position = node.start
        while position < offset {
            position += node.elementBytes(position)
            front += 1
        }
        let movesFront = offset - node.start < node.end - offset
        let from = movesFront ? node.start : offset
        let bytes = movesFront ? offset - node.start : node.end - offset
        let new = ListNode.make(slab, capacity: ListNode.headerBytes + bytes, start: ListNode.headerBytes)
        memcpy(new.base + new.start, node.base + from, bytes)
        new.end = new.start + bytes
        new.count = movesFront ? front : node.count - front
        node.count -= new.count
        if movesFront {
            node.start = offset
            link(new, after: node.previous)
            return (new, node)
        }
        node.end = offset
        link(new, after: node)
        return (node, new)
    }

    /// Makes one node of two neighbours that fill half a node together at most.
    ///
    /// - Returns: whether that was done: then neither is valid any more.
    @discardableResult
    private func mergeIfSmall(
        _ slab: SlabAllocator, _ limits: ListLimits, _ first: ListNode, _ second: ListNode
    ) -> Bool {
        guard first.used + second.used <= limits.payload / 2, first.count + second.count <= limits.entries else {
            return false
        }
        let bytes = second.used
        let (node, offset) = withGap(slab, first, first.end, bytes)
        let place = node.openRoom(offset, bytes)
        memcpy(node.base + place, second.base + second.start, bytes)
        node.count += second.count
        unlink(slab, second)
        return true
    }

    /// Replaces the element at `cursor`.
    func replace(_ slab: SlabAllocator, _ limits: ListLimits, _ bytes: ByteView, _ cursor: ListCursor) {
        let node = cursor.node
        let old = node.elementBytes(cursor.offset)
        let needed = ListNode.encodedBytes(bytes.count)
        if old == needed { return node.write(cursor.offset, bytes) }
        if node.count == 1 {
            insertNode(slab, bytes, after: node)
            return unlink(slab, node)
        }
        let offset = node.closeRoom(cursor.offset, old)
        node.count -= 1
        if limits.allow(node, adding: needed) {
            shrinkIfSparse(slab, place(slab, bytes, node, offset))
        } else {
            insert(slab, limits, bytes, node, offset)
        }
    }

    /// Removes up to `limit` elements equal to `bytes`, from the head on or from the tail.
    ///
    /// Each node is compacted in one pass, so the cost is linear however many elements match.
    /// - Returns: how many were removed.
    func removeAll(
        _ slab: SlabAllocator, _ limits: ListLimits, equalTo bytes: ByteView, atMost limit: Int, from end: ListEnd
    ) -> Int {
        var removed = 0
        var next = self.end(end)
        while let node = next, removed < limit {
            next = end == .head ? node.next : node.previous
            let found =
                end == .head
                ? compactForwards(node, bytes, limit - removed) : compactBackwards(node, bytes, limit - removed)
            guard found > 0 else { continue }
            removed += found
            count -= found
            node.count -= found
            if node.count == 0 {
                unlink(slab, node)
                continue
            }
            // Merge towards the side already walked, so that `next` stays what it is.
            let isMerged: Bool
            if end == .head {
                isMerged = node.previous.map { mergeIfSmall(slab, limits, $0, node) } ?? false
            } else {
                isMerged = node.next.map { mergeIfSmall(slab, limits, node, $0) } ?? false
            }
            if !isMerged { shrinkIfSparse(slab, node) }
        }
        return removed
    }

    /// Drops matching elements of a node, moving the others towards its start. Leaves the counts alone.
    private func compactForwards(_ node: ListNode, _ bytes: ByteView, _ limit: Int) -> Int {
        var read = node.start
        var write = read
        var found = 0
        while read < node.end {
            let element = node.element(read)
            let size = ListNode.encodedBytes(element.count)
            if found < limit, element == bytes {
                found += 1
            } else {
                if write != read { memmove(node.base + write, node.base + read, size) }
                write += size
            }
            read += size
        }
        node.end = write
        return found
    }

    /// The same from the last element on, moving the others towards the node's end.
    private func compactBackwards(_ node: ListNode, _ bytes: ByteView, _ limit: Int) -> Int {
        var read = node.end
        var write = read
        var found = 0
        while read > node.start {
            let size = node.elementBytes(endingAt: read)
            read -= size
            if found < limit, node.element(read) == bytes {
                found += 1
            } else {
                write -= size
                if write != read { memmove(node.base + write, node.base + read, size) }
            }
        }
        node.start = write
        return found
    }
}
