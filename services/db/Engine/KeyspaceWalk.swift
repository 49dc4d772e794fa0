// A point-in-time view of the whole keyspace without fork: the walk behind snapshots, log rewrites and full syncs.
//
// The walk visits the tables in slices, between turns. Each entry carries one generation bit. When a walk begins the
// generation flips, so that every entry has the old bit; an entry is visited when it has the old bit, and gets the new one.
// Entries made meanwhile are born with the new bit and are not visited. A command that is about to touch an entry which the
// walk has not reached visits it first (`locate`), in the state that it had when the walk began. So the visitor sees exactly
// the keyspace of the beginning, in any order, each key once; memory beyond the data is what the visitor buffers.
// Rejected: fork (doubles memory, stalls), copy-on-write of tables (same), stopping the world (a stall of seconds).
//
// Databases may be flushed and swapped meanwhile: the walk holds on to the tables that were there when it began, and knows
// every entry by the number that its database had then. A flushed table is left to the reclaimer when the walk is done with
// it. A walk that is given up goes on without a visitor, because every entry must have the same bit when the next begins.
import ByteStorage

/// What a walk hands the keys to.
public protocol KeyspaceVisitor: AnyObject {
    func visit(_ key: KeyView)
}

struct KeyspaceWalk {
    /// One database as it was when the walk began.
    struct Part {
        let database: Int
        let table: Table
        var cursor: UInt64 = 0
        /// The database was flushed: the table is the walk's to dispose of.
        var isDetached = false
    }

    /// Nil after the walk was given up.
    var visitor: (any KeyspaceVisitor)?
    /// What is still to be walked, the last first.
    var parts: [Part]
    /// For each of today's databases the number that it had when the walk began.
    var numbers: [Int]
    var visited = 0
}

extension Engine {
    /// Whether a walk is under way, or one that was given up is being brought to its end.
    public var isWalking: Bool { state.pointee.isWalking }
    /// Keys visited by the walk that runs.
    public var walkedKeys: Int { state.pointee.walk?.visited ?? 0 }

    /// Begins a walk. One runs at a time.
    public func beginWalk(_ visitor: any KeyspaceVisitor) {
        precondition(!isWalking, "one walk at a time")
        slab.state.pointee.generation ^= Entry.generation
        let parts = (0..<databaseCount).reversed().compactMap { database in
            keyCount(database) > 0 ? KeyspaceWalk.Part(database: database, table: table(database)) : nil
        }
        state.pointee.walk = KeyspaceWalk(visitor: visitor, parts: parts, numbers: Array(0..<databaseCount))
        state.pointee.isWalking = true
    }

    /// Visits about `budget` more entries.
    ///
    /// - Returns: whether the walk goes on; false: it is complete.
    public func walk(budget: Int) -> Bool {
        guard let walk = state.pointee.walk else { return false }
        let start = walk.visited
        while let part = state.pointee.walk?.parts.last {
            let next = part.table.scan(part.cursor) { visit(part.database, $0) }
            if next == 0 {
                state.pointee.walk?.parts.removeLast()
                if part.isDetached { discardKeyspace(part.table) }
            } else if let last = state.pointee.walk?.parts.indices.last {
                state.pointee.walk?.parts[last].cursor = next
            }
            if walkedKeys - start >= budget { return true }
        }
        state.pointee.walk = nil
        state.pointee.isWalking = false
        return false
    }

    /// Gives the walk up: nothing more is visited. `walk` must still be called until it says that it is complete.
    public func cancelWalk() { state.pointee.walk?.visitor = nil }

    /// Takes the table of a database that is being flushed: the walk may still need it, else it can be freed.
    func detach(_ table: Table) {
        if let index = state.pointee.walk?.parts.firstIndex(where: { $0.table.state == table.state }) {
            state.pointee.walk?.parts[index].isDetached = true
        } else {
            discardKeyspace(table)
        }
    }

    private func discardKeyspace(_ table: Table) {
        discard(.table(table, position: 0, isKeyspace: true), objects: table.count)
    }

    /// Visits an entry, found in the table that is the one of `database` today, before it may change.
    @inline(never) private func visitFirst(_ database: Int, _ entry: Entry) {
        if let number = state.pointee.walk?.numbers[database] { visit(number, entry) }
    }

    /// - Parameter database: the number that its database had when the walk began.
    private func visit(_ database: Int, _ entry: Entry) {
        let generation = slab.state.pointee.generation
        guard entry.header & Entry.generation != generation else { return }
        entry.setGeneration(generation)
        state.pointee.walk?.visited += 1
        state.pointee.walk?.visitor?.visit(KeyView(entry: entry, database: database))
    }

    /// Finds the slot of a key for whatever may happen to it: all look-ups in the keyspace come through here.
    @inline(__always) func locate(_ database: Int, _ key: ByteView, _ hash: UInt64) -> Slot? {
        let slot = table(database).find(key, hash)
        if state.pointee.isWalking, let slot { visitFirst(database, Table.entry(slot)) }
        return slot
    }
}
