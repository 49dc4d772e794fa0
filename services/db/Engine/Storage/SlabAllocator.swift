// Memory for entries: size classes in 8-byte steps without a header per object.
//
// A malloc header and rounding cost 8 to 24 bytes an entry, which at 30 million entries is the difference between two
// sizes of machine. Blocks come from 64 KiB pages of one class each: up to `largestSmall` bytes there is a class for every
// 8 bytes, up to `largestMedium` for the sizes of which a whole number fills a page (at most an eighth is wasted); what is
// larger comes from malloc. The caller passes the size to `free`, so nothing has to be stored in a block.
//
// Pages lie in chunks of 4 MiB, aligned to their size, so that a block's address tells its page; a chunk begins with one
// record for each of its pages: the list of the page's free blocks and how many are in use. A class draws from the pages
// that have free blocks, the one freed to last first, which is warm in the cache; then from its newest page, whose rest has
// never been touched. A page without blocks in use leaves its class: some of them are kept for what is soon written
// again, the memory of the others goes back to the system (`retainedPages`). `allocatedBytes` is what is in use,
// `reservedBytes` what is held.
// Rejected: one free list a class (no page is ever known to be empty, so memory is held for ever); unmapping chunks (one
// block in 4 MiB keeps them); malloc for all that is not small (it gives memory back only when asked, and that takes 0.1 s a
// gigabyte at once).
//
// Invariants (`checkInvariants`): a page is in its class's list exactly when it has free blocks; no page in use is in the
// list of empty ones; blocks in use and free ones add up to what was ever drawn from the page.
import ByteStorage
import CLinux

struct SlabAllocator {
    struct State {
        var classes: UnsafeMutablePointer<SizeClass>
        /// The next page of the newest chunk, and its end.
        var nextPage: UInt = 0
        var chunkEnd: UInt = 0
        var chunks: [UInt] = []
        /// Empty pages with memory, and those whose memory went back: addresses of their records.
        var empty: UInt = 0
        var emptyCount = 0
        var returned: UInt = 0
        var allocatedBytes = 0
        /// For medium blocks: the class of a request by its length in steps of 8 bytes.
        var mediumClasses: UnsafeMutablePointer<UInt8>
        /// The generation bit that new entries are born with: see `KeyspaceWalk`.
        var generation: UInt64 = 0
        var reservedBytes = 0
        /// Bytes of the bucket arrays of all tables that draw their entries from here.
        var tableBytes = 0
    }

    /// Where the blocks of one size come from.
    struct SizeClass {
        /// The record of the first page with free blocks, 0: none.
        var available: UInt = 0
        /// The untouched rest of the newest page, and that page's record.
        var bump: UInt = 0
        var bumpEnd: UInt = 0
        var newest: UInt = 0
        /// Bytes of a block.
        var size: UInt
    }

    /// What a chunk's beginning holds for each of its pages.
    struct PageRecord {
        /// The first free block, 0: none. Each free block's first word is the next one's address.
        var free: UInt = 0
        /// Neighbours in the list of the class, or of empty pages.
        var next: UInt = 0
        var previous: UInt = 0
        var used = 0
    }

    static let largestSmall = 1280
    static let largestMedium = 16 << 10
    static let pageBytes: UInt = 64 << 10
    static let chunkBytes: UInt = 4 << 20
    static let pagesPerChunk = chunkBytes / pageBytes
    static let recordBytes = pagesPerChunk * 32
    static let smallClasses = largestSmall / 8 + 1
    /// How many blocks of each medium class fill a page.
    static let mediumCounts: [UInt] = [
        48, 44, 40, 37, 34, 31, 29, 27, 25, 23, 21, 19, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
    ]
    static let classCount = smallClasses + mediumCounts.count
    /// Empty pages that are kept whatever their share: 4 MiB.
    static let alwaysRetained = 64

    let state: UnsafeMutablePointer<State>

    init() {
        let classes = UnsafeMutablePointer<SizeClass>.allocate(capacity: SlabAllocator.classCount)
        for index in 0..<SlabAllocator.smallClasses {
            (classes + index).initialize(to: SizeClass(size: UInt(index) * 8))
        }
        let mediumClasses = UnsafeMutablePointer<UInt8>.allocate(capacity: SlabAllocator.largestMedium / 8 + 1)
        mediumClasses.initialize(repeating: 0, count: SlabAllocator.largestMedium / 8 + 1)
        var next = SlabAllocator.smallClasses
        for (offset, blocks) in SlabAllocator.mediumCounts.enumerated() {
            let index = SlabAllocator.smallClasses + offset
            let size = SlabAllocator.pageBytes / blocks & ~7
            (classes + index).initialize(to: SizeClass(size: size))
            while next <= Int(size) / 8 {
                mediumClasses[next] = UInt8(index)
                next += 1
            }
        }
        state = .allocate(capacity: 1)
        state.initialize(to: State(classes: classes, mediumClasses: mediumClasses))
    }

    /// The bytes that a request for `count` really takes.
    @inline(__always) static func rounded(_ count: Int) -> Int { (count &+ 7) & ~7 }

    /// SAFETY: records lie in the first bytes of a chunk, which is never unmapped; 0 is never passed.
    @inline(__always) static func record(_ address: UInt) -> UnsafeMutablePointer<PageRecord> {
        UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
    }

    /// The address of the record of the page in which `block` lies.
    @inline(__always) static func recordAddress(_ block: UInt) -> UInt {
        (block & ~(chunkBytes &- 1)) &+ ((block & (chunkBytes &- 1)) >> 16) &* 32
    }

    // MARK: Blocks

    @inline(__always) func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        if count > SlabAllocator.largestSmall { return allocateLarger(count) }
        state.pointee.allocatedBytes &+= SlabAllocator.rounded(count)
        return takeBlock((count &+ 7) >> 3)
    }

    /// - Parameter count: the count that `allocate` was called with, or any with the same rounding.
    @inline(__always) func free(_ block: UnsafeMutableRawPointer, _ count: Int) {
        if count > SlabAllocator.largestSmall { return freeLarger(block, count) }
        state.pointee.allocatedBytes &-= SlabAllocator.rounded(count)
        putBlock(block, (count &+ 7) >> 3)
    }

    @inline(never) private func allocateLarger(_ count: Int) -> UnsafeMutableRawPointer {
        guard count <= SlabAllocator.largestMedium else {
            state.pointee.allocatedBytes += SlabAllocator.rounded(count)
            return allocateBytes(SlabAllocator.rounded(count))
        }
        let sizeClass = Int(state.pointee.mediumClasses[(count + 7) >> 3])
        state.pointee.allocatedBytes += Int(state.pointee.classes[sizeClass].size)
        return takeBlock(sizeClass)
    }

    @inline(never) private func freeLarger(_ block: UnsafeMutableRawPointer, _ count: Int) {
        guard count <= SlabAllocator.largestMedium else {
            state.pointee.allocatedBytes -= SlabAllocator.rounded(count)
            return block.deallocateFromMalloc()
        }
        let sizeClass = Int(state.pointee.mediumClasses[(count + 7) >> 3])
        state.pointee.allocatedBytes -= Int(state.pointee.classes[sizeClass].size)
        putBlock(block, sizeClass)
    }

    @inline(__always) private func takeBlock(_ sizeClass: Int) -> UnsafeMutableRawPointer {
        let available = state.pointee.classes[sizeClass].available
        if available != 0 {
            let record = SlabAllocator.record(available)
            // SAFETY: a page in the list of its class has a free block.
            let block = UnsafeMutableRawPointer(bitPattern: record.pointee.free).unsafelyUnwrapped
            let next = block.load(as: UInt.self)
            record.pointee.free = next
            record.pointee.used &+= 1
            if next == 0 { removeAvailable(sizeClass, record) }
            return block
        }
        let position = state.pointee.classes[sizeClass].bump
        let end = position &+ state.pointee.classes[sizeClass].size
        if end <= state.pointee.classes[sizeClass].bumpEnd, let block = UnsafeMutableRawPointer(bitPattern: position) {
            state.pointee.classes[sizeClass].bump = end
            SlabAllocator.record(state.pointee.classes[sizeClass].newest).pointee.used &+= 1
            return block
        }
        return refill(sizeClass)
    }

    @inline(__always) private func putBlock(_ block: UnsafeMutableRawPointer, _ sizeClass: Int) {
        let address = UInt(bitPattern: block)
        let record = SlabAllocator.record(SlabAllocator.recordAddress(address))
        let next = record.pointee.free
        block.storeBytes(of: next, as: UInt.self)
        record.pointee.free = address
        record.pointee.used &-= 1
        if record.pointee.used == 0 { return pageBecameEmpty(sizeClass, record, wasAvailable: next != 0) }
        if next == 0 { pushAvailable(sizeClass, record) }
    }

    // MARK: Pages

    @inline(__always) private func pushAvailable(_ sizeClass: Int, _ record: UnsafeMutablePointer<PageRecord>) {
        let address = UInt(bitPattern: record)
        let first = state.pointee.classes[sizeClass].available
        record.pointee.next = first
        record.pointee.previous = 0
        if first != 0 { SlabAllocator.record(first).pointee.previous = address }
        state.pointee.classes[sizeClass].available = address
    }

    @inline(__always) private func removeAvailable(_ sizeClass: Int, _ record: UnsafeMutablePointer<PageRecord>) {
        let (next, previous) = (record.pointee.next, record.pointee.previous)
        if next != 0 { SlabAllocator.record(next).pointee.previous = previous }
        if previous != 0 {
            SlabAllocator.record(previous).pointee.next = next
        } else {
            state.pointee.classes[sizeClass].available = next
        }
    }

    /// Gives the class a new page, and takes its first block.
    @inline(never) private func refill(_ sizeClass: Int) -> UnsafeMutableRawPointer {
        let (page, record) = takePage()
        record.pointee = PageRecord(used: 1)
        let size = state.pointee.classes[sizeClass].size
        state.pointee.classes[sizeClass].newest = UInt(bitPattern: record)
        state.pointee.classes[sizeClass].bump = page.start + size
        state.pointee.classes[sizeClass].bumpEnd = page.end
        guard let block = UnsafeMutableRawPointer(bitPattern: page.start) else { outOfMemory(Int(size)) }
        return block
    }

    /// An empty page: one that was kept, else one whose memory was given back, else a new one.
    private func takePage() -> ((start: UInt, end: UInt), UnsafeMutablePointer<PageRecord>) {
        var address = state.pointee.empty
        if address != 0 {
            state.pointee.empty = SlabAllocator.record(address).pointee.next
            state.pointee.emptyCount -= 1
        } else {
            address = state.pointee.returned
            if address != 0 {
                state.pointee.returned = SlabAllocator.record(address).pointee.next
            } else {
                address = newPage()
            }
            state.pointee.reservedBytes += Int(SlabAllocator.pageBytes)
        }
        return (SlabAllocator.page(address), SlabAllocator.record(address))
    }

    /// - Returns: the address of its record.
    private func newPage() -> UInt {
        if state.pointee.nextPage == state.pointee.chunkEnd {
            guard let memory = cl_map_aligned(Int(SlabAllocator.chunkBytes)) else {
                outOfMemory(Int(SlabAllocator.chunkBytes))
            }
            state.pointee.nextPage = UInt(bitPattern: memory)
            state.pointee.chunkEnd = state.pointee.nextPage + SlabAllocator.chunkBytes
            state.pointee.chunks.append(state.pointee.nextPage)
        }
        let page = state.pointee.nextPage
        state.pointee.nextPage = page + SlabAllocator.pageBytes
        return SlabAllocator.recordAddress(page)
    }

    /// Where the blocks of the page with that record may lie. The records take the beginning of a chunk's first page.
    static func page(_ record: UInt) -> (start: UInt, end: UInt) {
        let chunk = record & ~(chunkBytes - 1)
        let index = (record - chunk) / 32
        let start = chunk + index * pageBytes
        return (index == 0 ? start + recordBytes : start, start + pageBytes)
    }

    @inline(never)
    private func pageBecameEmpty(_ sizeClass: Int, _ record: UnsafeMutablePointer<PageRecord>, wasAvailable: Bool) {
        let address = UInt(bitPattern: record)
        if wasAvailable { removeAvailable(sizeClass, record) }
        record.pointee.free = 0
        if state.pointee.classes[sizeClass].newest == address {
            // It stays the class's newest page, untouched as it were.
            state.pointee.classes[sizeClass].bump = SlabAllocator.page(address).start
            return
        }
        let retained = max(
            SlabAllocator.alwaysRetained, state.pointee.reservedBytes / Int(SlabAllocator.pageBytes) / 16)
        if state.pointee.emptyCount < retained {
            record.pointee.next = state.pointee.empty
            state.pointee.empty = address
            state.pointee.emptyCount += 1
        } else {
            giveBack(record)
        }
    }

    /// Returns the memory of an empty page that is in no list to the system, and keeps its addresses.
    private func giveBack(_ record: UnsafeMutablePointer<PageRecord>) {
        let page = SlabAllocator.page(UInt(bitPattern: record))
        // The records' own memory stays: whole system pages only.
        let start = (page.start + 4095) & ~4095
        madvise(UnsafeMutableRawPointer(bitPattern: start), Int(page.end - start), MADV_DONTNEED)
        state.pointee.reservedBytes -= Int(SlabAllocator.pageBytes)
        record.pointee.next = state.pointee.returned
        state.pointee.returned = UInt(bitPattern: record)
    }

    /// Returns all memory that is not in use to the system: the empty pages that were kept, and what malloc holds.
    func releaseUnused() {
        while state.pointee.empty != 0 {
            let record = SlabAllocator.record(state.pointee.empty)
            state.pointee.empty = record.pointee.next
            state.pointee.emptyCount -= 1
            giveBack(record)
        }
        malloc_trim(0)
    }

    /// Traps when a list or a count is damaged. For tests.
    func checkInvariants() {
        var empty = Set<UInt>()
        for head in [state.pointee.empty, state.pointee.returned] {
            var address = head
            while address != 0 {
                precondition(empty.insert(address).inserted, "an empty page is listed twice")
                precondition(SlabAllocator.record(address).pointee.used == 0, "a page in use is listed as empty")
                address = SlabAllocator.record(address).pointee.next
            }
        }
        for sizeClass in 1..<SlabAllocator.classCount {
            var previous: UInt = 0
            var address = state.pointee.classes[sizeClass].available
            while address != 0 {
                let record = SlabAllocator.record(address)
                precondition(record.pointee.previous == previous, "a page's backward link")
                precondition(!empty.contains(address) && record.pointee.used > 0, "an available page is empty")
                var free = 0
                var block = record.pointee.free
                while let base = UnsafeRawPointer(bitPattern: block) {
                    precondition(SlabAllocator.recordAddress(block) == address, "a free block of another page")
                    free += 1
                    block = base.load(as: UInt.self)
                }
                precondition(free > 0, "an available page without a free block")
                let page = SlabAllocator.page(address)
                let isNewest = state.pointee.classes[sizeClass].newest == address
                let drawn = (isNewest ? state.pointee.classes[sizeClass].bump : page.end) - page.start
                precondition(
                    free + record.pointee.used == Int(drawn / state.pointee.classes[sizeClass].size),
                    "blocks of a page do not add up")
                previous = address
                address = record.pointee.next
            }
        }
    }
}
