import ByteStorage
import Compression

// Reads an RDB stream of any version from 2 to 12 and delivers it to a sink.
//
// A pull reader: it asks the source for bytes as it needs them, so that its code follows the format's grammar, and the
// same code loads files, LZ4 streams and sockets. Strings are delivered as views into the source's buffer where one is
// the last thing read, and by way of three scratch buffers (key, field, value) otherwise. Nothing is allocated by a
// length that the data states: raw strings are gathered as they arrive, and an LZF string's stated size must be one
// that its compressed bytes, which are there by then, can make.
//
// This file has the stream's grammar; the values are in RDBReader+Values.swift, the strings in RDBReader+Strings.swift.

public struct RDBSummary: Sendable, Equatable {
    public var version = 0
    /// Delivered keys.
    public var keys: UInt64 = 0
    /// Keys that had no elements and were not delivered.
    public var emptyKeys: UInt64 = 0
    /// False when the version has no checksum or the file's is disabled.
    public var checksumVerified = false

    public init() {}
}

public struct RDBReader: ~Copyable {
    public static let highestCountHint = 1 << 20

    /// The longest string accepted, compressed or not.
    public var maximumStringBytes = 512 << 20
    public var verifiesChecksum = true

    let keyScratch: OutputBuffer
    let fieldScratch: OutputBuffer
    let valueScratch: OutputBuffer
    let numberScratch: OutputBuffer
    var summary = RDBSummary()

    public init() {
        keyScratch = .create(capacity: 1024)
        fieldScratch = .create(capacity: 1024)
        valueScratch = .create(capacity: 1024)
        numberScratch = .create(capacity: 64)
    }

    deinit {
        keyScratch.destroy()
        fieldScratch.destroy()
        valueScratch.destroy()
        numberScratch.destroy()
    }

    /// Reads one whole RDB stream; what follows it stays in `source`.
    public mutating func load<Sink: RDBSink>(
        from source: inout ByteSource, into sink: inout Sink
    ) throws(PersistenceError) -> RDBSummary {
        summary = RDBSummary()
        source.beginChecksum()
        summary.version = try readHeader(&source)
        var metadata = EntryMetadata()
        while true {
            let opcodeOffset = source.offset
            let opcode = try source.byte("an opcode or value type")
            switch opcode {
            case RDBFormat.Opcode.expireMilliseconds:
                metadata.expiryMilliseconds = Int64(
                    littleEndian: try source.integer(Int64.self, "an expiry in milliseconds"))
            case RDBFormat.Opcode.expireSeconds:
                let seconds = Int32(littleEndian: try source.integer(Int32.self, "an expiry in seconds"))
                metadata.expiryMilliseconds = Int64(seconds) &* 1000
            case RDBFormat.Opcode.frequency:
                metadata.accessFrequency = try source.byte("an access frequency")
            case RDBFormat.Opcode.idle:
                metadata.idleSeconds = try readLength(&source, "an idle time")
            case RDBFormat.Opcode.selectDatabase:
                let index = try readLength(&source, "a database index")
                guard let index = Int(exactly: index) else {
                    throw PersistenceError(.damaged, "expected a database index", offset: opcodeOffset)
                }
                try deliver(opcodeOffset) { () throws(SinkRefusal) in try sink.beginDatabase(index) }
            case RDBFormat.Opcode.resizeDatabase:
                let keys = try readLength(&source, "a number of keys")
                let expires = try readLength(&source, "a number of keys with an expiry")
                try deliver(opcodeOffset) { () throws(SinkRefusal) in
                    try sink.resize(keys: keys, expires: expires)
                }
            case RDBFormat.Opcode.auxiliary:
                let name = try readString(&source, into: keyScratch, "the name of an auxiliary field")
                let value = try readView(&source, scratch: valueScratch, "the value of an auxiliary field")
                try deliver(opcodeOffset) { () throws(SinkRefusal) in try sink.auxiliary(name: name, value: value) }
            case RDBFormat.Opcode.function2:
                let code = try readView(&source, scratch: valueScratch, "the code of a function library")
                try deliver(opcodeOffset) { () throws(SinkRefusal) in try sink.function(library: code) }
            case RDBFormat.Opcode.slotInfo:
                for _ in 0..<3 { _ = try readLength(&source, "a slot's number or size") }
            case RDBFormat.Opcode.moduleAuxiliary:
                try skipModuleAuxiliary(&source)
            case RDBFormat.Opcode.functionPreGA:
                throw PersistenceError(
                    .unsupported, "functions of a Redis 7.0 release candidate are not supported", offset: opcodeOffset)
            case RDBFormat.Opcode.endOfFile:
                try readChecksum(&source)
                return summary
            default:
                try readEntry(&source, type: opcode, typeOffset: opcodeOffset, metadata, into: &sink)
                metadata = EntryMetadata()
            }
        }
    }

    private func readHeader(_ source: inout ByteSource) throws(PersistenceError) -> Int {
        let offset = source.offset
        let header = try source.take(9, "the magic word REDIS and a version")
        guard header.slice(0, 5) == ByteView(RDBFormat.magic) else {
            throw PersistenceError(.damaged, "expected the magic word REDIS", offset: offset)
        }
        var version = 0
        for index in 5..<9 {
            let digit = header[index] &- 48
            guard digit <= 9 else {
                throw PersistenceError(.damaged, "expected a version of four digits", offset: offset + 5)
            }
            version = version * 10 + Int(digit)
        }
        guard RDBFormat.readableVersions.contains(version) else {
            throw PersistenceError(
                .unsupported,
                "RDB version \(version) is not one of \(RDBFormat.readableVersions.lowerBound) to "
                    + "\(RDBFormat.readableVersions.upperBound)", offset: offset + 5)
        }
        return version
    }

    private mutating func readChecksum(_ source: inout ByteSource) throws(PersistenceError) {
        let computed = source.endChecksum()
        guard summary.version >= 5 else { return }
        let offset = source.offset
        let stored = UInt64(littleEndian: try source.integer(UInt64.self, "the checksum"))
        guard stored != 0, verifiesChecksum else { return }
        guard stored == computed else {
            throw PersistenceError(
                .checksum,
                "the stored checksum is \(String(stored, radix: 16)), the data's is \(String(computed, radix: 16))",
                offset: offset)
        }
        summary.checksumVerified = true
    }

    /// A module's own data outside of keys: self-describing, so it can be passed over.
    private func skipModuleAuxiliary(_ source: inout ByteSource) throws(PersistenceError) {
        _ = try readLength(&source, "a module's identity")
        _ = try readLength(&source, "a module opcode")
        _ = try readLength(&source, "the time of a module's data")
        while true {
            let offset = source.offset
            switch try readLength(&source, "a module opcode") {
            case 0: return
            case 1, 2: _ = try readLength(&source, "a module's integer")
            case 3: _ = try source.take(4, "a module's float")
            case 4: _ = try source.take(8, "a module's double")
            case 5: _ = try readView(&source, scratch: valueScratch, "a module's string")
            default: throw PersistenceError(.damaged, "expected a module opcode from 0 to 5", offset: offset)
            }
        }
    }

    private mutating func readEntry<Sink: RDBSink>(
        _ source: inout ByteSource, type: UInt8, typeOffset: UInt64, _ metadata: EntryMetadata, into sink: inout Sink
    ) throws(PersistenceError) {
        guard let valueType = RDBFormat.ValueType(rawValue: type) else {
            throw PersistenceError(
                .damaged, "expected an opcode or value type, found \(type)", offset: typeOffset)
        }
        let key = try readString(&source, into: keyScratch, "a key")
        do {
            try readValue(&source, valueType, typeOffset: typeOffset, key: key, metadata, into: &sink)
        } catch {
            var error = error
            error.key = key.array
            throw error
        }
    }

    /// Loads one value in the form of DUMP: type, value, version (two bytes) and checksum (eight).
    ///
    /// - Returns: whether anything was delivered; false for an empty collection.
    /// - Throws: `.checksum` when the checksum or version is not acceptable, else as `load`.
    public mutating func restore<Sink: RDBSink>(
        _ payload: ByteView, key: ByteView, metadata: EntryMetadata, into sink: inout Sink
    ) throws(PersistenceError) -> Bool {
        guard payload.count > 10 else { throw PersistenceError(.truncated, "expected a DUMP payload") }
        let body = payload.slice(0, payload.count - 10)
        let version = Int(payload.little(UInt16.self, payload.count - 10))
        let stored = payload.little(UInt64.self, payload.count - 8)
        guard version <= RDBFormat.readableVersions.upperBound,
            CRC64.of(payload.slice(0, payload.count - 8)) == stored
        else { throw PersistenceError(.checksum, "DUMP payload version or checksum are wrong") }
        guard let type = RDBFormat.ValueType(rawValue: body[0]) else {
            throw PersistenceError(.damaged, "expected a value type, found \(body[0])", offset: 0)
        }
        summary = RDBSummary()
        var source = ByteSource(borrowing: body)
        source.consume(1)
        try readValue(&source, type, typeOffset: 0, key: key, metadata, into: &sink)
        guard source.buffered == 0 else {
            throw PersistenceError(.damaged, "expected the end of the payload", offset: source.offset)
        }
        return summary.keys == 1
    }

    @inline(__always)
    func deliver(_ offset: UInt64, _ body: () throws(SinkRefusal) -> Void) throws(PersistenceError) {
        do { try body() } catch { throw PersistenceError(.refused, error.reason, offset: offset) }
    }
}
