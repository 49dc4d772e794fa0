import ByteStorage
import Testing

@testable import LogForwarding

@Suite struct RecordEncoderTests {
    static let now = EventTime(seconds: 42, nanoseconds: 7)

    func encode(
        _ line: [UInt8], labels: [(name: String, value: String)] = [], utcOffset: Int64 = 0
    ) throws -> (time: EventTime, record: String) {
        var encoder = RecordEncoder(labels: labels)
        encoder.utcOffsetSeconds = utcOffset
        let bytes = packed { output in line.withView { encoder.append($0, now: Self.now, into: output) } }
        let all = try values(bytes)
        #expect(all.count == 1)
        guard case .array(let items) = all[0], items.count == 2, let time = items[0].eventTime else {
            Issue.record("no entry: \(all)")
            return (Self.now, "")
        }
        return (time, items[1].readable)
    }

    func record(_ line: String) throws -> String { try encode(Array(line.utf8)).record }

    @Test("A JSON line of ours gives its time, level, service, event, message and fields")
    func ownJSON() throws {
        let line =
            #"{"time":"2026-01-31T12:00:00.123Z","level":"notice","service":"db","event":"e","message":"m \"x\"","#
            + #""pid":1,"n":-2.5,"deep":{"a":[true,null,"é"]}}"#
        let result = try encode(Array(line.utf8))
        #expect(result.time == EventTime(seconds: 1_769_860_800, nanoseconds: 123_000_000))
        #expect(
            result.record
                == "{level: notice, service: db, event: e, message: m \"x\", "
                + "fields: {pid: 1, n: -2.5, deep: {a: [true, null, é]}}}")
    }

    @Test("Escapes of JSON are undone, halves of surrogate pairs replaced")
    func escapes() throws {
        let line =
            #"{"time":"2026-01-31T12:00:00Z","level":"l","service":"s","event":"e","a\tb":"\n\u0041\ud83d\ude00\ud83dx\/"}"#
        #expect(try record(line) == "{level: l, service: s, event: e, fields: {a\tb: \nA😀\u{fffd}x/}}")
    }

    @Test(
        "JSON that is not ours, or no JSON, passes through whole",
        arguments: [
            #"{"a":1}"#, "{}", "{", #"{"time":"x","level":"l","service":"s","event":"e"}"#,
            #"{"time":"2026-01-31T12:00:00Z","level":"l","service":"s","event":"e"} trailing"#,
            #"{"time":"2026-01-31T12:00:00Z","level":"l","service":"s","event":"e",}"#,
            #"{"time":"2026-01-31T12:00:00Z","level":"l","service":"s","event":"e","n":01}"#,
            #"{"time":"2026-01-31T12:00:00Z","level":"l","service":"s","event":7}"#, "plain", "1:M", "7:M 31 Jan",
            "7:Q 31 Jan 2026 12:00:00.000 * no such role", "7:M 31 Foo 2026 12:00:00.000 * no such month",
        ])
    func passThrough(line: String) throws {
        #expect(try record(line) == "{log: \(line)}")
    }

    @Test("A text line of ours gives message, service, event and fields; quotes need no escape")
    func ownText() throws {
        let line =
            #"12:X 31 Jan 2026 12:00:00.250 # +sdown master a service=sentinel event=+sdown name="a "b" c" host=h=1"#
        let result = try encode(Array(line.utf8), utcOffset: 3600)
        #expect(result.time == EventTime(seconds: 1_769_860_800 - 3600, nanoseconds: 250_000_000))
        #expect(
            result.record
                == "{level: warning, service: sentinel, event: +sdown, message: +sdown master a, "
                + "fields: {pid: 12, role: sentinel, name: a \"b\" c, host: h=1}}")
    }

    @Test("A message that imitates fields stays message")
    func imitation() throws {
        let line = "1:M 31 Jan 2026 12:00:00.250 * evil service=fake event=fake x=1 service=db event=real y=2"
        #expect(
            try record(line)
                == "{level: notice, service: db, event: real, message: evil service=fake event=fake x=1, "
                + "fields: {pid: 1, role: primary, y: 2}}")
    }

    @Test("A line of stock Redis is a record without service and event")
    func stockRedis() throws {
        let line = "26:C 01 Dec 2026 00:00:00.001 * Redis is starting"
        #expect(
            try record(line) == "{level: notice, message: Redis is starting, fields: {pid: 26, role: worker}}")
    }

    @Test("Labels come first in every kind of record")
    func labels() throws {
        for line in ["x", "26:C 01 Dec 2026 00:00:00.001 * m"] {
            let text = try encode(Array(line.utf8), labels: [("pod", "p-0"), ("node", "n")]).record
            #expect(text.hasPrefix("{pod: p-0, node: n, "))
        }
    }

    @Test("Every prefix and every damaged byte of a line gives one whole entry")
    func damage() throws {
        let lines = [
            #"{"time":"2026-01-31T12:00:00.123Z","level":"notice","service":"db","event":"e","d":{"a":[1e3,"\u00e9"]}}"#,
            #"12:X 31 Jan 2026 12:00:00.250 # +sdown service=sentinel event=+sdown name="a b" c=d"#,
        ]
        for line in lines {
            let bytes = Array(line.utf8)
            for count in 0...bytes.count { _ = try encode(Array(bytes[..<count])) }
            for index in bytes.indices {
                for replacement: UInt8 in [0, 32, 34, 44, 58, 91, 92, 93, 123, 125, 255] {
                    var damaged = bytes
                    damaged[index] = replacement
                    _ = try encode(damaged)
                }
            }
        }
    }

    @Test("Nesting beyond the limit passes through")
    func deepNesting() throws {
        let start = #"{"time":"2026-01-31T12:00:00Z","level":"l","service":"s","event":"e","x":"#
        let line = start + String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000) + "}"
        #expect(try record(line) == "{log: \(line)}")
    }

    @Test("Times of both forms agree with the calendar")
    func calendar() {
        func iso(_ text: String) -> Int64? { Array(text.utf8).withView { CalendarTime.parseISO8601($0)?.seconds } }
        #expect(iso("1970-01-01T00:00:00Z") == 0)
        #expect(iso("2000-02-29T23:59:59Z") == 951_868_799)
        #expect(iso("2026-01-31T12:00:00+01:30") == 1_769_855_400)
        #expect(iso("2026-01-31T12:00:00-00:30") == 1_769_862_600)
        #expect(iso("1969-12-31T23:59:59Z") == -1)
        for bad in ["2026-13-01T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00", ""] {
            #expect(iso(bad) == nil)
        }
    }
}

extension MessagePackValue {
    /// For comparisons that a person can read.
    var readable: String {
        switch self {
        case .null: return "null"
        case .bool(let flag): return "\(flag)"
        case .integer(let number): return "\(number)"
        case .unsigned(let number): return "\(number)"
        case .double(let number): return "\(number)"
        case .string(let bytes): return String(decoding: bytes, as: UTF8.self)
        case .binary, .extended: return canonical
        case .array(let items): return "[" + items.map(\.readable).joined(separator: ", ") + "]"
        case .map(let pairs):
            return "{" + pairs.map { "\($0.key.readable): \($0.value.readable)" }.joined(separator: ", ") + "}"
        }
    }
}
