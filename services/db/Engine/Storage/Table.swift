// The hash table under the keyspace and under large hashes, sets and sorted sets.
//
// Buckets of 64 bytes, one cache line: 7 tag bytes, 1 overflow counter, 7 entry addresses. A lookup loads one line, finds
// candidates by comparing all tags in one word, and follows at most the addresses whose tag fits (a false hit in 1 of 128).
// Collisions go to the next bucket; the overflow counter of a bucket counts the entries that wanted it or an earlier one and
// lie beyond, so a lookup ends at the first bucket with counter 0 and deletions need no tombstones.
// Growth and shrinking are incremental: two tables, each operation moves two buckets; the old table is given back to the
// system in pieces as it empties, because unmapping it at once stalls.
// Rejected: chaining (one more cache miss a lookup and 16 bytes more a key), rehash at once (a stall of seconds).
//
// Invariants (checked by `checkInvariants`): each entry is reachable from its home bucket; `count` is the number of tags
// set; while not rehashing the old table is empty.
import ByteStorage
import CLinux

/// The place of an entry in a table: the address of the word that holds the entry's address. Valid until the table is next
/// changed or searched.
typealias Slot = UnsafeMutablePointer<UInt>

struct Buckets {
    var base: UnsafeMutableRawPointer
    var mask: UInt
    var count: Int

    @inline(__always) func bucket(_ index: UInt) -> UnsafeMutableRawPointer { base + Int(bitPattern: index &<< 6) }
    var bytes: Int { Int(mask + 1) << 6 }
}

struct Table {
    struct State {
        var current: Buckets
        var old: Buckets
        /// The next old bucket to move; `.max` when not rehashing.
        var rehashIndex: UInt = .max
        /// Bytes of the old table already given back.
        var oldFreed = 0
        let hash: KeyedHash
        let slab: SlabAllocator
    }

    static let tagMask: UInt64 = 0x0080_8080_8080_8080
    static let tagOnes: UInt64 = 0x0001_0101_0101_0101
    static let slotsPerBucket = 7
    /// From this size on, bucket arrays are mapped instead of allocated, and unmapped in pieces of this size.
    static let mappedBytes = 1 << 20
    /// What a table's own state takes from malloc, near enough.
    static let stateBytes = 128
    /// What `giveBackPiece` keeps of the moved part.
    static let keptBytes = 64 << 10

    let state: UnsafeMutablePointer<State>

    init(hash: KeyedHash, slab: SlabAllocator, buckets: Int = 1) {
        state = .allocate(capacity: 1)
        let current = Table.makeBuckets(buckets)
        slab.state.pointee.tableBytes &+= current.bytes &+ Table.stateBytes
        state.initialize(
            to: State(current: current, old: Buckets(base: current.base, mask: 0, count: 0), hash: hash, slab: slab))
    }

    init(state: UnsafeMutablePointer<State>) { self.state = state }

    static func makeBuckets(_ count: Int) -> Buckets {
        let size = count << 6
        if size >= mappedBytes {
            guard let memory = cl_map_anonymous(size) else { outOfMemory(size) }
            return Buckets(base: memory, mask: UInt(count - 1), count: 0)
        }
        guard let memory = aligned_alloc(64, size) else { outOfMemory(size) }
        memset(memory, 0, size)
        return Buckets(base: memory, mask: UInt(count - 1), count: 0)
    }

    /// Frees the bucket arrays and the state, not the entries.
    func destroy() {
        if isRehashing { releaseOld() }
        account(-(state.pointee.current.bytes + Table.stateBytes))
        Table.release(state.pointee.current)
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Keeps the sum over all tables that `Engine.usedBytes` reports.
    @inline(__always) private func account(_ bytes: Int) { state.pointee.slab.state.pointee.tableBytes &+= bytes }

    private static func release(_ buckets: Buckets) {
        if buckets.bytes >= mappedBytes {
            munmap(buckets.base, buckets.bytes)
        } else {
            buckets.base.deallocateFromMalloc()
        }
    }

    @inline(__always) var count: Int { state.pointee.current.count &+ state.pointee.old.count }
    @inline(__always) var isRehashing: Bool { state.pointee.rehashIndex != .max }
    @inline(__always) func hash(_ key: ByteView) -> UInt64 { state.pointee.hash(key) }
    /// Bytes of the bucket arrays.
    var bucketBytes: Int {
        state.pointee.current.bytes + (isRehashing ? state.pointee.old.bytes - state.pointee.oldFreed : 0)
    }
    /// Number of slots: for statistics.
    var slotCount: Int { Int(state.pointee.current.mask + 1) * Table.slotsPerBucket }

    @inline(__always) static func tag(_ hash: UInt64) -> UInt64 { (hash >> 57) | 0x80 }

    // MARK: Search

    @inline(__always) func prefetchBucket(_ hash: UInt64) {
        cl_prefetch(state.pointee.current.bucket(UInt(truncatingIfNeeded: hash) & state.pointee.current.mask))
    }

    /// Prefetches the first entry whose tag fits.
    @inline(__always) func prefetchEntry(_ hash: UInt64) {
        if let entry = candidate(hash) {
            cl_prefetch(entry.base)
            cl_prefetch(entry.base + 64)
        }
    }

    /// The first entry in the home bucket whose tag fits `hash`: nearly always the one with that hash, if it is there.
    @inline(__always) func candidate(_ hash: UInt64) -> Entry? {
        let bucket = state.pointee.current.bucket(UInt(truncatingIfNeeded: hash) & state.pointee.current.mask)
        let meta = bucket.load(as: UInt64.self)
        let difference = meta ^ (Table.tag(hash) &* Table.tagOnes)
        let matches = (difference &- Table.tagOnes) & ~difference & Table.tagMask & meta
        if matches == 0 { return nil }
        let offset = 8 &+ (matches.trailingZeroBitCount & ~7)
        // SAFETY: the top bit of the tag in `meta` says that the slot is in use, so it holds the address of an entry.
        return Table.entry((bucket + offset).assumingMemoryBound(to: UInt.self))
    }

    @inline(__always) private func findSlot(_ buckets: Buckets, _ key: ByteView, _ hash: UInt64) -> Slot? {
        let home = UInt(truncatingIfNeeded: hash) & buckets.mask
        var index = home
        let pattern = Table.tag(hash) &* Table.tagOnes
        while true {
            let bucket = buckets.bucket(index)
            let meta = bucket.load(as: UInt64.self)
            let difference = meta ^ pattern
            // Bytes where the difference is zero; a false positive of the borrow is caught by the key comparison, but the
            // slot of a false positive must be in use, which the tag's top bit of `meta` guarantees below.
            var matches = (difference &- Table.tagOnes) & ~difference & Table.tagMask & meta
            while matches != 0 {
                let offset = 8 &+ (matches.trailingZeroBitCount & ~7)
                let slot = (bucket + offset).assumingMemoryBound(to: UInt.self)
                if Table.entry(slot).matches(key) { return slot }
                matches &= matches &- 1
            }
            if meta >> 56 == 0 { return nil }
            index = (index &+ 1) & buckets.mask
            // In a table of a few buckets every counter can be over 0 at once.
            if index == home { return nil }
        }
    }

    @inline(__always) static func entry(_ slot: Slot) -> Entry {
        // SAFETY: a slot whose tag is set always holds the address of a live entry.
        Entry(UnsafeMutableRawPointer(bitPattern: slot.pointee).unsafelyUnwrapped)
    }

    /// The slot of `key`, whose hash is `hash`.
    @inline(__always) func find(_ key: ByteView, _ hash: UInt64) -> Slot? {
        if isRehashing { rehashStep(2) }
        if let slot = findSlot(state.pointee.current, key, hash) { return slot }
        if state.pointee.old.count != 0 { return findSlot(state.pointee.old, key, hash) }
        return nil
    }

    /// Like `find`, but moves nothing: slots of other keys stay valid, and a walk over the table may go on.
    @inline(__always) func peek(_ key: ByteView, _ hash: UInt64) -> Slot? {
        if let slot = findSlot(state.pointee.current, key, hash) { return slot }
        if state.pointee.old.count != 0 { return findSlot(state.pointee.old, key, hash) }
        return nil
    }

    // MARK: Change

    /// Adds an entry whose key is not in the table.
    @inline(__always) func insert(_ entry: Entry, _ hash: UInt64) {
        place(entry, hash)
        state.pointee.current.count &+= 1
        // 80% of seven slots a bucket.
        if count &* 5 > Int(bitPattern: state.pointee.current.mask &+ 1) &* 28 { resize(grow: true) }
    }

    @inline(__always) private func place(_ entry: Entry, _ hash: UInt64) {
        let buckets = state.pointee.current
        var index = UInt(truncatingIfNeeded: hash) & buckets.mask
        while true {
            let bucket = buckets.bucket(index)
            let meta = bucket.load(as: UInt64.self)
            let free = ~meta & Table.tagMask
            if free != 0 {
                let shift = free.trailingZeroBitCount & ~7
                bucket.storeBytes(of: meta | Table.tag(hash) &<< UInt64(shift), as: UInt64.self)
                bucket.storeBytes(of: UInt(bitPattern: entry.base), toByteOffset: 8 &+ shift, as: UInt.self)
                return
            }
            // A counter that reached 255 stays there: it only makes lookups go on longer.
            if meta >> 56 != 255 { bucket.storeBytes(of: meta &+ (1 &<< 56), as: UInt64.self) }
            index = (index &+ 1) & buckets.mask
        }
    }

    /// Takes the entry at `slot`, whose key has `hash`, out of the table. The entry itself is the caller's to free.
    func remove(_ slot: Slot, _ hash: UInt64) {
        let address = UnsafeMutableRawPointer(slot)
        let current = state.pointee.current
        let isCurrent = address >= current.base && address < current.base + current.bytes
        let buckets = isCurrent ? current : state.pointee.old
        let position = address - buckets.base
        let actual = UInt(position >> 6)
        var index = UInt(truncatingIfNeeded: hash) & buckets.mask
        while index != actual {
            let bucket = buckets.bucket(index)
            let meta = bucket.load(as: UInt64.self)
            if meta >> 56 != 255 { bucket.storeBytes(of: meta &- (1 &<< 56), as: UInt64.self) }
            index = (index &+ 1) & buckets.mask
        }
        let bucket = buckets.bucket(actual)
        let shift = UInt64((position & 63) &- 8)
        bucket.storeBytes(of: bucket.load(as: UInt64.self) & ~(0xff &<< shift), as: UInt64.self)
        if isCurrent { state.pointee.current.count &-= 1 } else { state.pointee.old.count &-= 1 }
        // Shrink at an eighth of the load at which the table would grow.
        if current.mask > 15, count &* 40 < Int(bitPattern: current.mask &+ 1) &* 28, !isRehashing {
            resize(grow: false)
        }
    }

    @inline(never) private func resize(grow: Bool) {
        while isRehashing { rehashStep(1 << 20) }
        let buckets = Int(state.pointee.current.mask + 1)
        let target = grow ? buckets * 2 : buckets / 4
        state.pointee.old = state.pointee.current
        state.pointee.current = Table.makeBuckets(target)
        account(state.pointee.current.bytes)
        state.pointee.rehashIndex = 0
        state.pointee.oldFreed = 0
        if target <= 64 { rehashStep(buckets) }
    }

    /// Sizes an empty table for `expected` entries, so that a load need not grow it step by step.
    func reserve(_ expected: Int) {
        guard count == 0, !isRehashing else { return }
        var buckets = 1
        while buckets * 28 / 5 < expected, buckets < 1 << 40 { buckets *= 2 }
        guard buckets > Int(state.pointee.current.mask + 1) else { return }
        account((buckets << 6) - state.pointee.current.bytes)
        Table.release(state.pointee.current)
        state.pointee.current = Table.makeBuckets(buckets)
        state.pointee.old = Buckets(base: state.pointee.current.base, mask: 0, count: 0)
    }

    /// Moves `count` buckets of the old table.
    @inline(never) func rehashStep(_ count: Int) {
        let old = state.pointee.old
        for _ in 0..<count {
            let index = state.pointee.rehashIndex
            if index > old.mask { return releaseOld() }
            let bucket = old.bucket(index)
            let meta = bucket.load(as: UInt64.self)
            var used = meta & Table.tagMask
            while used != 0 {
                let offset = 8 &+ (used.trailingZeroBitCount & ~7)
                let entry = Table.entry((bucket + offset).assumingMemoryBound(to: UInt.self))
                place(entry, hash(entry.key))
                state.pointee.current.count &+= 1
                state.pointee.old.count &-= 1
                used &= used &- 1
            }
            bucket.storeBytes(of: meta & 0xff00_0000_0000_0000, as: UInt64.self)
            state.pointee.rehashIndex = index &+ 1
            if state.pointee.old.count == 0, old.bytes < Table.mappedBytes { return releaseOld() }
            giveBackPiece(old, Int(index &+ 1) << 6)
        }
    }

    /// Returns the memory of moved buckets to the system, a megabyte at a time. Their overflow counters are needed no more:
    /// they read as zero afterwards, so look-ups in the old table must start from a bucket that is still there.
    @inline(__always) private func giveBackPiece(_ old: Buckets, _ moved: Int) {
        guard old.bytes >= Table.mappedBytes, moved &- state.pointee.oldFreed >= Table.mappedBytes else { return }
        // Entries beyond the moved part may have their home in it: keep the last pages, so that their counters stay.
        // (A run of full buckets longer than that cannot occur at the loads at which the table is resized.)
        let upTo = moved - Table.keptBytes
        if upTo > state.pointee.oldFreed {
            madvise(old.base + state.pointee.oldFreed, upTo - state.pointee.oldFreed, MADV_DONTNEED)
            account(state.pointee.oldFreed - upTo)
            state.pointee.oldFreed = upTo
        }
    }

    private func releaseOld() {
        account(state.pointee.oldFreed - state.pointee.old.bytes)
        Table.release(state.pointee.old)
        state.pointee.old = Buckets(base: state.pointee.current.base, mask: 0, count: 0)
        state.pointee.rehashIndex = .max
    }

    // MARK: Taking apart

    /// The buckets of both arrays that may hold entries, for `takeBucket`.
    var bucketPositions: UInt {
        state.pointee.current.mask + 1 + (isRehashing ? state.pointee.old.mask + 1 - state.pointee.rehashIndex : 0)
    }

    /// Hands out the entries of one bucket of a table that nobody uses any more; positions must be taken in order.
    ///
    /// - Returns: how many entries that were.
    func takeBucket(_ position: UInt, _ body: (Entry) -> Void) -> Int {
        let isOld = position > state.pointee.current.mask
        let buckets = isOld ? state.pointee.old : state.pointee.current
        let index = isOld ? position - state.pointee.current.mask - 1 + state.pointee.rehashIndex : position
        if index < buckets.mask { forEachSlot(buckets.bucket(index + 1)) { cl_prefetch(Table.entry($0).base) } }
        var taken = 0
        forEachSlot(buckets.bucket(index)) { slot in
            body(Table.entry(slot))
            taken += 1
        }
        // Large arrays go back in pieces: unmapping them at once stalls.
        let done = Int(index + 1) << 6
        if buckets.bytes >= Table.mappedBytes, done & (Table.mappedBytes - 1) == 0 {
            madvise(buckets.base + (done - Table.mappedBytes), Table.mappedBytes, MADV_DONTNEED)
        }
        return taken
    }

    // MARK: Walks

    /// Calls `body` with every entry. The table must not change meanwhile.
    func forEach(_ body: (Entry) -> Void) {
        for buckets in isRehashing ? [state.pointee.current, state.pointee.old] : [state.pointee.current] {
            for index in 0...buckets.mask { forEachSlot(buckets.bucket(index)) { body(Table.entry($0)) } }
        }
    }

    /// Calls `body` with every entry until it returns false. The table must not change meanwhile; `peek` is allowed.
    ///
    /// - Returns: whether the walk went to the end.
    @discardableResult
    func forEachWhile(_ body: (Entry) -> Bool) -> Bool {
        for buckets in isRehashing ? [state.pointee.current, state.pointee.old] : [state.pointee.current] {
            for index in 0...buckets.mask {
                let bucket = buckets.bucket(index)
                var used = bucket.load(as: UInt64.self) & Table.tagMask
                while used != 0 {
                    let offset = 8 &+ (used.trailingZeroBitCount & ~7)
                    guard body(Table.entry((bucket + offset).assumingMemoryBound(to: UInt.self))) else { return false }
                    used &= used &- 1
                }
            }
        }
        return true
    }

    @inline(__always) private func forEachSlot(_ bucket: UnsafeMutableRawPointer, _ body: (Slot) -> Void) {
        var used = bucket.load(as: UInt64.self) & Table.tagMask
        while used != 0 {
            let offset = 8 &+ (used.trailingZeroBitCount & ~7)
            body((bucket + offset).assumingMemoryBound(to: UInt.self))
            used &= used &- 1
        }
    }

    /// One step of a scan in the order of reversed bucket numbers, which visits every entry that is there from the first
    /// step to the last at least once however often the table is resized in between (the cursor algorithm of SCAN).
    ///
    /// - Returns: the next cursor, 0 at the end.
    func scan(_ cursor: UInt64, _ body: (Entry) -> Void) -> UInt64 {
        let first = state.pointee.current
        guard isRehashing else {
            visitHome(first, UInt(cursor) & first.mask, body)
            return Table.nextCursor(cursor, first.mask)
        }
        let second = state.pointee.old
        let (small, large) = first.mask <= second.mask ? (first, second) : (second, first)
        var next = cursor
        visitHome(small, UInt(next) & small.mask, body)
        repeat {
            visitHome(large, UInt(next) & large.mask, body)
            next = Table.nextCursor(next, large.mask)
        } while UInt(next) & (small.mask ^ large.mask) != 0
        return next
    }

    private static func reversed(_ value: UInt64) -> UInt64 {
        var source = value
        var result: UInt64 = 0
        for _ in 0..<64 {
            result = result << 1 | source & 1
            source >>= 1
        }
        return result
    }

    private static func nextCursor(_ cursor: UInt64, _ mask: UInt) -> UInt64 {
        reversed(reversed(cursor | ~UInt64(mask)) &+ 1)
    }

    /// The entries whose home is bucket `home`, wherever they overflowed to.
    private func visitHome(_ buckets: Buckets, _ home: UInt, _ body: (Entry) -> Void) {
        var index = home
        repeat {
            let bucket = buckets.bucket(index)
            forEachSlot(bucket) { slot in
                let entry = Table.entry(slot)
                if UInt(truncatingIfNeeded: hash(entry.key)) & buckets.mask == home { body(entry) }
            }
            if bucket.load(as: UInt64.self) >> 56 == 0 { return }
            index = (index &+ 1) & buckets.mask
        } while index != home
    }

    /// An entry chosen at random: each with the same probability, except in a table that is nearly empty for its size.
    func randomEntry(_ random: inout RandomGenerator) -> Entry? {
        guard count > 0 else { return nil }
        let currentSlots = UInt64(state.pointee.current.mask + 1) * 7
        let oldSlots = isRehashing ? UInt64(state.pointee.old.mask + 1 - state.pointee.rehashIndex) * 7 : 0
        // Draw slots until one is in use: about 1 in 1.25 to 20 draws hits. Sparser than that: walk on from a random place.
        for _ in 0..<200 {
            let drawn = random.next(below: currentSlots + oldSlots)
            let isOld = drawn >= currentSlots
            let position = isOld ? drawn - currentSlots : drawn
            let buckets = isOld ? state.pointee.old : state.pointee.current
            let bucket = buckets.bucket((isOld ? state.pointee.rehashIndex : 0) + UInt(position / 7))
            let shift = position % 7 * 8
            guard bucket.load(as: UInt64.self) >> shift & 0x80 != 0 else { continue }
            return Table.entry((bucket + Int(8 + shift)).assumingMemoryBound(to: UInt.self))
        }
        let buckets = state.pointee.current.count > 0 ? state.pointee.current : state.pointee.old
        let start = UInt(random.next(below: UInt64(buckets.mask) + 1))
        for step in 0...buckets.mask {
            let bucket = buckets.bucket((start &+ step) & buckets.mask)
            let used = bucket.load(as: UInt64.self) & Table.tagMask
            if used == 0 { continue }
            let offset = 8 &+ (used.trailingZeroBitCount & ~7)
            return Table.entry((bucket + offset).assumingMemoryBound(to: UInt.self))
        }
        return nil
    }

    /// Traps when the structure is damaged. For tests.
    func checkInvariants() {
        var found = 0
        forEach { entry in
            found += 1
            let hash = hash(entry.key)
            let slot =
                findSlot(state.pointee.current, entry.key, hash)
                ?? (state.pointee.old.count != 0 ? findSlot(state.pointee.old, entry.key, hash) : nil)
            precondition(slot.map { Table.entry($0).base == entry.base } ?? false, "an entry cannot be found")
        }
        precondition(found == count, "the count is \(count), the entries are \(found)")
        precondition(isRehashing || state.pointee.old.count == 0, "entries left in the old table")
    }
}
