import ByteStorage
import Testing

@testable import DatabaseEngine

/// A table and a dictionary that must agree.
private final class CheckedTable {
    var random: RandomGenerator
    let slab = SlabAllocator()
    let hash: KeyedHash
    let table: Table
    var model: [String: String] = [:]

    init(seed: UInt64, buckets: Int = 1) {
        random = RandomGenerator(seed: seed)
        hash = KeyedHash((random.next(), random.next(), random.next()))
        table = Table(hash: hash, slab: slab, buckets: buckets)
    }

    func put(_ key: String, _ value: String) {
        model[key] = value
        Array(key.utf8).withView { key in
            Array(value.utf8).withView { value in
                let hashed = hash(key)
                let entry = Entry.makeElement(slab, key, value)
                if let slot = table.find(key, hashed) {
                    Table.entry(slot).freeBlock(slab)
                    slot.pointee = UInt(bitPattern: entry.base)
                } else {
                    table.insert(entry, hashed)
                }
            }
        }
    }

    func remove(_ key: String) -> Bool {
        model[key] = nil
        return Array(key.utf8).withView { key in
            let hashed = hash(key)
            guard let slot = table.find(key, hashed) else { return false }
            let entry = Table.entry(slot)
            table.remove(slot, hashed)
            entry.freeBlock(slab)
            return true
        }
    }

    func get(_ key: String) -> String? {
        Array(key.utf8).withView { key in
            table.find(key, hash(key)).map { Table.entry($0).string.string }
        }
    }

    func checkAgainstModel() {
        table.checkInvariants()
        #expect(table.count == model.count)
        for (key, value) in model { #expect(get(key) == value) }
    }
}

@Suite("Table")
struct TableTests {
    @Test("A random workload leaves what a dictionary would hold", arguments: [1, 2, 3] as [UInt64])
    func randomWorkload(seed: UInt64) {
        let checked = CheckedTable(seed: seed)
        for round in 0..<6 {
            // Growing rounds and shrinking rounds, so that the table is resized both ways.
            let isGrowing = round % 2 == 0
            for _ in 0..<3000 {
                let key = "key:\(checked.random.below(2000))"
                if checked.random.below(10) < (isGrowing ? 8 : 2) {
                    checked.put(key, "value \(checked.random.below(1000))")
                } else {
                    let expected = checked.model[key] != nil
                    #expect(checked.remove(key) == expected, "seed \(seed)")
                }
            }
            checked.checkAgainstModel()
        }
        for key in checked.model.keys.sorted() { #expect(checked.remove(key)) }
        checked.checkAgainstModel()
        let tableBytes = checked.slab.state.pointee.tableBytes
        #expect(tableBytes == checked.table.bucketBytes + Table.stateBytes)
        checked.table.destroy()
        #expect(checked.slab.state.pointee.tableBytes == 0)
        #expect(checked.slab.state.pointee.allocatedBytes == 0)
    }

    @Test("A tiny table whose buckets all overflowed once still ends a search for an absent key")
    func fullCountersInTinyTable() {
        for seed in 1...20 as ClosedRange<UInt64> {
            let checked = CheckedTable(seed: seed, buckets: 2)
            for number in 0..<3000 {
                // Between 4 and 11 keys: two buckets all the time.
                while checked.table.count > 10, let key = checked.model.keys.min() { _ = checked.remove(key) }
                checked.put("\(number &* 7919 % 5000)", "x")
                if checked.random.below(2) == 0, let key = checked.model.keys.max() { _ = checked.remove(key) }
                #expect(checked.get("absent") == nil)
            }
            checked.table.checkInvariants()
        }
    }

    @Test("Keys of 4094 to 70000 bytes are found, and told apart from those one byte longer")
    func longKeys() {
        let checked = CheckedTable(seed: 4)
        for count in [4094, 4095, 4096, 5000, 65535, 65536, 70000] {
            checked.put(String(repeating: "k", count: count), "value of \(count)")
        }
        checked.checkAgainstModel()
        #expect(checked.get(String(repeating: "k", count: 4097)) == nil)
        #expect(checked.remove(String(repeating: "k", count: 4095)))
        checked.checkAgainstModel()
    }

    @Test("A scan sees every key that stays, while the table grows and shrinks")
    func scanGuarantee() {
        for seed in 1...5 as ClosedRange<UInt64> {
            let checked = CheckedTable(seed: seed)
            let staying = (0..<300).map { "stays:\($0)" }
            for key in staying { checked.put(key, "") }
            if seed % 2 == 0 { for number in 0..<4000 { checked.put("goes:\(number)", "") } }
            var seen: Set<String> = []
            var cursor: UInt64 = 0
            var number = 0
            repeat {
                cursor = checked.table.scan(cursor) { seen.insert($0.key.string) }
                for _ in 0..<(seed % 2 == 0 ? 40 : 3) {
                    if seed % 2 == 0 { _ = checked.remove("goes:\(number)") } else { checked.put("more:\(number)", "") }
                    number += 1
                }
            } while cursor != 0
            #expect(seen.isSuperset(of: staying), "seed \(seed)")
        }
    }

    @Test("A walk during a rehash visits every entry once, and may look others up")
    func walkDuringRehash() {
        let checked = CheckedTable(seed: 6)
        var number = 0
        while !checked.table.isRehashing || number < 500 {
            checked.put("key:\(number)", "")
            number += 1
        }
        var seen: [String] = []
        checked.table.forEachWhile { entry in
            seen.append(entry.key.string)
            return checked.table.peek(entry.key, checked.hash(entry.key)) != nil
        }
        #expect(seen.sorted() == checked.model.keys.sorted())
    }

    @Test("Random entries come from all of the table, about equally often")
    func randomEntries() {
        let checked = CheckedTable(seed: 7)
        for number in 0..<100 { checked.put("key:\(number)", "") }
        var hits: [String: Int] = [:]
        for _ in 0..<20_000 {
            if let entry = checked.table.randomEntry(&checked.random) { hits[entry.key.string, default: 0] += 1 }
        }
        #expect(hits.count == 100)
        #expect(hits.values.allSatisfy { $0 > 120 && $0 < 290 })
    }

    @Test("A reserved table takes its entries without growing")
    func reserve() {
        let checked = CheckedTable(seed: 8)
        checked.table.reserve(1000)
        let slots = checked.table.slotCount
        for number in 0..<1000 { checked.put("key:\(number)", "") }
        #expect(checked.table.slotCount == slots)
        checked.checkAgainstModel()
    }
}
