import Glibc

/// What one line of a log says. Formatting is pure: time and process are part of it.
struct LogLine {
    var seconds: Int64
    var milliseconds: Int
    /// Of the local time zone, for the text format.
    var utcOffsetSeconds: Int64 = 0
    var processIdentifier: Int32
    var role: LogRole
    var level: LogLevel
    var service: String
    var event: String
    var message: String
    /// Sorted by name.
    var fields: [(name: String, value: String)]

    /// Longer messages and values are cut: a log line must not carry a peer's megabyte.
    static let maximumValueBytes = 4096

    func bytes(_ format: LogFormat) -> [UInt8] {
        switch format {
        case .json: json()
        case .text: text()
        }
    }

    private static let reserved: Set<String> = ["time", "level", "service", "event", "message", "pid", "role"]

    private func json() -> [UInt8] {
        var json = JSONText()
        json.openObject()
        json.member("time", CivilTime(seconds: seconds).iso8601(milliseconds: milliseconds))
        json.member("level", level.name)
        json.member("service", service)
        json.member("event", event)
        json.member("message", Self.cut(message))
        json.member("pid", Int64(processIdentifier))
        json.member("role", role.name)
        for (name, value) in fields {
            json.member(Self.reserved.contains(name) ? name + "_" : name, Self.cut(value))
        }
        json.closeObject()
        return json.bytes + [UInt8(ascii: "\n")]
    }

    private func text() -> [UInt8] {
        let time = CivilTime(seconds: seconds + utcOffsetSeconds).redis(milliseconds: milliseconds)
        var line = "\(processIdentifier):\(role.character) \(time) \(level.character) \(Self.printable(message))"
        line += " service=\(service) event=\(event)"
        for (name, value) in fields {
            let text = Self.printable(value)
            line += text.contains(" ") || text.isEmpty ? " \(name)=\"\(text)\"" : " \(name)=\(text)"
        }
        return Array(line.utf8) + [UInt8(ascii: "\n")]
    }

    static func cut(_ text: String) -> String {
        guard text.utf8.count > maximumValueBytes else { return text }
        return String(decoding: text.utf8.prefix(maximumValueBytes), as: UTF8.self) + "..."
    }

    /// Without control characters: nothing that a peer says can begin a line of its own.
    static func printable(_ text: String) -> String {
        let text = cut(text)
        guard text.utf8.contains(where: { $0 < 32 || $0 == 127 }) else { return text }
        let digits = Array("0123456789abcdef")
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 10: result += "\\n"
            case 13: result += "\\r"
            case 9: result += "\\t"
            case 0..<32, 127: result += "\\x\(digits[Int(scalar.value >> 4)])\(digits[Int(scalar.value & 15)])"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
