// One line of JSON: its members as slices of the line, and their values as MessagePack.
//
// The line is checked wholly before anything is written: MessagePack wants a map's size first, and a line that is no JSON must
// pass through as it is. So members are collected as positions in a reused array, then converted in a second pass. A general
// JSON tree was rejected: it costs several allocations a member.
import ByteStorage
import CLinux

/// The members of a JSON object, as positions in a line. Reused from line to line.
/// - Spec: RFC 8259.
struct JSONMembers {
    struct Member {
        /// Between the quotes.
        var key: Range<Int>
        var isPlainKey: Bool
        /// The whole value, quotes included.
        var value: Range<Int>
        /// A string without escapes.
        var isPlainString: Bool
    }

    static let mostMembers = 128
    static let deepest = 32

    private(set) var members: [Member] = []

    /// Whether `line` is one JSON object with not too many members, and nothing else.
    mutating func scan(_ line: ByteView) -> Bool {
        members.removeAll(keepingCapacity: true)
        var scanner = Scanner(line)
        scanner.skipBlanks()
        guard scanner.take(UInt8(ascii: "{")) else { return false }
        scanner.skipBlanks()
        if !scanner.take(UInt8(ascii: "}")) {
            repeat {
                guard members.count < Self.mostMembers, let member = scanner.member() else { return false }
                members.append(member)
            } while scanner.take(UInt8(ascii: ","))
            guard scanner.take(UInt8(ascii: "}")) else { return false }
        }
        scanner.skipBlanks()
        return scanner.isAtEnd
    }

    struct Scanner {
        let line: ByteView
        var position = 0

        init(_ line: ByteView) { self.line = line }

        var isAtEnd: Bool { position == line.count }

        @inline(__always) mutating func skipBlanks() {
            while position < line.count, line[position] == 32 || line[position] == 9 || line[position] == 13 {
                position &+= 1
            }
        }

        @inline(__always) mutating func take(_ byte: UInt8) -> Bool {
            guard position < line.count, line[position] == byte else { return false }
            position &+= 1
            return true
        }

        /// `"key": value` with the blanks around it.
        mutating func member() -> Member? {
            skipBlanks()
            let keyStart = position + 1
            guard let isPlainKey = string() else { return nil }
            let key = keyStart..<position - 1
            skipBlanks()
            guard take(UInt8(ascii: ":")) else { return nil }
            skipBlanks()
            let start = position
            guard position < line.count else { return nil }
            var isPlainString = false
            if line[position] == UInt8(ascii: "\"") {
                guard let isPlain = string() else { return nil }
                isPlainString = isPlain
            } else {
                guard value(depth: 1) else { return nil }
            }
            let end = position
            skipBlanks()
            return Member(key: key, isPlainKey: isPlainKey, value: start..<end, isPlainString: isPlainString)
        }

        /// Passes a string; whether it is without escapes, nil when it is none.
        @inline(__always) mutating func string() -> Bool? {
            guard take(UInt8(ascii: "\"")) else { return nil }
            var isPlain = true
            while position < line.count {
                let byte = line[position]
                if byte == UInt8(ascii: "\"") {
                    position &+= 1
                    return isPlain
                }
                if byte < 32 { return nil }
                if byte == UInt8(ascii: "\\") {
                    isPlain = false
                    position &+= 1
                    guard position < line.count else { return nil }
                    switch line[position] {
                    case UInt8(ascii: "u"):
                        guard JSONMembers.hexadecimal(line, position + 1) != nil else { return nil }
                        position &+= 4
                    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
                        UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                        break
                    default: return nil
                    }
                }
                position &+= 1
            }
            return nil
        }

        /// Passes any value.
        mutating func value(depth: Int) -> Bool {
            guard depth <= JSONMembers.deepest, position < line.count else { return false }
            switch line[position] {
            case UInt8(ascii: "\""): return string() != nil
            case UInt8(ascii: "{"):
                position += 1
                skipBlanks()
                if take(UInt8(ascii: "}")) { return true }
                repeat {
                    skipBlanks()
                    guard string() != nil else { return false }
                    skipBlanks()
                    guard take(UInt8(ascii: ":")) else { return false }
                    skipBlanks()
                    guard value(depth: depth + 1) else { return false }
                    skipBlanks()
                } while take(UInt8(ascii: ","))
                return take(UInt8(ascii: "}"))
            case UInt8(ascii: "["):
                position += 1
                skipBlanks()
                if take(UInt8(ascii: "]")) { return true }
                repeat {
                    skipBlanks()
                    guard value(depth: depth + 1) else { return false }
                    skipBlanks()
                } while take(UInt8(ascii: ","))
                return take(UInt8(ascii: "]"))
            case UInt8(ascii: "t"): return word("true")
            case UInt8(ascii: "f"): return word("false")
            case UInt8(ascii: "n"): return word("null")
            default: return number()
            }
        }

        private mutating func word(_ text: StaticString) -> Bool {
            let end = position + text.utf8CodeUnitCount
            guard end <= line.count, line.slice(position, end) == ByteView(text) else { return false }
            position = end
            return true
        }

        private mutating func digits() -> Bool {
            let start = position
            while position < line.count, line[position] &- 48 <= 9 { position += 1 }
            return position > start
        }

        private mutating func number() -> Bool {
            _ = take(UInt8(ascii: "-"))
            if take(UInt8(ascii: "0")) {
                if position < line.count, line[position] &- 48 <= 9 { return false }
            } else {
                guard digits() else { return false }
            }
            if take(UInt8(ascii: ".")) { guard digits() else { return false } }
            if position < line.count, line[position] | 0x20 == UInt8(ascii: "e") {
                position += 1
                if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
                guard digits() else { return false }
            }
            return true
        }
    }

    /// Four hexadecimal digits at `position`.
    static func hexadecimal(_ view: ByteView, _ position: Int) -> UInt32? {
        guard position + 4 <= view.count else { return nil }
        var value: UInt32 = 0
        for index in position..<position + 4 {
            let byte = view[index]
            switch byte {
            case 48...57: value = value << 4 | UInt32(byte - 48)
            case 65...70: value = value << 4 | UInt32(byte - 55)
            case 97...102: value = value << 4 | UInt32(byte - 87)
            default: return nil
            }
        }
        return value
    }
}
