import ByteStorage
import Testing

@testable import DatabaseEngine

@Suite("SlabAllocator")
struct SlabAllocatorTests {
    /// A block that is held, with the byte that fills it.
    private struct Held {
        let block: UnsafeMutableRawPointer
        let count: Int
        let mark: UInt8
    }

    private func isIntact(_ held: Held) -> Bool {
        (0..<held.count).allSatisfy { held.block.load(fromByteOffset: $0, as: UInt8.self) == held.mark }
    }

    @Test("Blocks of every size keep their bytes while others come and go, and the books agree", arguments: [1, 2, 3])
    func randomLife(seed: UInt64) {
        print("seed \(seed)")
        var random = RandomGenerator(seed: seed)
        let slab = SlabAllocator()
        var all: [Held] = []
        for round in 0..<60_000 {
            // Phases of growth and of decay, so that pages become empty.
            let grows = round / 10_000 % 2 == 0
            if all.isEmpty || random.next(below: 10) < (grows ? 8 : 2) {
                let limit: UInt64 = random.next(below: 20) == 0 ? 20_000 : 200
                let count = Int(random.next(below: limit)) + 8
                let held = Held(block: slab.allocate(count), count: count, mark: UInt8(truncatingIfNeeded: round))
                held.block.initializeMemory(as: UInt8.self, repeating: held.mark, count: count)
                all.append(held)
            } else {
                let index = Int(random.next(below: UInt64(all.count)))
                all.swapAt(index, all.count - 1)
                let held = all.removeLast()
                #expect(isIntact(held), "a block of \(held.count) bytes was overwritten")
                slab.free(held.block, held.count)
            }
            if round % 5000 == 0 { slab.checkInvariants() }
        }
        for held in all { slab.free(held.block, held.count) }
        slab.checkInvariants()
        #expect(slab.state.pointee.allocatedBytes == 0)
        // Steady state: what is freed is used again, no new page.
        let reserved = slab.state.pointee.reservedBytes
        for _ in 0..<100 { slab.free(slab.allocate(64), 64) }
        #expect(slab.state.pointee.reservedBytes <= reserved + Int(SlabAllocator.pageBytes))
    }

    @Test("A request of any size finds a class whose blocks hold it and do not overlap")
    func sizes() {
        let slab = SlabAllocator()
        for count in 8...SlabAllocator.largestMedium + 16 {
            let blocks = (0..<3).map { _ in slab.allocate(count) }
            for (mark, block) in blocks.enumerated() {
                block.initializeMemory(as: UInt8.self, repeating: UInt8(mark + 1), count: count)
            }
            for (mark, block) in blocks.enumerated() {
                #expect(block.load(as: UInt8.self) == mark + 1)
                #expect(block.load(fromByteOffset: count - 1, as: UInt8.self) == mark + 1)
                slab.free(block, count)
            }
        }
        #expect(slab.state.pointee.allocatedBytes == 0)
        slab.checkInvariants()
    }

    @Test("Memory of empty pages goes back to the system, but for a share that is kept")
    func givesBack() {
        let slab = SlabAllocator()
        let blocks = (0..<400_000).map { _ in slab.allocate(96) }
        let full = slab.state.pointee.reservedBytes
        #expect(full >= 400_000 * 96)
        for block in blocks { slab.free(block, 96) }
        let kept = SlabAllocator.alwaysRetained * Int(SlabAllocator.pageBytes)
        #expect(slab.state.pointee.reservedBytes <= kept + 2 * Int(SlabAllocator.pageBytes))
        slab.releaseUnused()
        #expect(slab.state.pointee.reservedBytes <= 2 * Int(SlabAllocator.pageBytes))
        slab.checkInvariants()
        // Pages that went back serve again, and no further addresses are taken.
        let chunks = slab.state.pointee.chunks.count
        let again = (0..<400_000).map { _ in slab.allocate(96) }
        #expect(slab.state.pointee.chunks.count == chunks)
        #expect(Set(again).count == again.count)
    }
}
