import Testing

@testable import ByteStorage

@Suite("Integers in text") struct IntegerTests {
    private func parsed(_ text: String) -> Int64? { Array(text.utf8).withView { parseInteger($0) } }

    private func formatted(_ value: Int64) -> String {
        let out = OutputBuffer.create()
        defer { out.destroy() }
        out.append(decimal: value)
        return out.view.string
    }

    @Test("Every integer that is written reads back, and is what Swift writes")
    func roundTrip() {
        var values: [Int64] = [0, .min, .max, .min + 1, .max - 1]
        var power: Int64 = 1
        for _ in 0..<18 {
            values += [power - 1, power, power + 1, -power, -power + 1, -power - 1]
            power *= 10
        }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 { values.append(Int64(truncatingIfNeeded: random.next() >> (random.next() & 63))) }
        for value in values {
            #expect(formatted(value) == String(value))
            #expect(parsed(String(value)) == value)
            #expect(decimalDigits(value.magnitude) == String(value.magnitude).count)
        }
    }

    @Test(
        "What is not the canonical form of an integer is refused",
        arguments: [
            "", "-", "+1", " 1", "1 ", "01", "-0", "-01", "00", "1a", "a", "1.0", "0x1", "--1", "9223372036854775808",
            "-9223372036854775809", "18446744073709551616", "99999999999999999999", "999999999999999999999", "１",
        ])
    func refused(_ text: String) { #expect(parsed(text) == nil) }
}

@Suite("Byte views and the keyed hash") struct ByteViewTests {
    private func bytes(_ count: Int, _ seed: UInt8 = 1) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(seed)) }
    }

    @Test("Equality compares every byte at every length")
    func equality() {
        for count in 0...40 {
            let left = bytes(count)
            #expect(left.withView { a in bytes(count).withView { a == $0 } })
            for position in 0..<count {
                var right = left
                right[position] ^= 0x10
                #expect(!left.withView { a in right.withView { a == $0 } }, "length \(count), byte \(position)")
            }
            #expect(!left.withView { a in bytes(count + 1).withView { a == $0 } })
        }
    }

    @Test("The order is that of bytes, a prefix first")
    func order() {
        func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
            left.withView { a in right.withView { a.compare($0) } }
        }
        #expect(compare([], []) == 0)
        #expect(compare([1], []) > 0)
        #expect(compare([1, 2], [1, 2, 0]) < 0)
        #expect(compare([255], [1]) > 0)
        #expect(compare([1, 2, 3], [1, 3]) < 0)
    }

    @Test("Case is ignored for ASCII letters only")
    func ignoringCase() {
        func matches(_ text: [UInt8]) -> Bool { text.withView { $0.equalsIgnoringCase("ab{") } }
        #expect(matches(Array("AB{".utf8)) && matches(Array("aB{".utf8)))
        #expect(!matches(Array("AB[".utf8)), "[ and { differ by the bit that makes letters lower case")
        #expect(!matches(Array("AB".utf8)) && !matches([0xe1, 0x62, 0x7b]))
    }

    @Test("The hash depends on every byte, on the length and on each random word")
    func hash() {
        let hash = KeyedHash((0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321, 0x1357_9bdf_0246_8ace))
        var seen: Set<UInt64> = []
        var made = 0
        for count in 0...70 {
            let text = bytes(count)
            seen.insert(text.withView { hash($0) })
            made += 1
            for position in 0..<count {
                var other = text
                other[position] ^= 1
                seen.insert(other.withView { hash($0) })
                made += 1
            }
            // Zeros, where a weak mix would lose the length.
            seen.insert([UInt8](repeating: 0, count: count + 2).withView { hash($0) })
            made += 1
        }
        #expect(seen.count == made)
        let text = bytes(33)
        let others = [KeyedHash((1, 2, 3)), KeyedHash((4, 2, 3)), KeyedHash((1, 6, 3)), KeyedHash((1, 2, 8))]
        #expect(Set(others.map { other in text.withView { other($0) } }).count == others.count)
    }

    @Test("The hash of a key does not depend on what lies around it")
    func hashReadsOnlyTheKey() {
        let hash = KeyedHash((7, 8, 9))
        for count in 0...40 {
            let first = [9, 9, 9, 9, 9, 9, 9, 9] + bytes(count) + [1, 2, 3, 4, 5, 6, 7, 8]
            let second = [5, 5, 5, 5, 5, 5, 5, 5] + bytes(count) + [8, 7, 6, 5, 4, 3, 2, 1]
            #expect(
                first.withView { hash($0.slice(8, 8 + count)) } == second.withView { hash($0.slice(8, 8 + count)) })
        }
    }
}
