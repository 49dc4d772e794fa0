import DatabasePersistence
import Testing

/// Builders of the compact encodings, written from their descriptions, independent of the walkers under test.
enum Packed {
    static func little(_ value: Int64, _ width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * Int64($0))) }
    }

    static func integer(_ text: [UInt8]) -> Int64? {
        guard let value = Int64(String(decoding: text, as: UTF8.self)), bytes("\(value)") == text else { return nil }
        return value
    }

    static func ziplist(_ entries: [[UInt8]], longPrevious: Bool = false) -> [UInt8] {
        var body: [UInt8] = []
        var previous = 0
        var tail = 10
        for entry in entries {
            tail = 10 + body.count
            var item: [UInt8] = previous < 254 && !longPrevious ? [UInt8(previous)] : [254] + little(Int64(previous), 4)
            if let value = integer(entry) {
                switch value {
                case 0...12: item.append(0xf1 + UInt8(value))
                case -128...127: item += [0xfe] + little(value, 1)
                case -32768...32767: item += [0xc0] + little(value, 2)
                case -8_388_608...8_388_607: item += [0xf0] + little(value, 3)
                case Int64(Int32.min)...Int64(Int32.max): item += [0xd0] + little(value, 4)
                default: item += [0xe0] + little(value, 8)
                }
            } else {
                switch entry.count {
                case 0..<64: item.append(UInt8(entry.count))
                case 64..<16384: item += [0x40 | UInt8(entry.count >> 8), UInt8(entry.count & 0xff)]
                default: item += [0x80] + little(Int64(entry.count), 4).reversed()
                }
                item += entry
            }
            previous = item.count
            body += item
        }
        let total = 10 + body.count + 1
        return little(Int64(total), 4) + little(Int64(tail), 4) + little(Int64(entries.count), 2) + body + [255]
    }

    static func listpack(_ entries: [[UInt8]]) -> [UInt8] {
        var body: [UInt8] = []
        for entry in entries {
            var item: [UInt8] = []
            if let value = integer(entry) {
                switch value {
                case 0...127: item = [UInt8(value)]
                case -4096...4095:
                    let raw = value & 0x1fff
                    item = [0xc0 | UInt8(raw >> 8), UInt8(raw & 0xff)]
                case -32768...32767: item = [0xf1] + little(value, 2)
                case -8_388_608...8_388_607: item = [0xf2] + little(value, 3)
                case Int64(Int32.min)...Int64(Int32.max): item = [0xf3] + little(value, 4)
                default: item = [0xf4] + little(value, 8)
                }
            } else {
                switch entry.count {
                case 0..<64: item = [0x80 | UInt8(entry.count)]
                case 64..<4096: item = [0xe0 | UInt8(entry.count >> 8), UInt8(entry.count & 0xff)]
                default: item = [0xf0] + little(Int64(entry.count), 4)
                }
                item += entry
            }
            var groups: [UInt8] = []
            var rest = item.count
            repeat {
                groups.insert(UInt8(rest & 0x7f) | 0x80, at: 0)
                rest >>= 7
            } while rest > 0
            groups[0] &= 0x7f
            body += item + groups
        }
        return little(Int64(7 + body.count), 4) + little(Int64(entries.count), 2) + body + [255]
    }

    static func zipmap(_ pairs: [([UInt8], [UInt8])], unused: Int = 0) -> [UInt8] {
        func length(_ count: Int) -> [UInt8] { count < 254 ? [UInt8(count)] : [254] + little(Int64(count), 4) }
        var body: [UInt8] = []
        for (field, value) in pairs {
            body += length(field.count) + field + length(value.count) + [UInt8(unused)] + value
            body += [UInt8](repeating: 0xee, count: unused)
        }
        return [UInt8(pairs.count)] + body + [255]
    }

    static func intset(_ values: [Int64], width: Int) -> [UInt8] {
        little(Int64(width), 4) + little(Int64(values.count), 4) + values.flatMap { little($0, width) }
    }

    static func rdbString(_ blob: [UInt8]) -> [UInt8] { [0x80] + little(Int64(blob.count), 4).reversed() + blob }

    /// A version 11 file of one key "k" with the given type and stored value, checksum disabled.
    static func file(_ type: UInt8, _ stored: [UInt8]) -> [UInt8] {
        bytes("REDIS0011") + [type, 1, 107] + stored + [255] + [UInt8](repeating: 0, count: 8)
    }
}

@Suite struct PackedEncodingsTests {
    static let integers: [Int64] = [
        0, 1, 12, 13, 127, 128, -1, -128, -129, 4095, 4096, -4096, -4097, 32767, 32768, -32768, -32769, 8_388_607,
        8_388_608, -8_388_608, -8_388_609, 2_147_483_647, 2_147_483_648, -2_147_483_648, -2_147_483_649, .max, .min,
    ]
    static let texts: [[UInt8]] =
        [[], bytes("a"), bytes("01"), bytes("text")]
        + [63, 64, 127, 128, 249, 252, 253, 254, 4095, 4096, 16383, 16384, 70000].map {
            [UInt8](repeating: 65 + UInt8($0 % 23), count: $0)
        }
    static var all: [[UInt8]] { integers.map { bytes("\($0)") } + texts }

    func value(_ data: [UInt8]) throws -> ModelValue {
        let loaded = load(data)
        if let error = loaded.error { throw error }
        return try #require(loaded.databases[0]?[bytes("k")]).value
    }

    @Test("Lists: ziplist, quicklist of ziplists, quicklist of listpacks and plain nodes") func lists() throws {
        let all = Self.all
        let half = all.count / 2
        let (first, second) = ([[UInt8]](all[..<half]), [[UInt8]](all[half...]))
        #expect(try value(Packed.file(10, Packed.rdbString(Packed.ziplist(all)))) == .list(all))
        #expect(try value(Packed.file(10, Packed.rdbString(Packed.ziplist(all, longPrevious: true)))) == .list(all))
        let nodes = Packed.rdbString(Packed.ziplist(first)) + Packed.rdbString(Packed.ziplist(second))
        #expect(try value(Packed.file(14, [2] + nodes)) == .list(all))
        let plain = bytes("a plain node")
        let nodes2 =
            [2] + Packed.rdbString(Packed.listpack(first)) + [1] + Packed.rdbString(plain)
            + [2] + Packed.rdbString(Packed.listpack([])) + [2] + Packed.rdbString(Packed.listpack(second))
        #expect(try value(Packed.file(18, [4] + nodes2)) == .list(first + [plain] + second))
    }

    @Test("Sets: intsets of each width, listpack") func sets() throws {
        #expect(try value(Packed.file(20, Packed.rdbString(Packed.listpack(Self.all)))) == .set(Set(Self.all)))
        for (width, bound) in [(2, Int64(Int16.max)), (4, Int64(Int32.max)), (8, Int64.max)] {
            let values = [-bound - 1, -5, 0, 7, bound]
            #expect(
                try value(Packed.file(11, Packed.rdbString(Packed.intset(values, width: width))))
                    == .set(Set(values.map { bytes("\($0)") })))
        }
    }

    @Test("Hashes: zipmap, ziplist, listpack") func hashes() throws {
        let all = Self.all
        var expected: [[UInt8]: [UInt8]] = [:]
        var flat: [[UInt8]] = []
        var pairs: [([UInt8], [UInt8])] = []
        for (index, field) in all.enumerated() {
            let value = all[(index * 5 + 3) % all.count]
            expected[field] = value
            flat += [field, value]
            pairs.append((field, value))
        }
        #expect(try value(Packed.file(13, Packed.rdbString(Packed.ziplist(flat)))) == .hash(expected))
        #expect(try value(Packed.file(16, Packed.rdbString(Packed.listpack(flat)))) == .hash(expected))
        for unused in [0, 3] {
            let data = Packed.file(9, Packed.rdbString(Packed.zipmap(pairs, unused: unused)))
            #expect(try value(data) == .hash(expected))
        }
    }

    @Test("Sorted sets: text scores, ziplist, listpack") func sortedSets() throws {
        let scores: [(String, Double)] = [("1", 1), ("-2.5", -2.5), ("inf", .infinity), ("1e-7", 1e-7), ("17", 17)]
        var expected: [[UInt8]: Double] = [:]
        var flat: [[UInt8]] = []
        var plain: [UInt8] = [7]
        for (index, (text, score)) in scores.enumerated() {
            expected[bytes("\(index)")] = score
            flat += [bytes("\(index)"), bytes(text)]
            plain += [1, 48 + UInt8(index), UInt8(text.utf8.count)] + bytes(text)
        }
        #expect(try value(Packed.file(12, Packed.rdbString(Packed.ziplist(flat)))) == .sortedSet(expected))
        #expect(try value(Packed.file(17, Packed.rdbString(Packed.listpack(flat)))) == .sortedSet(expected))
        expected[bytes("hi")] = .infinity
        expected[bytes("lo")] = -.infinity
        plain += [2, 104, 105, 254, 2, 108, 111, 255]
        #expect(try value(Packed.file(3, plain)) == .sortedSet(expected))
    }

    @Test("Wrong inner structure is damage at the value's offset") func wrongStructure() throws {
        var short = Packed.listpack([bytes("a"), bytes("b")])
        short[4] = 1
        let cases: [(UInt8, [UInt8])] = [
            (16, Packed.listpack([bytes("odd")])), (13, Packed.ziplist([bytes("odd")])),
            (17, Packed.listpack([bytes("m"), bytes("score")])), (12, Packed.ziplist([bytes("m"), bytes("nan")])),
            (11, Packed.intset([5, 4], width: 2)), (11, Packed.intset([5, 5], width: 2)),
            (11, Packed.intset([1], width: 3)), (20, short), (20, []), (10, [1, 2, 3]), (9, []), (11, [2]),
            (9, Packed.zipmap([(bytes("f"), bytes("v"))]).dropLast()),
        ]
        for (type, blob) in cases {
            let error = try #require(load(Packed.file(type, Packed.rdbString(blob))).error, "type \(type)")
            #expect(error.code == .damaged && error.offset == 12 && error.key == bytes("k"), "type \(type): \(error)")
        }
        // An empty one of any kind is no key.
        let empty: [(UInt8, [UInt8])] = [
            (16, Packed.listpack([])), (10, Packed.ziplist([])), (9, Packed.zipmap([])),
        ]
        for (type, blob) in empty {
            let loaded = load(Packed.file(type, Packed.rdbString(blob)))
            #expect(loaded.error == nil && loaded.summary.emptyKeys == 1)
        }
    }

    @Test("Damage of any byte and every truncation of every encoding is survived") func damage() {
        let entries = Self.integers.map { bytes("\($0)") } + [bytes("text"), [UInt8](repeating: 66, count: 300)]
        let even = entries.count % 2 == 0 ? entries : entries + [bytes("x")]
        let blobs: [(UInt8, [UInt8])] = [
            (10, Packed.ziplist(even)), (13, Packed.ziplist(even)), (16, Packed.listpack(even)),
            (20, Packed.listpack(even)), (17, Packed.listpack(even)), (12, Packed.ziplist(even)),
            (11, Packed.intset([-4, 0, 9], width: 4)),
            (9, Packed.zipmap([(bytes("field"), bytes("value")), (bytes("g"), even[even.count - 1])], unused: 2)),
        ]
        for (type, blob) in blobs {
            for index in blob.indices {
                for flip in [0x01, 0x02, 0x20, 0x80, 0xff] as [UInt8] {
                    var damaged = blob
                    damaged[index] ^= flip
                    _ = load(Packed.file(type, Packed.rdbString(damaged)))
                }
                let cut = load(Packed.file(type, Packed.rdbString([UInt8](blob.prefix(index)))))
                #expect(cut.error != nil, "type \(type) cut at \(index)")
            }
        }
    }
}
