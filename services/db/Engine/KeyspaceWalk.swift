// A point-in-time view of the whole keyspace without fork: the walk behind snapshots, log rewrites and full syncs.
//
// The walk visits the tables in slices, between turns. Each entry carries one generation bit. When a walk begins the
// generation flips, so that every entry has the old bit; an entry is visited when it has the old bit, and gets the new one.
// Entries made meanwhile are born with the new bit and are not visited. A command that is about to touch an entry which the
// walk has not reached visits it first (`locate`), in the state that it had when the walk began. So the visitor sees exactly
// the keyspace of the beginning, in any order, each key once; memory beyond the data is what the visitor buffers.
// Rejected: fork (doubles memory, stalls), copy-on-write of tables (same), stopping the world (a stall of seconds).
//
// Flushing and swapping of databases while a walk runs finish it for those databases at once: rare, and a stall then.
import ByteStorage

/// What a walk hands the keys to.
public protocol KeyspaceVisitor: AnyObject {
    func visit(_ key: KeyView)
}

struct KeyspaceWalk {
    let visitor: any KeyspaceVisitor
    /// For each database the cursor of its scan; nil when it is done.
    var cursors: [UInt64?]
    var visited = 0
}

extension Engine {
    public var isWalking: Bool { state.pointee.isWalking }
    /// Keys visited by the walk that runs.
    public var walkedKeys: Int { state.pointee.walk?.visited ?? 0 }

    /// Begins a walk. One runs at a time.
    public func beginWalk(_ visitor: any KeyspaceVisitor) {
        precondition(!isWalking, "one walk at a time")
        slab.state.pointee.generation ^= Entry.generation
        let cursors: [UInt64?] = (0..<databaseCount).map { keyCount($0) > 0 ? 0 : nil }
        state.pointee.walk = KeyspaceWalk(visitor: visitor, cursors: cursors)
        state.pointee.isWalking = true
    }

    /// Visits about `budget` more entries.
    ///
    /// - Returns: whether the walk goes on; false: it is complete.
    public func walk(budget: Int) -> Bool {
        guard let walk = state.pointee.walk else { return false }
        let start = walk.visited
        for database in 0..<databaseCount {
            while let cursor = state.pointee.walk?.cursors[database] {
                // Swapping databases moves tables, not cursors: `finishWalk` has ended both before.
                let next = table(database).scan(cursor) { visit(database, $0) }
                state.pointee.walk?.cursors[database] = next == 0 ? nil : next
                if walkedKeys - start >= budget { return true }
            }
        }
        endWalk()
        return false
    }

    /// Ends a walk, complete or not. Entries that it has not visited count as visited.
    public func cancelWalk() {
        guard isWalking else { return }
        // All entries must have the same bit when the next walk flips the generation.
        for database in 0..<databaseCount where state.pointee.walk?.cursors[database] != nil {
            table(database).forEach { $0.setGeneration(slab.state.pointee.generation) }
        }
        endWalk()
    }

    private func endWalk() {
        state.pointee.walk = nil
        state.pointee.isWalking = false
    }

    /// Visits what is left of a database at once, before it is flushed or swapped.
    func finishWalk(_ database: Int) {
        guard isWalking, state.pointee.walk?.cursors[database] != nil else { return }
        table(database).forEach { visit(database, $0) }
        state.pointee.walk?.cursors[database] = nil
    }

    @inline(never) func visit(_ database: Int, _ entry: Entry) {
        let generation = slab.state.pointee.generation
        guard entry.header & Entry.generation != generation else { return }
        entry.setGeneration(generation)
        state.pointee.walk?.visited += 1
        state.pointee.walk?.visitor.visit(KeyView(entry: entry, database: database))
    }

    /// Finds the slot of a key for whatever may happen to it: all look-ups in the keyspace come through here.
    @inline(__always) func locate(_ database: Int, _ key: ByteView, _ hash: UInt64) -> Slot? {
        let slot = table(database).find(key, hash)
        if state.pointee.isWalking, let slot { visit(database, Table.entry(slot)) }
        return slot
    }
}
