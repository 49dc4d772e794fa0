// Finds where a reply ends without building it: for those who pass replies on, and as the first step of parsing one.
//
// - Spec: RESP protocol specification: RESP2 and RESP3 types. Streamed strings and aggregates (`$?`, `*?`) are not sent by
//   any Redis server and are refused.
import ByteStorage

public struct ReplyError: Error, Equatable, Sendable {
    public let text: String
    public init(_ text: String) { self.text = text }
}

/// Walks one reply and can go on where it stopped when more bytes have come. Costs no memory, whatever the nesting.
public struct ReplyScanner: Sendable {
    public enum Status: Equatable, Sendable {
        /// The reply takes this many bytes.
        case complete(length: Int)
        case incomplete
        case failed(ReplyError)
    }

    /// Longest line: simple strings, errors, numbers and lengths, bytes.
    public static let maximumLine = 64 << 10
    /// Largest number of bytes of one reply.
    public var maximumBytes: Int
    private var position = 0
    /// Values that are still to come before the reply is complete.
    private var remaining = 1

    public init(maximumBytes: Int = 1 << 30) { self.maximumBytes = maximumBytes }

    /// Looks at `bytes`, which must begin with the reply and hold at least what the last call saw. After `.complete` the
    /// scanner is ready for the next reply.
    public mutating func scan(_ bytes: ByteView) -> Status {
        while remaining > 0 {
            guard position < bytes.count else { return .incomplete }
            let lineEnd = lineEnd(bytes, position)
            if (lineEnd ?? bytes.count) - position > ReplyScanner.maximumLine {
                return .failed(ReplyError("a line of the reply is too long"))
            }
            guard let lineEnd else { return .incomplete }
            let line = bytes.slice(position + 1, lineEnd)
            let next = lineEnd + 2
            switch bytes[position] {
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: "#"),
                UInt8(ascii: ","), UInt8(ascii: "("):
                position = next
                remaining -= 1
            case UInt8(ascii: "$"), UInt8(ascii: "!"), UInt8(ascii: "="):
                guard let length = parseInteger(line), length >= -1, length <= Int64(maximumBytes) else {
                    return .failed(ReplyError("invalid bulk length in a reply"))
                }
                if length < 0 {
                    position = next
                } else {
                    guard bytes.count - next >= Int(length) + 2 else {
                        return next + Int(length) + 2 > maximumBytes
                            ? .failed(ReplyError("the reply is too long")) : .incomplete
                    }
                    position = next + Int(length) + 2
                }
                remaining -= 1
            case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"), UInt8(ascii: "%"), UInt8(ascii: "|"):
                guard let count = parseInteger(line), count >= -1, count <= 1 << 30 else {
                    return .failed(ReplyError("invalid aggregate length in a reply"))
                }
                let kind = bytes[position]
                let isPairs = kind == UInt8(ascii: "%") || kind == UInt8(ascii: "|")
                remaining += max(0, Int(count)) * (isPairs ? 2 : 1)
                // An attribute precedes the value that it belongs to, so it does not count as one.
                if kind != UInt8(ascii: "|") { remaining -= 1 }
                position = next
                if remaining > 1 << 32 { return .failed(ReplyError("the reply has too many elements")) }
            default:
                return .failed(ReplyError("unknown reply type, byte \(bytes[position])"))
            }
            if position > maximumBytes { return .failed(ReplyError("the reply is too long")) }
        }
        let length = position
        position = 0
        remaining = 1
        return .complete(length: length)
    }

    private func lineEnd(_ bytes: ByteView, _ start: Int) -> Int? {
        var index = start
        // Never further than a line may be long: what comes later is not looked at again and again.
        let end = min(bytes.count, start + ReplyScanner.maximumLine + 2)
        while index + 1 < end {
            if bytes[index] == 13 && bytes[index + 1] == 10 { return index }
            index += 1
        }
        return nil
    }
}
