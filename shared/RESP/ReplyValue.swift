// Replies as values, for the client side: sentinel's links, a replica's link to its primary, tests.
import ByteStorage

/// One reply of a server.
public indirect enum ReplyValue: Equatable, Sendable {
    case simple(String)
    case error(String)
    case integer(Int64)
    case bulk([UInt8])
    case null
    case array([ReplyValue])
    case map([Pair])
    case set([ReplyValue])
    case push([ReplyValue])
    case double(Double)
    case boolean(Bool)
    case bigNumber(String)
    case verbatim(format: String, [UInt8])

    public struct Pair: Equatable, Sendable {
        public let key: ReplyValue
        public let value: ReplyValue
        public init(_ key: ReplyValue, _ value: ReplyValue) {
            self.key = key
            self.value = value
        }
    }

    /// The text of a simple, bulk or verbatim string.
    public var text: String? {
        switch self {
        case .simple(let text): text
        case .bulk(let bytes), .verbatim(_, let bytes): String(decoding: bytes, as: UTF8.self)
        default: nil
        }
    }

    /// What an error says.
    public var errorText: String? {
        guard case .error(let text) = self else { return nil }
        return text
    }

    /// The elements of an array, set or push.
    public var elements: [ReplyValue]? {
        switch self {
        case .array(let elements), .set(let elements), .push(let elements): elements
        default: nil
        }
    }

    public var integerValue: Int64? {
        if case .integer(let value) = self { return value }
        return text.flatMap { Int64($0) }
    }

    public var isError: Bool {
        if case .error = self { return true }
        return false
    }
}

/// Takes replies off a buffer.
public struct ReplyParser: Sendable {
    public enum Status: Equatable, Sendable {
        case value(ReplyValue, length: Int)
        case incomplete
        case failed(ReplyError)
    }

    /// Deepest nesting that is accepted.
    public static let maximumDepth = 32
    private var scanner: ReplyScanner

    public init(maximumBytes: Int = 1 << 30) { scanner = ReplyScanner(maximumBytes: maximumBytes) }

    /// Parses the reply at the front of `bytes`, which must hold at least what the last call saw.
    public mutating func parse(_ bytes: ByteView) -> Status {
        switch scanner.scan(bytes) {
        case .incomplete: return .incomplete
        case .failed(let error): return .failed(error)
        case .complete(let length):
            var position = 0
            do throws(ReplyError) {
                return .value(try value(bytes, &position, 0), length: length)
            } catch {
                return .failed(error)
            }
        }
    }

    /// The value at `position`. The scanner has seen that all of it is there.
    private func value(_ bytes: ByteView, _ position: inout Int, _ depth: Int) throws(ReplyError) -> ReplyValue {
        if depth > ReplyParser.maximumDepth { throw ReplyError("the reply is nested too deeply") }
        let kind = bytes[position]
        let start = position + 1
        while bytes[position] != 13 || bytes[position + 1] != 10 { position += 1 }
        let line = bytes.slice(start, position)
        position += 2
        switch kind {
        case UInt8(ascii: "+"): return .simple(line.string)
        case UInt8(ascii: "-"): return .error(line.string)
        case UInt8(ascii: ":"):
            guard let number = parseInteger(line) else { throw ReplyError("invalid integer in a reply") }
            return .integer(number)
        case UInt8(ascii: "_"): return .null
        case UInt8(ascii: "#"): return .boolean(line.count == 1 && line[0] == UInt8(ascii: "t"))
        case UInt8(ascii: ","):
            guard let number = Double(line.string) else { throw ReplyError("invalid double in a reply") }
            return .double(number)
        case UInt8(ascii: "("): return .bigNumber(line.string)
        case UInt8(ascii: "$"), UInt8(ascii: "!"), UInt8(ascii: "="):
            guard let length = parseInteger(line) else { throw ReplyError("invalid bulk length in a reply") }
            if length < 0 { return .null }
            let content = bytes.slice(position, position + Int(length))
            position += Int(length) + 2
            if kind == UInt8(ascii: "!") { return .error(content.string) }
            if kind == UInt8(ascii: "=") {
                guard content.count >= 4 else { throw ReplyError("invalid verbatim string in a reply") }
                return .verbatim(format: content.slice(0, 3).string, content.slice(4, content.count).array)
            }
            return .bulk(content.array)
        case UInt8(ascii: "%"), UInt8(ascii: "|"):
            var pairs: [ReplyValue.Pair] = []
            for _ in 0..<max(0, parseInteger(line) ?? 0) {
                let key = try value(bytes, &position, depth + 1)
                pairs.append(ReplyValue.Pair(key, try value(bytes, &position, depth + 1)))
            }
            // An attribute is only a remark on the value that follows.
            return kind == UInt8(ascii: "|") ? try value(bytes, &position, depth + 1) : .map(pairs)
        default:
            guard let count = parseInteger(line), count >= 0 else { return .null }
            var elements: [ReplyValue] = []
            for _ in 0..<count { elements.append(try value(bytes, &position, depth + 1)) }
            switch kind {
            case UInt8(ascii: "~"): return .set(elements)
            case UInt8(ascii: ">"): return .push(elements)
            default: return .array(elements)
            }
        }
    }
}
