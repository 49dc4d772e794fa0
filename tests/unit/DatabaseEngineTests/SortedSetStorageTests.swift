import ByteStorage
import Testing

@testable import DatabaseEngine

/// A sorted set and a model that must agree.
private final class CheckedSortedSet {
    let engine: Engine
    var random: RandomGenerator
    var value: SortedSetValue
    var model: [String: Double] = [:]

    init(seed: UInt64) {
        engine = Engine(seed: seed, nowMilliseconds: 0)
        random = RandomGenerator(seed: seed)
        value = SortedSetValue.make(engine)
    }

    func put(_ member: String, _ score: Double) {
        Array(member.utf8).withView { view in
            if let old = model[member] {
                value.update(engine, view, from: old, to: score)
            } else {
                value.insert(engine, view, score)
            }
        }
        model[member] = score
    }

    func remove(_ member: String) -> Bool {
        model[member] = nil
        return Array(member.utf8).withView { value.remove(engine, $0) }
    }

    var order: [String] {
        model.sorted {
            $0.value != $1.value
                ? $0.value < $1.value : Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8))
        }
        .map(\.key)
    }

    func members(from: Int, count: Int, reversed: Bool = false) -> [String] {
        var result: [String] = []
        value.forEach(from: from, count: count, reversed: reversed) { member, _ in result.append(member.string) }
        return result
    }

    func check() {
        value.checkInvariants()
        let order = order
        #expect(value.count == order.count)
        #expect(members(from: 0, count: order.count) == order)
        #expect(members(from: order.count - 1, count: order.count, reversed: true) == order.reversed())
        for (rank, member) in order.enumerated() where rank % 7 == 0 {
            let found = Array(member.utf8).withView { value.rank(engine, $0) }
            #expect(found?.rank == rank)
            #expect(found?.score == model[member])
        }
        let some = order.isEmpty ? 0 : order.count / 3
        #expect(
            members(from: some, count: (order.count - some) / 2)
                == Array(order[some...].prefix((order.count - some) / 2)))
        for bound in [-1, 0, 3.5, 20, 1000] as [Double] {
            #expect(value.scorePrefix { $0 < bound } == model.values.filter { $0 < bound }.count)
            #expect(value.scorePrefix { $0 <= bound } == model.values.filter { $0 <= bound }.count)
        }
    }
}

@Suite("Sorted set storage")
struct SortedSetStorageTests {
    @Test("Random insertions, moves and removals keep order and ranks", arguments: [1, 2, 3, 4] as [UInt64])
    func randomWorkload(seed: UInt64) {
        let checked = CheckedSortedSet(seed: seed)
        // Many equal scores, few equal scores, ever-growing scores.
        let scores = seed == 1 ? 5 : 2000
        let members = seed == 2 ? 100 : 3000
        for round in 0..<4 {
            for step in 0..<2500 {
                let member = "m\(checked.random.below(members))"
                if checked.random.below(10) < (round % 2 == 0 ? 8 : 2) {
                    let score = seed == 4 ? Double(round * 2500 + step) : Double(checked.random.below(scores)) / 2
                    checked.put(member, score)
                } else {
                    let expected = checked.model[member] != nil
                    #expect(checked.remove(member) == expected)
                }
            }
            checked.check()
            let copy = checked.value.duplicate(checked.engine)
            copy.checkInvariants()
            #expect(copy.count == checked.value.count)
            copy.destroy(checked.engine)
        }
        for member in checked.order { #expect(checked.remove(member)) }
        checked.check()
        checked.value.destroy(checked.engine)
        #expect(checked.engine.slab.state.pointee.allocatedBytes == 0)
    }

    @Test("Ascending, descending and alternating insertion orders build a sound tree", arguments: [0, 1, 2])
    func insertionOrders(order: Int) {
        let checked = CheckedSortedSet(seed: 5)
        for number in 0..<3000 {
            let score = order == 0 ? number : order == 1 ? -number : number % 2 == 0 ? number : -number
            checked.put("m\(number)", Double(score))
        }
        checked.check()
        if order == 0 {
            // Appending fills the nodes: little more than 16 bytes a member.
            let bytes = checked.value.memoryUsage(samples: 5) - checked.value.table.memoryUsage(samples: 5)
            #expect(bytes < 3000 * 20)
        }
    }

    @Test(
        "Scores that move by little keep the order, whether they pass a neighbour, meet it or stay", arguments: [7, 8])
    func smallMoves(seed: UInt64) {
        let checked = CheckedSortedSet(seed: seed)
        for number in 0..<1000 { checked.put("m\(number)", Double(number * 2)) }
        for round in 0..<20 {
            for _ in 0..<200 {
                let member = "m\(checked.random.below(1000))"
                // Halves stay between neighbours, even steps meet them, longer ones pass them and leave the leaf.
                let step = [0.5, -0.5, 1, -1, 2, -2, 5, -5, 100, -100][checked.random.below(seed == 7 ? 10 : 4)]
                checked.put(member, (checked.model[member] ?? 0) + step)
            }
            if round % 5 == 4 { checked.check() } else { checked.value.checkInvariants() }
        }
        checked.value.destroy(checked.engine)
    }

    @Test("Members of one score, over many nodes, are found and moved by their bytes")
    func equalScores() {
        let checked = CheckedSortedSet(seed: 9)
        for number in 0..<2000 { checked.put("m\(number * 7919 % 2000)", 1) }
        checked.check()
        for number in stride(from: 0, to: 2000, by: 3) { checked.put("m\(number)", number % 2 == 0 ? 1 : 2) }
        checked.check()
        for number in stride(from: 0, to: 2000, by: 2) { #expect(checked.remove("m\(number)")) }
        checked.check()
        checked.value.destroy(checked.engine)
    }

    @Test("Ranges taken out at the head, the tail and the middle leave the rest in order")
    func removingRanges() {
        for size in [100, 2000] {
            let checked = CheckedSortedSet(seed: 6)
            for number in 0..<size { checked.put("m\(number)", Double(checked.random.below(500))) }
            while checked.value.count > 0 {
                let count = min(checked.value.count, 1 + checked.random.below(size / 5))
                let places = [0, checked.value.count - count, checked.random.below(checked.value.count - count + 1)]
                let rank = places[checked.random.below(3)]
                for member in checked.order[rank..<(rank + count)] { checked.model[member] = nil }
                checked.value.removeRange(checked.engine, from: rank, count: count)
                checked.check()
            }
        }
    }

    @Test("Doubles are written in the shortest form that reads back, in Redis's style")
    func doubleText() {
        let cases: [(Double, String)] = [
            (0, "0"), (-0.0, "-0"), (1, "1"), (-1, "-1"), (3.0, "3"), (1e15, "1000000000000000"),
            (1e18, "1000000000000000000"),
            (1e19, "1e+19"), (1e20, "1e+20"), (1.5e300, "1.5e+300"), (0.1, "0.1"), (-0.1, "-0.1"), (1.5, "1.5"),
            (0.1 + 0.2, "0.30000000000000004"), (3.14159, "3.14159"), (1e-5, "0.00001"), (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-7, "1.25e-7"), (123456.789, "123456.789"), (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (.infinity, "inf"), (-.infinity, "-inf"), (-1e-10, "-1e-10"), (1234567890123456.5, "1234567890123456.5"),
        ]
        for (value, text) in cases { #expect(withDoubleText(value) { $0.string } == text) }
        var random = RandomGenerator(seed: 3)
        for _ in 0..<5000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            let text = withDoubleText(value) { $0.array }
            #expect(text.withView(parseDouble) == value)
            #expect(text.count < doubleTextBytes)
        }
    }

    @Test("Numbers are read as strtod does, as a whole, without blanks or not-a-number")
    func doubleParsing() {
        func parse(_ text: String) -> Double? { Array(text.utf8).withView(parseDouble) }
        #expect(parse("1") == 1)
        #expect(parse("-1.5e3") == -1500)
        #expect(parse("+2.5") == 2.5)
        #expect(parse(".5") == 0.5)
        #expect(parse("5.") == 5)
        #expect(parse("inf") == .infinity)
        #expect(parse("+inf") == .infinity)
        #expect(parse("-Infinity") == -.infinity)
        #expect(parse("0x10") == 16)
        #expect(parse("123456789012345678") == 123456789012345678)
        for bad in ["", " 1", "1 ", "nan", "-nan", "1e400", "1x", "abc", "--1", "1e", "\u{0}", "1\u{0}"] {
            #expect(parse(bad) == nil, "\(bad)")
        }
    }
}
