// Reads MessagePack values from bytes that may not be complete yet.
//
// What a server sends is small (HELO, PONG, acks), so a value becomes a tree, and an incomplete one is simply read again when
// more has come; the session's limit on its input bounds that. Depth and number of nodes are limited: a header of five bytes
// can promise four billion elements.
import ByteStorage

public indirect enum MessagePackValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Above Int64.max only.
    case unsigned(UInt64)
    case double(Double)
    /// A str's bytes as they came: some senders put binary into it.
    case string([UInt8])
    case binary([UInt8])
    case array([MessagePackValue])
    case map([Pair])
    case extended(type: Int8, [UInt8])

    public struct Pair: Equatable, Sendable {
        public let key: MessagePackValue
        public let value: MessagePackValue
    }

    /// The bytes of a str or bin.
    public var bytes: [UInt8]? {
        switch self {
        case .string(let bytes), .binary(let bytes): bytes
        default: nil
        }
    }

    public var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    public var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }

    /// The time of an entry: an EventTime, or whole seconds.
    public var eventTime: EventTime? {
        switch self {
        case .integer(let seconds): EventTime(seconds: seconds)
        case .extended(0, let bytes) where bytes.count == 8:
            EventTime(
                seconds: bytes[..<4].reduce(0) { $0 << 8 | Int64($1) },
                nanoseconds: bytes[4...].reduce(0) { $0 << 8 | UInt32($1) })
        default: nil
        }
    }

    /// The value under a key of text.
    public subscript(key: String) -> MessagePackValue? {
        guard case .map(let pairs) = self else { return nil }
        let name = Array(key.utf8)
        return pairs.first { $0.key.bytes == name }?.value
    }
}

public enum MessagePackError: Error, Equatable, Sendable {
    /// The byte 0xc1, which the format never uses.
    case neverUsed
    case tooDeep
    case tooManyValues
    case tooLong
}

/// - Spec: MessagePack specification, "Formats".
public struct MessagePackReader {
    public static let deepest = 32
    public static let mostValues = 100_000

    private let view: ByteView
    private let longest: Int
    private var position = 0
    private var values = 0

    private enum Stop: Error {
        case needMore
        case bad(MessagePackError)
    }

    private init(_ view: ByteView, _ longest: Int) {
        self.view = view
        self.longest = longest
    }

    /// Reads the first value in `view`.
    ///
    /// - Parameter longest: bytes of one str, bin or ext at most.
    /// - Returns: the value and the bytes it took; nil while it is incomplete.
    public static func read(_ view: ByteView, longest: Int = 16 << 20) throws(MessagePackError)
        -> (value: MessagePackValue, consumed: Int)?
    {
        var reader = MessagePackReader(view, longest)
        do throws(Stop) {
            let value = try reader.value(depth: 0)
            return (value, reader.position)
        } catch {
            switch error {
            case .needMore: return nil
            case .bad(let reason): throw reason
            }
        }
    }

    private mutating func number(_ count: Int) throws(Stop) -> UInt64 {
        guard view.count - position >= count else { throw .needMore }
        var result: UInt64 = 0
        for index in position..<position + count { result = result << 8 | UInt64(view[index]) }
        position += count
        return result
    }

    private mutating func bytes(_ count: UInt64) throws(Stop) -> [UInt8] {
        guard count <= UInt64(longest) else { throw .bad(.tooLong) }
        guard UInt64(view.count - position) >= count else { throw .needMore }
        defer { position += Int(count) }
        return view.slice(position, position + Int(count)).array
    }

    private mutating func value(depth: Int) throws(Stop) -> MessagePackValue {
        guard depth <= Self.deepest else { throw .bad(.tooDeep) }
        values += 1
        guard values <= Self.mostValues else { throw .bad(.tooManyValues) }
        let first = UInt8(truncatingIfNeeded: try number(1))
        switch first {
        case 0x00...0x7f: return .integer(Int64(first))
        case 0x80...0x8f: return try map(UInt64(first & 15), depth)
        case 0x90...0x9f: return try array(UInt64(first & 15), depth)
        case 0xa0...0xbf: return .string(try bytes(UInt64(first & 31)))
        case 0xc0: return .null
        case 0xc1: throw .bad(.neverUsed)
        case 0xc2: return .bool(false)
        case 0xc3: return .bool(true)
        case 0xc4...0xc6: return .binary(try bytes(try number(1 << Int(first - 0xc4))))
        case 0xc7...0xc9: return try extended(try number(1 << Int(first - 0xc7)))
        case 0xca: return .double(Double(Float(bitPattern: UInt32(truncatingIfNeeded: try number(4)))))
        case 0xcb: return .double(Double(bitPattern: try number(8)))
        case 0xcc...0xcf:
            let value = try number(1 << Int(first - 0xcc))
            return Int64(exactly: value).map { .integer($0) } ?? .unsigned(value)
        case 0xd0: return .integer(Int64(Int8(truncatingIfNeeded: try number(1))))
        case 0xd1: return .integer(Int64(Int16(truncatingIfNeeded: try number(2))))
        case 0xd2: return .integer(Int64(Int32(truncatingIfNeeded: try number(4))))
        case 0xd3: return .integer(Int64(bitPattern: try number(8)))
        case 0xd4...0xd8: return try extended(1 << UInt64(first - 0xd4))
        case 0xd9...0xdb: return .string(try bytes(try number(1 << Int(first - 0xd9))))
        case 0xdc, 0xdd: return try array(try number(first == 0xdc ? 2 : 4), depth)
        case 0xde, 0xdf: return try map(try number(first == 0xde ? 2 : 4), depth)
        default: return .integer(Int64(Int8(bitPattern: first)))
        }
    }

    private mutating func extended(_ count: UInt64) throws(Stop) -> MessagePackValue {
        let type = Int8(truncatingIfNeeded: try number(1))
        return .extended(type: type, try bytes(count))
    }

    private mutating func array(_ count: UInt64, _ depth: Int) throws(Stop) -> MessagePackValue {
        guard count <= UInt64(Self.mostValues) else { throw .bad(.tooManyValues) }
        var items: [MessagePackValue] = []
        for _ in 0..<count { items.append(try value(depth: depth + 1)) }
        return .array(items)
    }

    private mutating func map(_ count: UInt64, _ depth: Int) throws(Stop) -> MessagePackValue {
        guard count <= UInt64(Self.mostValues) else { throw .bad(.tooManyValues) }
        var pairs: [MessagePackValue.Pair] = []
        for _ in 0..<count {
            let key = try value(depth: depth + 1)
            pairs.append(MessagePackValue.Pair(key: key, value: try value(depth: depth + 1)))
        }
        return .map(pairs)
    }
}
