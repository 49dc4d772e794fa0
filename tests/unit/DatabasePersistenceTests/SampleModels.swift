import DatabasePersistence

/// One key of every type in two databases, small.
let smallModel: Model = [
    0: [
        bytes("text"): ModelEntry(value: .string(bytes("value"))),
        bytes("empty"): ModelEntry(value: .string([])),
        bytes(""): ModelEntry(value: .string(bytes("of the empty key"))),
        bytes("12345"): ModelEntry(value: .string(bytes("-7"))),
        bytes("expiring"): ModelEntry(
            value: .string(bytes("soon")), metadata: EntryMetadata(expiryMilliseconds: 4_102_444_800_123)),
        bytes("list"): ModelEntry(value: .list([bytes("a"), bytes("1"), bytes("a"), []])),
        bytes("set"): ModelEntry(value: .set([bytes("x"), bytes("65536"), bytes("-2147483649")])),
    ],
    7: [
        bytes("hash"): ModelEntry(value: .hash([bytes("f"): bytes("v"), bytes("9"): bytes("10")])),
        bytes("zset"): ModelEntry(
            value: .sortedSet([bytes("m"): 1.5, bytes("3"): -.infinity, bytes("n"): 1e300]),
            metadata: EntryMetadata(expiryMilliseconds: 4_102_444_800_000)),
        bytes("idle"): ModelEntry(value: .string(bytes("x")), metadata: EntryMetadata(idleSeconds: 70000)),
        bytes("frequent"): ModelEntry(value: .string(bytes("x")), metadata: EntryMetadata(accessFrequency: 200)),
    ],
]

/// Every type in sizes on both sides of the limits of Redis's compact encodings, with strings of every length form.
func largeModel() -> Model {
    var entries: [[UInt8]: ModelEntry] = [:]
    for size in [0, 1, 20, 21, 63, 64, 300, 16383, 16384, 70000] {
        entries[bytes("string:\(size)")] = ModelEntry(value: .string([UInt8](repeating: 97, count: size)))
        entries[bytes("noise:\(size)")] = ModelEntry(
            value: .string((0..<size).map { UInt8(truncatingIfNeeded: ($0 &* 7919 &+ 13) >> 3 ^ $0) }))
    }
    for value in [
        0, 12, 13, 127, 128, -128, -129, 4095, 4096, -4096, 32767, 32768, -32769, 8_388_607, 8_388_608, 2_147_483_647,
        2_147_483_648, -2_147_483_648, -2_147_483_649, Int.max, Int.min,
    ] {
        entries[bytes("integer:\(value)")] = ModelEntry(value: .string(bytes("\(value)")))
    }
    for text in ["007", "+1", "-0", "1 ", "1.0", "99999999999999999999"] {
        entries[bytes("almost:\(text)")] = ModelEntry(value: .string(bytes(text)))
    }
    for count in [1, 5, 128, 129, 600] {
        let small = (0..<count).map { bytes("element \($0)") }
        let numbers = (0..<count).map { bytes("\(($0 - count / 2) * 40503 * ($0 % 3 == 0 ? 100_000_000 : 1))") }
        let long = (0..<count).map { bytes("\($0):" + String(repeating: "long ", count: 40)) }
        for (name, members) in [("small", small), ("numbers", numbers), ("long", long)] {
            entries[bytes("list:\(name):\(count)")] = ModelEntry(value: .list(members))
            entries[bytes("set:\(name):\(count)")] = ModelEntry(value: .set(Set(members)))
            var pairs: [[UInt8]: [UInt8]] = [:]
            var scores: [[UInt8]: Double] = [:]
            for (index, member) in members.enumerated() {
                pairs[member] = members[members.count - 1 - index]
                scores[member] = Double(index) * 0.37 - 11
            }
            scores[bytes("integer")] = 17
            scores[bytes("top")] = .infinity
            entries[bytes("hash:\(name):\(count)")] = ModelEntry(value: .hash(pairs))
            entries[bytes("zset:\(name):\(count)")] = ModelEntry(
                value: .sortedSet(scores),
                metadata: EntryMetadata(expiryMilliseconds: 4_102_444_800_000 + Int64(count)))
        }
    }
    entries[bytes("list:huge")] = ModelEntry(value: .list([[UInt8](repeating: 98, count: 20000), bytes("tail")]))
    return [0: entries, 3: smallModel[0] ?? [:], 15: smallModel[7] ?? [:]]
}
