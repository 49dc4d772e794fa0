// A line of a log as an entry of the forward protocol: `[time, record]`.
//
// Three kinds of line: our JSON, our text (which is Redis's with `service=... event=...` behind the message, so stock Redis's
// lines are understood too), and everything else, which passes through whole. What the log's writer did not mean as a field
// never becomes one: a line either parses to its end or is passed through.
import ByteStorage
import CLinux

/// Turns lines into entries. Holds scratch memory, so one serves one thread.
public struct RecordEncoder {
    /// Names that records use themselves; labels may not have them.
    public static let reservedNames: Set<String> = ["log", "level", "service", "event", "message", "fields"]

    /// Members that every record gets, as packed key-value pairs.
    private let labels: [UInt8]
    private let labelCount: Int
    /// Of the local time zone, in which the text form is written.
    public var utcOffsetSeconds: Int64 = 0
    private var members = JSONMembers()
    private var pairs: [TextLine.Pair] = []

    public init(labels: [(name: String, value: String)]) {
        let packed = OutputBuffer.create()
        defer { packed.destroy() }
        for (name, value) in labels {
            packed.packString(name)
            packed.packString(value)
        }
        self.labels = packed.view.array
        labelCount = labels.count
    }

    /// Appends the entry for `line`.
    ///
    /// - Parameter now: the time of a line that has none.
    public mutating func append(_ line: ByteView, now: EventTime, into output: OutputBuffer) {
        if line.isEmpty == false, line[0] == UInt8(ascii: "{"), appendJSON(line, output) { return }
        if let head = TextLine.head(line, utcOffset: utcOffsetSeconds) { return appendText(line, head, output) }
        begin(now, 1, output)
        output.packString(utf8: "log")
        output.packString(line)
    }

    /// The entry up to the record's own `count` members.
    @inline(__always) private func begin(_ time: EventTime, _ count: Int, _ output: OutputBuffer) {
        output.append(byte: 0x92)
        output.pack(time)
        output.packMapHeader(labelCount &+ count)
        labels.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { output.append(base, bytes.count) }
        }
    }

    // MARK: JSON

    private mutating func appendJSON(_ line: ByteView, _ output: OutputBuffer) -> Bool {
        guard members.scan(line) else { return false }
        // Where the members of our own lines are; -1: missing.
        var time = -1
        var level = -1
        var service = -1
        var event = -1
        var message = -1
        for (index, member) in members.members.enumerated()
        where member.isPlainKey && line[member.value.lowerBound] == UInt8(ascii: "\"") {
            let key = line.slice(member.key.lowerBound, member.key.upperBound)
            if key == "time" {
                time = index
            } else if key == "level" {
                level = index
            } else if key == "service" {
                service = index
            } else if key == "event" {
                event = index
            } else if key == "message" {
                message = index
            }
        }
        guard time >= 0, level >= 0, service >= 0, event >= 0 else { return false }
        guard let moment = CalendarTime.parseISO8601(content(line, members.members[time])) else { return false }
        let own = message >= 0 ? 5 : 4
        let fieldCount = members.members.count - own
        begin(moment, own - 1 + (fieldCount > 0 ? 1 : 0), output)
        output.packString(utf8: "level")
        packContent(line, level, output)
        output.packString(utf8: "service")
        packContent(line, service, output)
        output.packString(utf8: "event")
        packContent(line, event, output)
        if message >= 0 {
            output.packString(utf8: "message")
            packContent(line, message, output)
        }
        guard fieldCount > 0 else { return true }
        output.packString(utf8: "fields")
        output.packMapHeader(fieldCount)
        for (index, member) in members.members.enumerated()
        where index != time && index != level && index != service && index != event && index != message {
            let key = line.slice(member.key.lowerBound, member.key.upperBound)
            JSONConversion.packString(key, isPlain: member.isPlainKey, into: output)
            if member.isPlainString {
                output.packString(content(line, member))
            } else {
                JSONConversion.pack(line.slice(member.value.lowerBound, member.value.upperBound), into: output)
            }
        }
        return true
    }

    /// What is between the quotes of a string.
    @inline(__always) private func content(_ line: ByteView, _ member: JSONMembers.Member) -> ByteView {
        line.slice(member.value.lowerBound &+ 1, member.value.upperBound &- 1)
    }

    @inline(__always) private func packContent(_ line: ByteView, _ index: Int, _ output: OutputBuffer) {
        let member = members.members[index]
        JSONConversion.packString(content(line, member), isPlain: member.isPlainString, into: output)
    }

    // MARK: Text

    private mutating func appendText(_ line: ByteView, _ head: TextLine.Head, _ output: OutputBuffer) {
        let messageEnd = TextLine.parsePairs(line, from: head.messageStart, into: &pairs)
        let hasNames = !pairs.isEmpty
        begin(head.time, hasNames ? 5 : 3, output)
        output.packString(utf8: "level")
        output.packString(utf8: head.level)
        if hasNames {
            output.packString(utf8: "service")
            output.packString(line.slice(pairs[0].value.lowerBound, pairs[0].value.upperBound))
            output.packString(utf8: "event")
            output.packString(line.slice(pairs[1].value.lowerBound, pairs[1].value.upperBound))
        }
        output.packString(utf8: "message")
        output.packString(line.slice(min(head.messageStart, messageEnd), messageEnd))
        output.packString(utf8: "fields")
        output.packMapHeader(2 + max(0, pairs.count - 2))
        output.packString(utf8: "pid")
        output.pack(head.pid)
        output.packString(utf8: "role")
        output.packString(utf8: head.role)
        for pair in pairs.dropFirst(2) {
            output.packString(line.slice(pair.name.lowerBound, pair.name.upperBound))
            output.packString(line.slice(pair.value.lowerBound, pair.value.upperBound))
        }
    }
}

extension ByteView {
    @inline(__always) static func == (left: ByteView, right: StaticString) -> Bool { left == ByteView(right) }
}

extension OutputBuffer {
    @inline(__always) func packString(utf8 literal: StaticString) { packString(utf8: ByteView(literal)) }
}
