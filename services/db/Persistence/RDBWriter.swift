import ByteStorage
import Compression

// Writes an RDB stream into an output buffer that its owner drains between calls.
//
// Only value types are written that every Redis since 4.0 loads (string, plain list, set, hash, sorted set with binary
// scores): a reader converts them to its own encodings anyway, and the LZ4 frame around the file makes up for the
// packing that they lack. The version in the header is a setting because Redis 7.0 refuses files above version 10,
// though their content is the same.
//
// The checksum is kept up to date at the end of every call, over what the call appended: so the owner may drain the
// buffer whenever no call is under way. `checksum: .byOwner` leaves it to the owner (a worker thread, see
// SnapshotFile), who appends it after `finish`.

/// The auxiliary fields that a file of ours starts with.
public struct RDBAuxiliaryFields: Sendable {
    public var unixSeconds: Int64
    public var usedMemoryBytes: Int64
    /// Whether the file is the base of an append-only log.
    public var isLogBase = false
    /// Set on a replica, and on a primary with a backlog: lets a restarted server go on with a partial resync.
    public var replicationID: String?
    public var replicationOffset: Int64 = 0
    public var replicationDatabase = 0

    public init(unixSeconds: Int64, usedMemoryBytes: Int64, isLogBase: Bool = false) {
        self.unixSeconds = unixSeconds
        self.usedMemoryBytes = usedMemoryBytes
        self.isLogBase = isLogBase
    }
}

public struct RDBWriter: ~Copyable {
    public enum ChecksumMode: Sendable {
        /// The writer computes it and `finish` appends it.
        case inline
        /// The owner appends eight bytes after `finish`: its own computation, or zeros, which readers take as "none".
        case byOwner
    }

    /// Reported as `redis-ver`; what Redis 7.2 would write.
    public static let reportedVersion: StaticString = "7.2.0"

    public let output: OutputBuffer
    private let mode: ChecksumMode
    private let compressor: LZFCompressor?
    private var crc = CRC64()
    /// Elements still to come of the collection that was begun.
    private var remaining = 0
    private var kind = CollectionKind.list

    /// - Parameter compressStrings: LZF on strings longer than 20 bytes. For files outside an LZ4 frame.
    public init(output: OutputBuffer, checksum: ChecksumMode = .inline, compressStrings: Bool = false) {
        self.output = output
        mode = checksum
        compressor = compressStrings ? LZFCompressor() : nil
    }

    // MARK: Stream

    public mutating func header(version: Int = RDBFormat.writtenVersion, _ fields: RDBAuxiliaryFields) {
        precondition(RDBFormat.writableVersions.contains(version))
        let mark = output.count
        output.append(RDBFormat.magic)
        for divisor in [1000, 100, 10, 1] { output.append(byte: 48 + UInt8(version / divisor % 10)) }
        seal(mark)
        auxiliary("redis-ver", ByteView(RDBWriter.reportedVersion))
        auxiliary("redis-bits", 64)
        auxiliary("ctime", fields.unixSeconds)
        auxiliary("used-mem", fields.usedMemoryBytes)
        if let identity = fields.replicationID {
            auxiliary("repl-stream-db", Int64(fields.replicationDatabase))
            [UInt8](identity.utf8).withView { auxiliary("repl-id", $0) }
            auxiliary("repl-offset", fields.replicationOffset)
        }
        auxiliary("aof-base", fields.isLogBase ? 1 : 0)
    }

    public mutating func auxiliary(_ name: StaticString, _ value: ByteView) {
        let mark = output.count
        output.append(byte: RDBFormat.Opcode.auxiliary)
        append(string: ByteView(name))
        append(string: value)
        seal(mark)
    }

    public mutating func auxiliary(_ name: StaticString, _ value: Int64) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            guard let base = digits.baseAddress else { return }
            auxiliary(name, ByteView(base, formatInteger(value, base)))
        }
    }

    public mutating func function(library: ByteView) {
        let mark = output.count
        output.append(byte: RDBFormat.Opcode.function2)
        append(string: library)
        seal(mark)
    }

    public mutating func selectDatabase(_ index: Int, keys: Int, expires: Int) {
        let mark = output.count
        output.append(byte: RDBFormat.Opcode.selectDatabase)
        append(length: UInt64(index))
        output.append(byte: RDBFormat.Opcode.resizeDatabase)
        append(length: UInt64(keys))
        append(length: UInt64(expires))
        seal(mark)
    }

    /// Ends the stream: the end-of-file mark, and the checksum unless the owner appends it.
    public mutating func finish() {
        precondition(remaining == 0)
        let mark = output.count
        output.append(byte: RDBFormat.Opcode.endOfFile)
        seal(mark)
        guard mode == .inline else { return }
        output.append(littleEndian: crc.value)
    }

    // MARK: Keys

    public mutating func string(key: ByteView, value: ByteView, metadata: EntryMetadata = EntryMetadata()) {
        let mark = output.count
        append(prefix: metadata)
        output.append(byte: RDBFormat.ValueType.string.rawValue)
        append(string: key)
        append(string: value)
        seal(mark)
    }

    /// A string whose value is an integer, without the detour by its digits.
    public mutating func string(key: ByteView, integer value: Int64, metadata: EntryMetadata = EntryMetadata()) {
        let mark = output.count
        append(prefix: metadata)
        output.append(byte: RDBFormat.ValueType.string.rawValue)
        append(string: key)
        append(integer: value)
        seal(mark)
    }

    /// Starts a collection of exactly `count` (at least 1) elements, members or pairs, which must follow.
    public mutating func beginCollection(
        _ kind: CollectionKind, key: ByteView, count: Int, metadata: EntryMetadata = EntryMetadata()
    ) {
        precondition(remaining == 0 && count > 0)
        let mark = output.count
        append(prefix: metadata)
        output.append(byte: RDBWriter.type(of: kind).rawValue)
        append(string: key)
        append(length: UInt64(count))
        seal(mark)
        remaining = count
        self.kind = kind
    }

    /// The next element of the list or member of the set.
    public mutating func element(_ value: ByteView) {
        takeOne(kind == .list || kind == .set)
        let mark = output.count
        append(string: value)
        seal(mark)
    }

    public mutating func element(integer value: Int64) {
        takeOne(kind == .list || kind == .set)
        let mark = output.count
        append(integer: value)
        seal(mark)
    }

    public mutating func pair(field: ByteView, value: ByteView) {
        takeOne(kind == .hash)
        let mark = output.count
        append(string: field)
        append(string: value)
        seal(mark)
    }

    public mutating func scored(member: ByteView, score: Double) {
        takeOne(kind == .sortedSet)
        let mark = output.count
        append(string: member)
        output.append(littleEndian: score.bitPattern)
        seal(mark)
    }

    // MARK: DUMP payloads

    /// Starts the DUMP payload of a collection; its elements and `finishDump` must follow, and nothing else be written
    /// by this writer before.
    public mutating func beginDump(_ kind: CollectionKind, count: Int) {
        precondition(remaining == 0 && count > 0)
        crc = CRC64()
        let mark = output.count
        output.append(byte: RDBWriter.type(of: kind).rawValue)
        append(length: UInt64(count))
        seal(mark)
        remaining = count
        self.kind = kind
    }

    public mutating func dump(string value: ByteView, version: Int = RDBFormat.writtenVersion) {
        crc = CRC64()
        let mark = output.count
        output.append(byte: RDBFormat.ValueType.string.rawValue)
        append(string: value)
        seal(mark)
        finishDump(version: version)
    }

    public mutating func finishDump(version: Int = RDBFormat.writtenVersion) {
        precondition(remaining == 0 && mode == .inline)
        let mark = output.count
        output.append(littleEndian: UInt16(version))
        seal(mark)
        output.append(littleEndian: crc.value)
    }

    // MARK: Parts

    private static func type(of kind: CollectionKind) -> RDBFormat.ValueType {
        switch kind {
        case .list: .list
        case .set: .set
        case .hash: .hash
        case .sortedSet: .sortedSet2
        }
    }

    @inline(__always) private mutating func takeOne(_ kindFits: Bool) {
        precondition(kindFits && remaining > 0)
        remaining &-= 1
    }

    @inline(__always) private mutating func seal(_ mark: Int) {
        guard mode == .inline else { return }
        crc.update(output.view.slice(mark, output.count))
    }

    @inline(__always) private func append(prefix metadata: EntryMetadata) {
        if let expiry = metadata.expiryMilliseconds {
            output.append(byte: RDBFormat.Opcode.expireMilliseconds)
            output.append(littleEndian: UInt64(bitPattern: expiry))
        }
        if let idle = metadata.idleSeconds {
            output.append(byte: RDBFormat.Opcode.idle)
            append(length: idle)
        }
        if let frequency = metadata.accessFrequency {
            output.append(byte: RDBFormat.Opcode.frequency)
            output.append(byte: frequency)
        }
    }

    @inline(__always) private func append(length: UInt64) {
        if length < 1 << 6 {
            output.append(byte: UInt8(length))
        } else if length < 1 << 14 {
            output.append(byte: 0x40 | UInt8(length >> 8))
            output.append(byte: UInt8(truncatingIfNeeded: length))
        } else if length <= UInt64(UInt32.max) {
            output.append(byte: 0x80)
            output.append(littleEndian: UInt32(length).byteSwapped)
        } else {
            output.append(byte: 0x81)
            output.append(littleEndian: length.byteSwapped)
        }
    }

    @inline(__always) private func append(string view: ByteView) {
        if view.count <= 11, let value = parseInteger(view), let narrow = Int32(exactly: value) {
            append(integer: Int64(narrow))
            return
        }
        if view.count > 20, compressor != nil, appendCompressed(view) { return }
        append(length: UInt64(view.count))
        output.append(view)
    }

    /// An integer in the shortest of the special encodings, or as digits when it is above 32 bits.
    private func append(integer value: Int64) {
        if let narrow = Int8(exactly: value) {
            output.append(byte: 0xc0 | RDBFormat.StringEncoding.int8)
            output.append(byte: UInt8(bitPattern: narrow))
        } else if let narrow = Int16(exactly: value) {
            output.append(byte: 0xc0 | RDBFormat.StringEncoding.int16)
            output.append(littleEndian: UInt16(bitPattern: narrow))
        } else if let narrow = Int32(exactly: value) {
            output.append(byte: 0xc0 | RDBFormat.StringEncoding.int32)
            output.append(littleEndian: UInt32(bitPattern: narrow))
        } else {
            let digits = decimalDigits(value.magnitude) &+ (value < 0 ? 1 : 0)
            append(length: UInt64(digits))
            output.append(decimal: value)
        }
    }

    /// The string as LZF, when that saves at least four bytes.
    private func appendCompressed(_ view: ByteView) -> Bool {
        // The lengths before the data depend on the outcome: the data is compressed behind room for the longest form
        // of them, and moved down.
        let start = output.count
        _ = output.reserve(32)
        output.commit(32)
        guard let packed = compressor?.compress(view, into: output, limit: view.count &- 4) else {
            output.truncate(to: output.end &- 32)
            return false
        }
        let dataEnd = output.end
        let data = output.view.slice(start &+ 32, output.count)
        output.truncate(to: dataEnd &- packed &- 32)
        output.append(byte: 0xc0 | RDBFormat.StringEncoding.lzf)
        append(length: UInt64(packed))
        append(length: UInt64(view.count))
        // SAFETY: the lengths take at most 19 of the 32 bytes, so the target is below the source, both within what was
        // reserved; no reallocation comes between, as the room is there.
        (output.reserve(packed)).copyMemory(from: data.base, byteCount: packed)
        output.commit(packed)
        return true
    }
}

extension OutputBuffer {
    @inline(__always) func append<Value: FixedWidthInteger>(littleEndian value: Value) {
        reserve(MemoryLayout<Value>.size).storeBytes(of: value.littleEndian, as: Value.self)
        commit(MemoryLayout<Value>.size)
    }
}
