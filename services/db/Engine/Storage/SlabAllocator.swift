// Memory for entries: size classes in 8-byte steps without a header per object.
//
// A malloc header and rounding cost 8 to 24 bytes an entry, which at 30 million entries is the difference between two
// sizes of machine. Blocks up to 512 bytes come from 64 KiB pages of one class each, freed blocks go to the class's free
// list; larger ones come from malloc. The caller passes the size to `free`, so nothing has to be stored.
// Pages are not given back to the system: what expired is soon written again in this product's load. `allocatedBytes` is
// what is in use, `reservedBytes` what is held.
import ByteStorage
import CLinux

struct SlabAllocator {
    struct State {
        var freeLists: UnsafeMutablePointer<UInt>
        var bump: UnsafeMutablePointer<UInt>
        var bumpEnd: UnsafeMutablePointer<UInt>
        var chunk: UInt = 0
        var chunkEnd: UInt = 0
        var allocatedBytes = 0
        /// The generation bit that new entries are born with: see `KeyspaceWalk`.
        var generation: UInt64 = 0
        var reservedBytes = 0
        /// Bytes of the bucket arrays of all tables that draw their entries from here.
        var tableBytes = 0
    }

    static let largestSlab = 512
    static let pageBytes: UInt = 64 << 10
    static let chunkBytes: UInt = 4 << 20
    private static let classes = largestSlab / 8 + 1

    let state: UnsafeMutablePointer<State>

    init() {
        func zeroed() -> UnsafeMutablePointer<UInt> {
            let words = UnsafeMutablePointer<UInt>.allocate(capacity: SlabAllocator.classes)
            words.initialize(repeating: 0, count: SlabAllocator.classes)
            return words
        }
        state = .allocate(capacity: 1)
        state.initialize(to: State(freeLists: zeroed(), bump: zeroed(), bumpEnd: zeroed()))
    }

    /// The bytes that a request for `count` really takes.
    @inline(__always) static func rounded(_ count: Int) -> Int { (count &+ 7) & ~7 }

    @inline(__always) func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        state.pointee.allocatedBytes &+= SlabAllocator.rounded(count)
        if count > SlabAllocator.largestSlab { return allocateBytes(SlabAllocator.rounded(count)) }
        let sizeClass = (count &+ 7) >> 3
        let head = state.pointee.freeLists[sizeClass]
        // SAFETY: a free block's first word is the address of the next free block of its class, or 0.
        if let block = UnsafeMutableRawPointer(bitPattern: head) {
            state.pointee.freeLists[sizeClass] = block.load(as: UInt.self)
            return block
        }
        let position = state.pointee.bump[sizeClass]
        let size = UInt(sizeClass) &<< 3
        if position &+ size <= state.pointee.bumpEnd[sizeClass],
            let block = UnsafeMutableRawPointer(bitPattern: position)
        {
            state.pointee.bump[sizeClass] = position &+ size
            return block
        }
        return refill(sizeClass)
    }

    @inline(never) private func refill(_ sizeClass: Int) -> UnsafeMutableRawPointer {
        if state.pointee.chunk &+ SlabAllocator.pageBytes > state.pointee.chunkEnd {
            guard let memory = cl_map_anonymous(Int(SlabAllocator.chunkBytes)) else {
                outOfMemory(Int(SlabAllocator.chunkBytes))
            }
            state.pointee.chunk = UInt(bitPattern: memory)
            state.pointee.chunkEnd = state.pointee.chunk + SlabAllocator.chunkBytes
        }
        let page = state.pointee.chunk
        state.pointee.chunk = page + SlabAllocator.pageBytes
        state.pointee.reservedBytes += Int(SlabAllocator.pageBytes)
        let size = UInt(sizeClass) << 3
        state.pointee.bump[sizeClass] = page + size
        state.pointee.bumpEnd[sizeClass] = page + SlabAllocator.pageBytes
        guard let block = UnsafeMutableRawPointer(bitPattern: page) else { outOfMemory(Int(size)) }
        return block
    }

    /// - Parameter count: the count that `allocate` was called with, or any with the same rounding.
    @inline(__always) func free(_ block: UnsafeMutableRawPointer, _ count: Int) {
        state.pointee.allocatedBytes &-= SlabAllocator.rounded(count)
        if count > SlabAllocator.largestSlab { return block.deallocateFromMalloc() }
        let sizeClass = (count &+ 7) >> 3
        block.storeBytes(of: state.pointee.freeLists[sizeClass], as: UInt.self)
        state.pointee.freeLists[sizeClass] = UInt(bitPattern: block)
    }
}
