// Freeing what is large without a stall.
//
// Deleting a key with millions of elements, or a whole database, takes its value out of the keyspace at once and puts it
// here; the server then frees it in portions between turns (`Engine.reclaim`). All ways of deletion come through here,
// DEL and expiry as well as UNLINK. The allocator belongs to the loop's thread, so the work stays on it: what is spread is
// the time, and the memory is touched once in either case. Rejected: a thread that frees (a lock or a queue for every
// allocation of the hot path).
//
// Items form a stack: what a flushed database held is freed before its next bucket is looked at, so the stack stays short.
import ByteStorage
import CLinux

/// Something unlinked that is yet to be freed.
enum Garbage {
    /// A table with its entries. `position` counts the buckets that are done. Each entry of a keyspace is an object of its own
    /// and may hold a value of any kind; those of a collection hold strings, and the whole is one object.
    case table(Table, position: UInt, isKeyspace: Bool)
    /// Nodes of an `OrderedIndex` with their heights.
    case nodes([OrderedIndex.Subtree])
    case list(ListValue)
    /// A long string; the memory before `released` is back with the system.
    case blob(Blob, released: Int)
}

struct Reclaimer {
    fileprivate(set) var items: [Garbage] = []
    /// Keys that are deleted and whose values wait to be freed.
    fileprivate(set) var pendingObjects = 0
    /// Keys whose values were freed this way.
    var freedObjects = 0

    /// Values of more elements than this, or of so many blocks, are not freed at once.
    static let threshold = 64
    /// Strings longer than this go back to the system in pieces of this size, bytes.
    static let blobPiece = 1 << 20
    /// What giving back a piece of a string costs, in units of the budget.
    static let pieceCost = 64
}

extension Engine {
    /// Whether `reclaim` has something to do.
    @inline(__always) public var isReclaiming: Bool { !state.pointee.reclaimer.items.isEmpty }
    public var objectsToReclaim: Int { state.pointee.reclaimer.pendingObjects }
    public var reclaimedObjects: Int { state.pointee.reclaimer.freedObjects }
    /// Resets the counter behind INFO's lazyfreed_objects.
    public func resetReclaimedObjects() { state.pointee.reclaimer.freedObjects = 0 }

    /// Returns memory that is held for reuse to the system. Takes time in proportion to what is free.
    public func releaseUnusedMemory() { slab.releaseUnused() }

    /// Frees later, in portions.
    func discard(_ item: Garbage, objects: Int) {
        state.pointee.reclaimer.items.append(item)
        state.pointee.reclaimer.pendingObjects += objects
    }

    /// Frees about `budget` entries or blocks of what was deleted.
    ///
    /// - Returns: whether more is left.
    @discardableResult
    public func reclaim(budget: Int) -> Bool {
        var left = budget
        while left > 0, let item = state.pointee.reclaimer.items.popLast() {
            // What the item holds may be put on top; the rest of the item goes below that.
            let place = state.pointee.reclaimer.items.count
            if let rest = reclaim(item, &left) { state.pointee.reclaimer.items.insert(rest, at: place) }
        }
        return isReclaiming
    }

    /// - Returns: what is left of the item.
    private func reclaim(_ item: Garbage, _ left: inout Int) -> Garbage? {
        switch item {
        case .table(let table, let position, let isKeyspace):
            return reclaim(table, position, isKeyspace, &left)
        case .nodes(var subtrees):
            OrderedIndex.free(slab, &subtrees, budget: &left)
            return subtrees.isEmpty ? nil : .nodes(subtrees)
        case .list(let list):
            guard list.destroyNodes(slab, budget: &left) else { return .list(list) }
        case .blob(let blob, let released):
            guard released >= blob.capacity else {
                left -= Reclaimer.pieceCost
                blob.giveBack(from: released, to: min(blob.capacity, released + Reclaimer.blobPiece))
                return .blob(blob, released: released + Reclaimer.blobPiece)
            }
            blob.destroy(slab)
        }
        reclaimed(1)
        return nil
    }

    private func reclaim(_ table: Table, _ start: UInt, _ isKeyspace: Bool, _ left: inout Int) -> Garbage? {
        var position = start
        let end = table.bucketPositions
        while left > 0, position < end {
            let pending = objectsToReclaim
            let freed = table.takeBucket(position) { entry in
                // No timer: a collection's entries have none, and a flushed database's wheel is gone.
                if entry.kind != .inlineString { destroyValue(entry) }
                entry.freeBlock(slab)
            }
            position += 1
            left -= 1 + freed
            // A large value goes on waiting, as an object of its own.
            let deferred = objectsToReclaim - pending
            if isKeyspace {
                state.pointee.reclaimer.pendingObjects -= deferred
                reclaimed(freed - deferred)
            }
        }
        if position < end { return .table(table, position: position, isKeyspace: isKeyspace) }
        table.destroy()
        if !isKeyspace { reclaimed(1) }
        return nil
    }

    private func reclaimed(_ objects: Int) {
        state.pointee.reclaimer.pendingObjects -= objects
        state.pointee.reclaimer.freedObjects += objects
    }
}

extension Blob {
    /// Returns the whole pages between two offsets to the system, those at the ends of the block excepted: they hold what malloc
    /// keeps beside the block. The bytes read as zero afterwards.
    fileprivate func giveBack(from: Int, to: Int) {
        let start = (UInt(bitPattern: bytes) + UInt(from) + 4095) & ~4095
        let end = (UInt(bitPattern: bytes) + UInt(to)) & ~4095
        if start < end, let memory = UnsafeMutableRawPointer(bitPattern: start) {
            madvise(memory, Int(end - start), MADV_DONTNEED)
        }
    }
}
