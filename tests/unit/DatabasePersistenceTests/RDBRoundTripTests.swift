import ByteStorage
import DatabasePersistence
import Testing

@Suite struct RDBRoundTripTests {
    @Test("What is written is read back, in every version, with and without compressed strings")
    func roundTrip() {
        for (name, model) in [("small", smallModel), ("large", largeModel())] {
            let plain = rdbBytes(model)
            for version in RDBFormat.writableVersions {
                let loaded = load(rdbBytes(model, version: version))
                #expect(loaded.error == nil, "\(String(describing: loaded.error)) in \(name)")
                #expect(loaded.databases == model)
                #expect(loaded.summary.version == version && loaded.summary.checksumVerified)
                #expect(loaded.summary.keys == UInt64(model.values.map(\.count).reduce(0, +)))
            }
            let packed = rdbBytes(model, compressStrings: true)
            #expect(load(packed).databases == model)
            if name == "large" { #expect(packed.count < plain.count / 2) }
        }
    }

    @Test("Any size of refill gives the same data") func refills() {
        let data = rdbBytes(smallModel)
        for step in [1, 2, 3, 7, 50] {
            let loaded = load(data, step: step)
            #expect(loaded.error == nil && loaded.databases == smallModel && loaded.summary.checksumVerified)
        }
        let large = largeModel()
        let loaded = load(rdbBytes(large), step: 4099)
        #expect(loaded.error == nil && loaded.databases == large && loaded.summary.checksumVerified)
    }

    @Test("Header fields, function libraries and table sizes reach the sink") func fields() {
        let buffer = OutputBuffer.create()
        defer { buffer.destroy() }
        var writer = RDBWriter(output: buffer)
        var fields = RDBAuxiliaryFields(unixSeconds: 1_700_000_001, usedMemoryBytes: 99, isLogBase: true)
        fields.replicationID = "0123456789abcdef0123456789abcdef01234567"
        fields.replicationOffset = 5_000_000_000
        fields.replicationDatabase = 2
        writer.header(fields)
        writer.function(library: ByteView("#!lua name=x"))
        writer.selectDatabase(1, keys: 70000, expires: 3)
        writer.finish()
        let loaded = load(buffer.view.array)
        #expect(loaded.error == nil)
        #expect(
            loaded.sink.auxiliary == [
                "redis-ver": "7.2.0", "redis-bits": "64", "ctime": "1700000001", "used-mem": "99", "aof-base": "1",
                "repl-stream-db": "2", "repl-id": "0123456789abcdef0123456789abcdef01234567",
                "repl-offset": "5000000000",
            ])
        #expect(loaded.sink.functions == [bytes("#!lua name=x")])
        #expect(loaded.sink.resizes == [[70000, 3]])
    }

    @Test("The owner may drain the buffer between any two calls") func draining() {
        let buffer = OutputBuffer.create()
        defer { buffer.destroy() }
        var drained: [UInt8] = []
        func drain() {
            drained += buffer.view.array
            buffer.consume(buffer.count)
        }
        var writer = RDBWriter(output: buffer)
        writer.header(RDBAuxiliaryFields(unixSeconds: 1, usedMemoryBytes: 1))
        drain()
        writer.selectDatabase(0, keys: 1, expires: 0)
        writer.beginCollection(.set, key: ByteView("k"), count: 2)
        drain()
        writer.element(ByteView("a"))
        buffer.append("")
        drain()
        writer.element(integer: 70000)
        writer.string(key: ByteView("n"), integer: -3)
        writer.finish()
        drain()
        let loaded = load(drained)
        #expect(loaded.error == nil && loaded.summary.checksumVerified)
        #expect(
            loaded.databases == [
                0: [
                    bytes("k"): ModelEntry(value: .set([bytes("a"), bytes("70000")])),
                    bytes("n"): ModelEntry(value: .string(bytes("-3"))),
                ]
            ])
    }

    @Test("A DUMP payload of each type is restored, and a damaged one is refused") func dump() throws {
        let buffer = OutputBuffer.create()
        defer { buffer.destroy() }
        var payloads: [([UInt8], ModelValue)] = []
        func add(_ value: ModelValue, _ body: (inout RDBWriter) -> Void) {
            buffer.removeAll()
            var writer = RDBWriter(output: buffer)
            body(&writer)
            payloads.append((buffer.view.array, value))
        }
        add(.string(bytes("hello"))) { $0.dump(string: ByteView("hello")) }
        add(.list([bytes("a"), bytes("1")])) {
            $0.beginDump(.list, count: 2)
            $0.element(ByteView("a"))
            $0.element(integer: 1)
            $0.finishDump()
        }
        add(.hash([bytes("f"): bytes("v")])) {
            $0.beginDump(.hash, count: 1)
            $0.pair(field: ByteView("f"), value: ByteView("v"))
            $0.finishDump(version: 10)
        }
        add(.sortedSet([bytes("m"): 2])) {
            $0.beginDump(.sortedSet, count: 1)
            $0.scored(member: ByteView("m"), score: 2)
            $0.finishDump()
        }
        var reader = RDBReader()
        for (payload, value) in payloads {
            var sink = ModelSink()
            let delivered = try payload.withUnsafeBytes { raw in
                try reader.restore(
                    ByteView(#require(raw.baseAddress), raw.count), key: ByteView("k"), metadata: EntryMetadata(),
                    into: &sink)
            }
            #expect(delivered && sink.databases == [0: [bytes("k"): ModelEntry(value: value)]])
            for index in 0...payload.count {
                var damaged = payload
                if index < payload.count { damaged[index] ^= 0x10 } else { damaged.removeLast() }
                damaged.withView { view in
                    var sink = ModelSink()
                    #expect(throws: PersistenceError.self) {
                        try reader.restore(view, key: ByteView("k"), metadata: EntryMetadata(), into: &sink)
                    }
                }
            }
        }
    }
}
