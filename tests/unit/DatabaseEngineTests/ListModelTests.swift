import ByteStorage
import Testing

@testable import DatabaseEngine

/// Seeded random commands against a Swift array.
@Suite("Lists against a model")
struct ListModelTests {
    /// Elements of few different values, so that searches find something, and of lengths on both sides of every border
    /// of the encoding and of a node.
    private static func element(_ random: inout RandomGenerator, _ largest: Int) -> String {
        let lengths = [0, 1, 2, 5, 20, 100, 252, 253, 254, 1000, 8150, 8200, 66_000].filter { $0 <= largest }
        // Long ones are rare, so that nodes with many elements come about too.
        let pick = min(random.next(below: UInt64(lengths.count)), random.next(below: UInt64(lengths.count)))
        let letter = Character(UnicodeScalar(UInt8(97 + random.next(below: 4))))
        return String(repeating: letter, count: lengths[Int(pick)])
    }

    private static func range(_ start: Int, _ stop: Int, _ count: Int) -> Range<Int> {
        let first = max(0, start < 0 ? start + count : start)
        let last = min(count - 1, stop < 0 ? stop + count : stop)
        return first <= last ? first..<last + 1 : 0..<0
    }

    @Test(
        "Random commands leave the same elements as an array, whatever the node limit",
        arguments: [
            (-2, 66_000, 31), (-2, 20, 32), (-1, 1000, 33), (3, 254, 34), (1, 20, 35), (-5, 66_000, 36),
        ] as [(Int, Int, UInt64)])
    func randomCommands(setting: Int, largest: Int, seed: UInt64) {
        print("seed \(seed)")
        var random = RandomGenerator(seed: seed)
        let session = CommandRunner(seed: seed, nodeSetting: setting)
        var model: [String] = []
        func number(_ bound: Int) -> Int { Int(random.next(below: UInt64(max(1, bound)))) }
        func index() -> Int { number(model.count * 2 + 3) - model.count - 1 }
        let ceiling = largest > 1000 ? 150 : 700
        for step in 0..<4000 {
            let element = Self.element(&random, largest)
            var expected: String
            var command: [String]
            // Grow towards the ceiling, drain when it is reached, over and over.
            let drains = step / 500 % 2 == 1 || model.count > ceiling
            switch number(16) {
            case 0...3 where !drains, 0:
                let elements = (0...number(4)).map { _ in Self.element(&random, largest) }
                command = ["LPUSH", "l"] + elements
                model.insert(contentsOf: elements.reversed(), at: 0)
                expected = ":\(model.count)"
            case 4...6 where !drains, 4:
                let elements = (0...number(4)).map { _ in Self.element(&random, largest) }
                command = ["RPUSH", "l"] + elements
                model += elements
                expected = ":\(model.count)"
            case 1, 2:
                command = ["LPOP", "l"]
                expected = model.isEmpty ? "nil" : model.removeFirst()
            case 5, 6:
                command = ["RPOP", "l"]
                expected = model.isEmpty ? "nil" : model.removeLast()
            case 3:
                let taken = number(6)
                command = ["LPOP", "l", "\(taken)"]
                expected = model.isEmpty ? "*nil" : array(Array(model.prefix(taken)))
                model.removeFirst(min(taken, model.count))
            case 7:
                let taken = number(6)
                command = ["RPOP", "l", "\(taken)"]
                expected = model.isEmpty ? "*nil" : array(model.suffix(taken).reversed())
                model.removeLast(min(taken, model.count))
            case 8:
                let index = index()
                command = ["LINDEX", "l", "\(index)"]
                let actual = index < 0 ? index + model.count : index
                expected = model.indices.contains(actual) ? model[actual] : "nil"
            case 9, 10:
                let index = index()
                command = ["LSET", "l", "\(index)", element]
                let actual = index < 0 ? index + model.count : index
                expected = model.isEmpty ? "-ERR no such key" : "-ERR index out of range"
                if model.indices.contains(actual) {
                    model[actual] = element
                    expected = "+OK"
                }
            case 11:
                let (start, stop) = (index(), index())
                command = ["LRANGE", "l", "\(start)", "\(stop)"]
                expected = array(Array(model[Self.range(start, stop, model.count)]))
            case 12, 13:
                let isAfter = number(2) == 1
                // An existing pivot most of the time.
                let pivot = model.isEmpty || number(4) == 0 ? element : model[number(model.count)]
                command = ["LINSERT", "l", isAfter ? "AFTER" : "before", pivot, element]
                if model.isEmpty {
                    expected = ":0"
                } else if let place = model.firstIndex(of: pivot) {
                    model.insert(element, at: isAfter ? place + 1 : place)
                    expected = ":\(model.count)"
                } else {
                    expected = ":-1"
                }
            case 14:
                let limit = number(5) - 2
                command = ["LREM", "l", "\(limit)", element]
                let matches = model.indices.filter { model[$0] == element }
                let doomed = limit < 0 ? matches.suffix(-limit) : matches.prefix(limit == 0 ? matches.count : limit)
                for index in doomed.reversed() { model.remove(at: index) }
                expected = ":\(doomed.count)"
            default:
                if number(4) == 0 {
                    let start = number(model.count / 8 + 1) - (number(3) == 0 ? model.count : 0)
                    let stop = -1 - number(model.count / 8 + 1)
                    command = ["LTRIM", "l", "\(start)", "\(stop)"]
                    model = Array(model[Self.range(start, stop, model.count)])
                    expected = "+OK"
                } else {
                    let (from, to) = (number(2), number(2))
                    let words = ["LEFT", "RIGHT"]
                    command = ["LMOVE", "l", "l", words[from], words[to]]
                    expected = "nil"
                    if !model.isEmpty {
                        let moved = from == 0 ? model.removeFirst() : model.removeLast()
                        model.insert(moved, at: to == 0 ? 0 : model.count)
                        expected = moved
                    }
                }
            }
            let reply = session(words: command)
            #expect(reply == expected, "step \(step): \(command.map { String($0.prefix(20)) })")
            if reply != expected { return }
            if step % 16 == 0 || drains && step % 4 == 0 {
                #expect(session.elements("l") == model, "step \(step): \(command.map { String($0.prefix(20)) })")
            }
            #expect((session.list("l") == nil) == model.isEmpty)
        }
        session("DEL l")
        #expect(session.engine.slab.state.pointee.allocatedBytes == 0, "blocks were lost")
    }

    @Test("Every index is found from both ends across many nodes")
    func indexes() throws {
        let session = CommandRunner(nodeSetting: 5)
        let elements = (0..<203).map { "element-\($0)" }
        session(words: ["RPUSH", "l"] + elements)
        let list = try #require(session.list("l"))
        #expect(list.nodeCount > 40)
        for index in 0..<203 {
            #expect(list.cursor(at: index)?.element.string == elements[index])
            #expect(session("LINDEX l \(index - 203)") == elements[index])
        }
        #expect(list.cursor(at: 203) == nil && list.cursor(at: -1) == nil)
        var backwards: [String] = []
        list.forEachBackwards(.max) { backwards.append($0.string) }
        #expect(backwards == elements.reversed())
    }

    @Test("Pushing one by one from either end fills nodes", arguments: ["LPUSH", "RPUSH"])
    func fill(command: String) throws {
        let session = CommandRunner()
        for number in 0..<3000 { session("\(command) l value-of-number-\(number)") }
        let list = try #require(session.list("l"))
        list.checkInvariants()
        var used = 0
        list.forEach(.max) { used += ListNode.encodedBytes($0.count) }
        #expect(list.memoryUsage(samples: 0) < used * 11 / 10 + 8192)
    }

    @Test("A queue of constant length keeps its memory constant")
    func queue() {
        let session = CommandRunner()
        for number in 0..<20 { session("RPUSH l job-\(number)") }
        var most = 0
        for number in 20..<5000 {
            #expect(session("LPOP l") == "job-\(number - 20)")
            session("RPUSH l job-\(number)")
            most = max(most, session.list("l")?.memoryUsage(samples: 0) ?? .max)
        }
        #expect(most < 1024)
        #expect(session.elements("l").count == 20)
    }

    @Test("A list of one element is small, and one that was long gives its memory back")
    func memory() throws {
        let session = CommandRunner()
        session("RPUSH l x")
        #expect(try #require(session.list("l")).memoryUsage(samples: 0) <= 72)
        session(words: ["RPUSH", "l"] + (0..<600).map { "element-\($0)" })
        session("LTRIM l 0 0")
        #expect(try #require(session.list("l")).memoryUsage(samples: 0) < 400)
        session(words: ["RPUSH", "l"] + (0..<600).map { "element-\($0)" })
        for _ in 0..<600 { session("LPOP l") }
        #expect(session.elements("l") == ["element-599"])
        #expect(try #require(session.list("l")).memoryUsage(samples: 0) < 400)
    }

    @Test("Insertions and removals all over a long list do not leave it in crumbs")
    func crumbs() throws {
        print("seed 51")
        var random = RandomGenerator(seed: 51)
        let session = CommandRunner()
        var model = (0..<3000).map { "element-number-\($0)" }
        session(words: ["RPUSH", "l"] + model)
        for step in 0..<1500 {
            let place = Int(random.next(below: UInt64(model.count)))
            session(words: ["LINSERT", "l", "BEFORE", model[place], "inserted-\(step)"])
            model.insert("inserted-\(step)", at: place)
        }
        #expect(session.elements("l") == model)
        var kept: [String] = []
        for element in model {
            if random.next(below: 16) == 0 {
                kept.append(element)
            } else {
                session(words: ["LREM", "l", "1", element])
            }
        }
        #expect(session.elements("l") == kept)
        let list = try #require(session.list("l"))
        let used = kept.reduce(0) { $0 + $1.utf8.count + 2 }
        #expect(list.memoryUsage(samples: 0) < used * 8 + 2048, "\(list.nodeCount) nodes for \(used) bytes")
    }
}
