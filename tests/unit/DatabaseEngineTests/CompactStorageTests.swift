import ByteStorage
import Testing

@testable import DatabaseEngine

@Suite("CompactList and IntegerSet")
struct CompactStorageTests {
    @Test("A compact list under random changes holds what an array would", arguments: [1, 2, 3] as [UInt64])
    func compactList(seed: UInt64) {
        var random = RandomGenerator(seed: seed)
        let slab = SlabAllocator()
        var list = CompactList.make(slab)
        var model: [[UInt8]] = []
        func element() -> [UInt8] {
            // Lengths on both sides of the one-byte and the two-byte prefix.
            let lengths = [0, 1, 5, 20, 252, 253, 254, 300]
            let count = random.below(200) == 0 ? 65_530 + random.below(12) : lengths[random.below(lengths.count)]
            return [UInt8](repeating: UInt8(random.below(256)), count: count)
        }
        for _ in 0..<1500 {
            let index = random.below(model.count + 1)
            let new = element()
            switch random.below(4) {
            case 0, 1:
                new.withView { list.insert(slab, list.position(index), $0) }
                model.insert(new, at: index)
            case 2 where index < model.count:
                new.withView { list.replace(slab, list.position(index), $0) }
                model[index] = new
            case 3 where index < model.count:
                let number = min(1 + random.below(2), model.count - index)
                list.remove(slab, list.position(index), number)
                model.removeSubrange(index..<(index + number))
            default: break
            }
            if model.count > 60 {
                list.remove(slab, list.start, model.count)
                model.removeAll()
            }
        }
        list.checkInvariants()
        #expect(list.count == model.count)
        var position = list.start
        for element in model {
            #expect(list[position].array == element, "seed \(seed)")
            position = list.next(position)
        }
        #expect(position == list.end)
        // A medium block wastes an eighth at most.
        let allocated = slab.state.pointee.allocatedBytes
        #expect(allocated >= list.blockBytes && allocated <= SlabAllocator.rounded(list.blockBytes) * 9 / 8)
        list.destroy(slab)
        #expect(slab.state.pointee.allocatedBytes == 0)
    }

    @Test("A search in steps of two finds fields, never values")
    func findsFields() {
        let slab = SlabAllocator()
        var list = CompactList.make(slab)
        for word in ["a", "b", "b", "c", "", "x"] { Array(word.utf8).withView { list.append(slab, $0) } }
        #expect(list.find(ByteView("b")) == list.position(1))
        #expect(list.find(ByteView("b"), step: 2) == list.position(2))
        #expect(list.find(ByteView(""), step: 2) == list.position(4))
        #expect(list.find(ByteView("c"), step: 2) == nil)
        #expect(list.find(ByteView("x"), step: 2) == nil)
    }

    @Test("Block sizes grow in small steps and never fall short")
    func steppedSizes() {
        var previous = 0
        for bytes in 1..<20_000 {
            let size = steppedSize(bytes)
            #expect(size >= bytes && size >= previous && size % 8 == 0 && size <= bytes + max(8, bytes / 8))
            previous = size
        }
    }

    @Test("A set of integers of all widths holds what a set would, in order")
    func integerSet() {
        var random = RandomGenerator(seed: 9)
        let slab = SlabAllocator()
        var set = IntegerSet.make(slab)
        var model: Set<Int64> = []
        for round in 0..<6000 {
            let spans: [UInt64] = [50, 100_000, 1 << 40]
            var value = Int64(random.next(below: spans[min(2, round / 2000)]))
            if random.below(2) == 0 { value = -value }
            if round == 5000 { value = .max }
            if round == 5001 { value = .min }
            if random.below(3) == 0 {
                #expect(set.remove(slab, value) == (model.remove(value) != nil))
            } else {
                #expect(set.insert(slab, value) == model.insert(value).inserted)
            }
            #expect(set.contains(value) == model.contains(value))
        }
        set.checkInvariants()
        #expect((0..<set.count).map { set[$0] } == model.sorted())
        let copy = set.duplicate(slab)
        #expect((0..<copy.count).map { copy[$0] } == model.sorted())
        copy.destroy(slab)
        set.destroy(slab)
        #expect(slab.state.pointee.allocatedBytes == 0)
    }
}
