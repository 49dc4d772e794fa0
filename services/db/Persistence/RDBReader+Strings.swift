import ByteStorage
import Compression

// Lengths and strings.
//
// - Spec: RDB file format, "Length Encoding" and "String Encoding": the first byte's top two bits choose between a
//   length of 6 bits, 14 bits, 32 or 64 bits, and a specially encoded string.

extension RDBReader {
    private enum LengthOrEncoding {
        case length(UInt64)
        case encoded(UInt8)
    }

    @inline(__always)
    private func readLengthOrEncoding(
        _ source: inout ByteSource, _ expected: StaticString
    ) throws(PersistenceError) -> LengthOrEncoding {
        let offset = source.offset
        let first = try source.byte(expected)
        switch first >> 6 {
        case 0: return .length(UInt64(first))
        case 1: return .length(UInt64(first & 0x3f) << 8 | UInt64(try source.byte(expected)))
        case 2:
            switch first {
            case 0x80: return .length(UInt64(UInt32(bigEndian: try source.integer(UInt32.self, expected))))
            case 0x81: return .length(UInt64(bigEndian: try source.integer(UInt64.self, expected)))
            default:
                throw PersistenceError(.damaged, "expected \(expected), found length byte \(first)", offset: offset)
            }
        default: return .encoded(first & 0x3f)
        }
    }

    func readLength(_ source: inout ByteSource, _ expected: StaticString) throws(PersistenceError) -> UInt64 {
        let offset = source.offset
        guard case .length(let length) = try readLengthOrEncoding(&source, expected) else {
            throw PersistenceError(.damaged, "expected \(expected), found an encoded string", offset: offset)
        }
        return length
    }

    /// A string that stays valid in `scratch` while more is read.
    func readString(
        _ source: inout ByteSource, into scratch: OutputBuffer, _ expected: StaticString
    ) throws(PersistenceError) -> ByteView {
        let view = try readView(&source, scratch: scratch, expected)
        if view.count > 0 && view.base == scratch.readable { return view }
        reset(scratch)
        scratch.append(view)
        return scratch.view
    }

    /// A string that is valid until the next read: in the source's buffer, or in `scratch` if it had to be decoded.
    func readView(
        _ source: inout ByteSource, scratch: OutputBuffer, _ expected: StaticString
    ) throws(PersistenceError) -> ByteView {
        let offset = source.offset
        switch try readLengthOrEncoding(&source, expected) {
        case .length(let length):
            return try source.take(try checked(length, offset), expected)
        case .encoded(let encoding):
            switch encoding {
            case RDBFormat.StringEncoding.int8:
                return decimal(Int64(try source.integer(Int8.self, expected)), in: scratch)
            case RDBFormat.StringEncoding.int16:
                return decimal(Int64(Int16(littleEndian: try source.integer(Int16.self, expected))), in: scratch)
            case RDBFormat.StringEncoding.int32:
                return decimal(Int64(Int32(littleEndian: try source.integer(Int32.self, expected))), in: scratch)
            case RDBFormat.StringEncoding.lzf:
                return try readLZF(&source, scratch, offset, expected)
            default:
                throw PersistenceError(
                    .damaged, "expected \(expected), found string encoding \(encoding)", offset: offset)
            }
        }
    }

    private func readLZF(
        _ source: inout ByteSource, _ scratch: OutputBuffer, _ offset: UInt64, _ expected: StaticString
    ) throws(PersistenceError) -> ByteView {
        let packedCount = try checked(try readLength(&source, "a compressed length"), offset)
        let count = try checked(try readLength(&source, "a decompressed length"), offset)
        let packed = try source.take(packedCount, expected)
        guard count <= LZF.longestExpansion(of: packedCount) else {
            throw PersistenceError(
                .damaged, "\(packedCount) bytes of LZF cannot make the stated \(count) bytes", offset: offset)
        }
        reset(scratch)
        guard LZF.decompress(packed, into: scratch.reserve(count), count: count) else {
            throw PersistenceError(.damaged, "expected LZF data that makes \(count) bytes", offset: offset)
        }
        scratch.commit(count)
        return scratch.view
    }

    private func checked(_ length: UInt64, _ offset: UInt64) throws(PersistenceError) -> Int {
        guard length <= UInt64(maximumStringBytes) else {
            throw PersistenceError(
                .limit, "a string of \(length) bytes is above the limit of \(maximumStringBytes)", offset: offset)
        }
        return Int(length)
    }

    func decimal(_ value: Int64, in scratch: OutputBuffer) -> ByteView {
        reset(scratch)
        scratch.append(decimal: value)
        return scratch.view
    }

    private func reset(_ scratch: OutputBuffer) {
        scratch.removeAll()
        if scratch.capacity > 4 << 20 { scratch.shrink(to: 64 << 10) }
    }
}
