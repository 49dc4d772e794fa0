import ByteStorage
import DatabasePersistence
import TestSupport
import Testing

@Suite struct RDBDamageTests {
    @Test("A file cut anywhere is an error whose offset is not past the end") func truncation() throws {
        let data = rdbBytes(smallModel, compressStrings: true)
        for count in 0..<data.count {
            let error = try #require(load([UInt8](data.prefix(count))).error, "cut at \(count)")
            #expect(error.code == .truncated, "cut at \(count): \(error)")
            #expect(try #require(error.offset) <= UInt64(count))
        }
    }

    @Test("A changed byte anywhere is an error, and none of them traps") func damage() {
        let data = rdbBytes(smallModel, compressStrings: true)
        for index in data.indices {
            for flip in [0x01, 0x40, 0x80, 0xff] as [UInt8] {
                var damaged = data
                damaged[index] ^= flip
                let loaded = load(damaged)
                // A version below 5 has no checksum to find the rest; all else must be found.
                if loaded.summary.version < 5 && loaded.error == nil { continue }
                #expect(loaded.error != nil, "byte \(index) xor \(flip)")
            }
        }
    }

    @Test("With the checksum disabled, damage still never traps or delivers more than there is") func noChecksum() {
        var data = rdbBytes(largeModel())
        data = [UInt8](data.prefix(3000)) + [255] + [UInt8](repeating: 0, count: 8)
        print("seed 11")
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<3000 {
            var damaged = data
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                damaged[Int.random(in: 9..<damaged.count, using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            _ = load(damaged)
        }
    }

    /// A header, the given body, end of file and a disabled checksum.
    func file(_ body: [UInt8], version: String = "0011") -> [UInt8] {
        bytes("REDIS" + version) + body + [255] + [UInt8](repeating: 0, count: 8)
    }

    @Test("A disabled checksum and versions without one are accepted") func withoutChecksum() {
        let loaded = load(file([0, 1, 107, 1, 118]))
        #expect(loaded.error == nil && !loaded.summary.checksumVerified)
        #expect(loaded.databases == [0: [bytes("k"): ModelEntry(value: .string(bytes("v")))]])
        let old = load(bytes("REDIS0003") + [254, 2, 253, 16, 39, 0, 0, 0, 1, 107, 1, 118, 255])
        #expect(old.error == nil)
        #expect(
            old.databases == [
                2: [
                    bytes("k"): ModelEntry(
                        value: .string(bytes("v")), metadata: EntryMetadata(expiryMilliseconds: 10_000_000))
                ]
            ])
    }

    @Test("The checksum's error names both values") func checksum() throws {
        var data = rdbBytes(smallModel)
        data[data.count - 1] ^= 1
        let error = try #require(load(data).error)
        #expect(error.code == .checksum && error.offset == UInt64(data.count - 8))
    }

    @Test(
        "Each kind of bad input has its own error with code, offset and key",
        arguments: [
            (Array("RADIS0011".utf8), PersistenceError.Code.damaged, 0),
            (Array("REDIS00x1".utf8), .damaged, 5),
            (Array("REDIS0013".utf8), .unsupported, 5),
            (Array("REDIS0001".utf8), .unsupported, 5),
        ] as [([UInt8], PersistenceError.Code, UInt64)])
    func badHeader(data: [UInt8], code: PersistenceError.Code, offset: UInt64) throws {
        let error = try #require(load(data).error)
        #expect(error.code == code && error.offset == offset)
    }

    @Test("Bad bodies are told apart") func badBodies() throws {
        // (body, code, offset from the end of the header, key)
        let cases: [([UInt8], PersistenceError.Code, UInt64, String?)] = [
            ([100], .damaged, 0, nil),  // no such type
            ([8, 1, 107], .damaged, 0, nil),
            ([15, 1, 107, 1], .unsupported, 0, "k"),  // stream
            ([21, 1, 107, 1], .unsupported, 0, "k"),
            ([7, 1, 107, 1], .unsupported, 0, "k"),  // module
            ([24, 1, 107, 1], .unsupported, 0, "k"),  // hash with field expiries
            ([246], .unsupported, 0, nil),
            ([0, 1, 107, 0x82], .damaged, 3, "k"),  // a length form that does not exist
            ([0, 1, 107, 0xc9], .damaged, 3, "k"),  // a string encoding that does not exist
            ([0, 1, 107, 0x81, 0, 0, 1, 0, 0, 0, 0, 0], .limit, 3, "k"),
            ([0, 1, 107, 0xc3, 2, 0x80, 0x10, 0, 0, 0, 0, 97], .damaged, 3, "k"),  // 2 bytes that make 256 MB
            ([0, 1, 107, 0xc3, 2, 2, 0, 97], .damaged, 3, "k"),  // 2 bytes that make 1
            ([1, 1, 107, 0xc0, 5], .damaged, 3, "k"),  // an encoded string for a count
            ([3, 1, 107, 1, 1, 109, 253], .damaged, 6, "k"),  // NaN
            ([3, 1, 107, 1, 1, 109, 2, 49, 120], .damaged, 6, "k"),
            ([18, 1, 107, 1, 3, 1, 97], .damaged, 4, "k"),  // a list node's kind
            ([0, 1, 107, 1, 118, 0, 1, 107, 1, 119], .refused, 5, "k"),  // twice the same key
            ([254, 0x81, 255, 255, 255, 255, 255, 255, 255, 255], .damaged, 0, nil),
        ]
        for (body, code, offset, key) in cases {
            let error = try #require(load(file(body)).error, "\(body)")
            #expect(error.code == code && error.offset == offset + 9, "\(body): \(error)")
            #expect(error.key == key.map(bytes), "\(body): \(error)")
        }
    }

    @Test("A length of gigabytes without the bytes is an error before it is memory") func hugeLength() throws {
        let data = file([0, 1, 107, 0x80, 0x1f, 0xff, 0xff, 0xff, 1, 2, 3])
        let error = try #require(load(data).error)
        #expect(error.code == .truncated)
        let many = bytes("REDIS0011") + [2, 1, 107, 0x81, 255, 255, 255, 255, 255, 255, 255, 255, 1, 97, 1, 98]
        #expect(load(many).error?.code == .truncated)
    }

    @Test("A string above the caller's limit is refused") func limit() throws {
        let data = file([0, 1, 107, 5, 1, 2, 3, 4, 5])
        #expect(load(data, maximumStringBytes: 5).error == nil)
        #expect(load(data, maximumStringBytes: 4).error?.code == .limit)
    }

    @Test("Slot information, module data and unknown fields are passed over") func skipping() {
        let body: [UInt8] =
            [244, 1, 2, 3]
            + [247, 0x81, 1, 2, 3, 4, 5, 6, 7, 8, 2, 1]
            + [1, 5, 2, 6, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 97, 98, 0]
            + [250, 1, 120, 1, 121, 0, 1, 107, 1, 118]
        let loaded = load(file(body))
        #expect(loaded.error == nil && loaded.databases[0]?.count == 1)
        #expect(loaded.sink.auxiliary == ["x": "y"])
    }

    @Test("Collections without elements are counted and not delivered") func emptyKeys() {
        let loaded = load(file([1, 1, 97, 0, 2, 1, 98, 0, 4, 1, 99, 0, 5, 1, 100, 0, 14, 1, 101, 0]))
        #expect(loaded.error == nil && loaded.databases.isEmpty)
        #expect(loaded.summary.emptyKeys == 5 && loaded.summary.keys == 0)
    }
}
