// The order of a large sorted set: a B+ tree over (score, member) that knows ranks.
//
// Leaves hold score and entry address of up to 30 members and are linked both ways; branches hold for each of up to 15
// children its least key, its address and how many members lie below it, so that insertion, removal, rank, the member
// at a rank and any bound are found in O(log n), about four nodes for a million members. Members are compared only
// where scores are equal, so most searches never leave the nodes. Nodes are of one slab class (`OrderedNode`). Rejected: a
// skip list with spans (a node a member, 40 to 60 bytes each against 20 here, and a cache miss a step).
//
// Invariants (`checkInvariants`): keys ascend strictly; a branch item's key is its child's first key and its size the
// number of members below; no node but a lone root leaf is empty; all leaves have the same depth.
import ByteStorage

struct OrderedIndex {
    struct State {
        var root: UnsafeMutableRawPointer
        /// 0: the root is a leaf.
        var height = 0
        var count = 0
        var nodeCount = 1
        let slab: SlabAllocator
    }

    let state: UnsafeMutablePointer<State>

    @inline(__always) init(state: UnsafeMutablePointer<State>) { self.state = state }

    static func makeState(_ slab: SlabAllocator) -> State {
        State(root: OrderedNode.make(slab, isLeaf: true).base, slab: slab)
    }

    private var slab: SlabAllocator { state.pointee.slab }
    @inline(__always) var count: Int { state.pointee.count }
    var nodeBytes: Int { state.pointee.nodeCount * OrderedNode.bytes }

    private func makeNode(isLeaf: Bool) -> OrderedNode {
        state.pointee.nodeCount += 1
        return OrderedNode.make(slab, isLeaf: isLeaf)
    }

    private func free(_ node: OrderedNode) {
        state.pointee.nodeCount -= 1
        slab.free(node.base, OrderedNode.bytes)
    }

    /// A node that nothing points to any more, with all below it.
    struct Subtree {
        let node: UnsafeMutableRawPointer
        let height: Int
    }

    var whole: Subtree { Subtree(node: state.pointee.root, height: state.pointee.height) }

    /// Frees up to `budget` nodes of the subtrees, the entries not; takes them off the list and from the budget.
    static func free(_ slab: SlabAllocator, _ subtrees: inout [Subtree], budget: inout Int) {
        while budget > 0, let subtree = subtrees.popLast() {
            let node = OrderedNode(subtree.node, subtree.height)
            if subtree.height > 0 {
                for index in 0..<node.count {
                    subtrees.append(Subtree(node: node.child(index), height: subtree.height - 1))
                }
            }
            slab.free(node.base, OrderedNode.bytes)
            budget -= 1
        }
    }

    /// Frees the nodes, not the entries.
    func destroy() { destroy(OrderedNode(state.pointee.root, state.pointee.height), state.pointee.height) }

    private func destroy(_ node: OrderedNode, _ height: Int) {
        if height > 0 {
            for index in 0..<node.count { destroy(OrderedNode(node.child(index), height - 1), height - 1) }
        }
        free(node)
    }

    // MARK: Search

    /// The number of members from the first on for which `isBefore` is true; it must be true for a prefix only.
    @inline(__always) func prefix(_ isBefore: (Double, Entry) -> Bool) -> Int {
        var height = state.pointee.height
        var node = OrderedNode(state.pointee.root, height)
        var total = 0
        while height > 0 {
            let index = max(0, node.partition { isBefore(node.score($0), node.entry($0)) } &- 1)
            for before in 0..<index { total &+= node.size(before) }
            height &-= 1
            node = OrderedNode(node.child(index), height)
        }
        return total &+ node.partition { isBefore(node.score($0), node.entry($0)) }
    }

    func rank(_ score: Double, _ member: ByteView) -> Int {
        var height = state.pointee.height
        var node = OrderedNode(state.pointee.root, height)
        var total = 0
        while height > 0 {
            let index = node.childIndex(score, member)
            for before in 0..<index { total &+= node.size(before) }
            height &-= 1
            node = OrderedNode(node.child(index), height)
        }
        return total &+ node.lowerBound(score, member)
    }

    /// A member's place: valid until the index changes.
    struct Cursor {
        fileprivate var node: OrderedNode
        fileprivate var index: Int

        var score: Double { node.score(index) }
        var entry: Entry { node.entry(index) }

        /// - Returns: false at the end; then the cursor is not to be used any more.
        mutating func advance() -> Bool {
            index &+= 1
            if index < node.count { return true }
            guard let next = node.next else { return false }
            node = OrderedNode(next, 0)
            index = 0
            return true
        }

        mutating func retreat() -> Bool {
            index &-= 1
            if index >= 0 { return true }
            guard let previous = node.previous else { return false }
            node = OrderedNode(previous, 0)
            index = node.count &- 1
            return true
        }
    }

    /// The member of that rank, which must be less than `count`.
    func cursor(_ rank: Int) -> Cursor {
        precondition(rank >= 0 && rank < count, "a rank beyond the sorted set")
        var rest = rank
        var height = state.pointee.height
        var node = OrderedNode(state.pointee.root, height)
        while height > 0 {
            var index = 0
            while rest >= node.size(index) {
                rest &-= node.size(index)
                index &+= 1
            }
            height &-= 1
            node = OrderedNode(node.child(index), height)
        }
        return Cursor(node: node, index: rest)
    }

    // MARK: Change

    /// Adds a member that is not in the index.
    func insert(_ score: Double, _ entry: Entry) {
        let height = state.pointee.height
        state.pointee.count += 1
        let left = OrderedNode(state.pointee.root, height)
        guard let right = insert(left, height, score, entry) else { return }
        let root = makeNode(isLeaf: false)
        root.setItem(0, left)
        root.setItem(1, right)
        root.count = 2
        state.pointee.root = root.base
        state.pointee.height = height + 1
    }

    /// - Returns: the new right neighbour of `node` when it had to be split.
    private func insert(_ node: OrderedNode, _ height: Int, _ score: Double, _ entry: Entry) -> OrderedNode? {
        if height == 0 {
            let (target, index, right) = makeRoom(node, node.lowerBound(score, entry.key))
            target.setKey(index, score, entry)
            return right
        }
        let index = node.childIndex(score, entry.key)
        let child = OrderedNode(node.child(index), height - 1)
        child.prefetch()
        guard let split = insert(child, height - 1, score, entry) else {
            node.childChanged(index, child, by: 1)
            return nil
        }
        node.setItem(index, child)
        let (target, place, right) = makeRoom(node, index + 1)
        target.setItem(place, split)
        return right
    }

    /// Makes room for an item at `index`, splitting a full node.
    ///
    /// - Returns: the node and the index of the room, and the new right neighbour if there is one.
    private func makeRoom(_ node: OrderedNode, _ index: Int) -> (OrderedNode, Int, OrderedNode?) {
        if node.count < node.capacity {
            node.openGap(index)
            return (node, index, nil)
        }
        let right = makeNode(isLeaf: node.isLeaf)
        if node.isLeaf {
            right.link(previous: node.base, next: node.next)
            if let next = node.next { OrderedNode(next, 0).previous = right.base }
            node.next = right.base
        }
        // Appending is the common order (timestamps): leave the left node full then, otherwise halve it.
        let kept = index == node.count ? node.count : node.count / 2
        right.take(node, from: kept, count: node.count - kept, at: 0)
        right.count = node.count - kept
        node.count = kept
        if index <= kept && kept < node.capacity {
            node.openGap(index)
            return (node, index, right)
        }
        right.openGap(index - kept)
        return (right, index - kept, right)
    }

    /// Removes a member that is in the index with that score.
    func remove(_ score: Double, _ entry: Entry) {
        state.pointee.count -= 1
        remove(OrderedNode(state.pointee.root, state.pointee.height), state.pointee.height, score, entry)
        while state.pointee.height > 0 {
            let root = OrderedNode(state.pointee.root, state.pointee.height)
            guard root.count == 1 else { return }
            state.pointee.root = root.child(0)
            state.pointee.height -= 1
            free(root)
        }
    }

    private func remove(_ node: OrderedNode, _ height: Int, _ score: Double, _ entry: Entry) {
        if height == 0 { return node.closeGap(node.index(of: entry, score)) }
        let index = node.childIndex(score, entry)
        let child = OrderedNode(node.child(index), height - 1)
        remove(child, height - 1, score, entry)
        if child.count == 0 {
            release(child)
            node.closeGap(index)
        } else {
            node.childChanged(index, child, by: -1)
            if child.count < child.capacity / 4 && node.count > 1 { rebalance(node, max(0, index - 1), height - 1) }
        }
    }

    /// Changes the score of a member that is in the index with score `old`.
    func move(_ entry: Entry, from old: Double, to new: Double) {
        var height = state.pointee.height
        var node = OrderedNode(state.pointee.root, height)
        while height > 0 {
            height &-= 1
            node = OrderedNode(node.child(node.childIndex(old, entry)), height)
            node.prefetch()
        }
        let index = node.index(of: entry, old)
        // Counters mostly move by little. Between two neighbours in its leaf the member stays where it is, and no branch
        // knows it.
        if index > 0, index &+ 1 < node.count, node.score(index &- 1) < new, new < node.score(index &+ 1) {
            return node.setKey(index, new, entry)
        }
        remove(old, entry)
        insert(new, entry)
    }

    private func release(_ node: OrderedNode) {
        if node.isLeaf {
            if let previous = node.previous { OrderedNode(previous, 0).next = node.next }
            if let next = node.next { OrderedNode(next, 0).previous = node.previous }
        }
        free(node)
    }

    /// Merges children `index` and `index + 1` of `parent`, or evens them out when they do not fit into one.
    private func rebalance(_ parent: OrderedNode, _ index: Int, _ height: Int) {
        let left = OrderedNode(parent.child(index), height)
        let right = OrderedNode(parent.child(index + 1), height)
        let total = left.count + right.count
        if total <= left.capacity {
            left.take(right, from: 0, count: right.count, at: left.count)
            left.count = total
            parent.setItem(index, left)
            release(right)
            parent.closeGap(index + 1)
            return
        }
        let target = total / 2
        if left.count < target {
            let moved = target - left.count
            left.take(right, from: 0, count: moved, at: left.count)
            right.take(right, from: moved, count: right.count - moved, at: 0)
        } else {
            let moved = left.count - target
            right.take(right, from: 0, count: right.count, at: moved)
            right.take(left, from: target, count: moved, at: 0)
        }
        left.count = target
        right.count = total - target
        parent.setItem(index, left)
        parent.setItem(index + 1, right)
    }

    // MARK: Checks

    /// Traps when the structure is damaged. For tests.
    func checkInvariants() {
        var leaves: [UnsafeMutableRawPointer] = []
        var nodes = 0
        func check(_ node: OrderedNode, _ height: Int, isRoot: Bool) -> Int {
            nodes += 1
            precondition(node.count > 0 || isRoot && height == 0, "an empty node")
            for index in 1..<max(1, node.count) {
                precondition(
                    OrderedNode.isBefore(
                        node.score(index - 1), node.entry(index - 1), node.score(index), node.entry(index).key),
                    "keys out of order")
            }
            guard height > 0 else {
                leaves.append(node.base)
                return node.count
            }
            var total = 0
            for index in 0..<node.count {
                let child = OrderedNode(node.child(index), height - 1)
                precondition(child.entry(0).base == node.entry(index).base, "a branch key is not its child's first")
                precondition(child.score(0) == node.score(index), "a branch score is not its child's first")
                let size = check(child, height - 1, isRoot: false)
                precondition(size == node.size(index), "a branch size is wrong")
                total += size
            }
            return total
        }
        let total = check(OrderedNode(state.pointee.root, state.pointee.height), state.pointee.height, isRoot: true)
        precondition(total == count, "the index counts \(count), it holds \(total)")
        precondition(nodes == state.pointee.nodeCount, "the nodes are miscounted")
        for (index, leaf) in leaves.enumerated() {
            precondition(
                OrderedNode(leaf, 0).previous == (index > 0 ? leaves[index - 1] : nil), "a leaf's backward link")
            precondition(
                OrderedNode(leaf, 0).next == (index + 1 < leaves.count ? leaves[index + 1] : nil), "a leaf's link")
            if index > 0 {
                let last = OrderedNode(leaves[index - 1], 0)
                precondition(
                    OrderedNode.isBefore(
                        last.score(last.count - 1), last.entry(last.count - 1), OrderedNode(leaf, 0).score(0),
                        OrderedNode(leaf, 0).entry(0).key), "leaves out of order")
            }
        }
    }
}
