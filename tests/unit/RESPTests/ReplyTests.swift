import ByteStorage
import Testing

@testable import RESP

@Suite("Reply writer") struct ReplyWriterTests {
    private func written(resp3: Bool = false, _ body: (ReplyWriter) -> Void) -> String {
        let out = OutputBuffer.create()
        defer { out.destroy() }
        body(ReplyWriter(out, isRESP3: resp3))
        return out.view.string
    }

    @Test("Each type has its RESP2 and its RESP3 form")
    func forms() {
        let forms: [((ReplyWriter) -> Void, String, String)] = [
            ({ $0.ok() }, "+OK\r\n", "+OK\r\n"),
            ({ $0.simple("PONG") }, "+PONG\r\n", "+PONG\r\n"),
            ({ $0.simple(String("x")) }, "+x\r\n", "+x\r\n"),
            ({ $0.error("ERR no") }, "-ERR no\r\n", "-ERR no\r\n"),
            ({ $0.integer(Int64.min) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
            ({ $0.integer(7) }, ":7\r\n", ":7\r\n"),
            ({ $0.bulk("ab") }, "$2\r\nab\r\n", "$2\r\nab\r\n"),
            ({ $0.bulk("") }, "$0\r\n\r\n", "$0\r\n\r\n"),
            ({ $0.bulk([UInt8]()) }, "$0\r\n\r\n", "$0\r\n\r\n"),
            ({ $0.bulk(integer: -120) }, "$4\r\n-120\r\n", "$4\r\n-120\r\n"),
            ({ $0.bulk(integer: .min) }, "$20\r\n-9223372036854775808\r\n", "$20\r\n-9223372036854775808\r\n"),
            ({ $0.null() }, "$-1\r\n", "_\r\n"),
            ({ $0.nullArray() }, "*-1\r\n", "_\r\n"),
            ({ $0.boolean(true) }, ":1\r\n", "#t\r\n"),
            ({ $0.boolean(false) }, ":0\r\n", "#f\r\n"),
            ({ $0.double(formatted: ByteView("1.5")) }, "$3\r\n1.5\r\n", ",1.5\r\n"),
            ({ $0.verbatim("text") }, "$4\r\ntext\r\n", "=8\r\ntxt:text\r\n"),
            ({ $0.array(2) }, "*2\r\n", "*2\r\n"),
            ({ $0.map(2) }, "*4\r\n", "%2\r\n"),
            ({ $0.set(2) }, "*2\r\n", "~2\r\n"),
            ({ $0.push(3) }, "*3\r\n", ">3\r\n"),
        ]
        for (body, two, three) in forms {
            #expect(written(body) == two)
            #expect(written(resp3: true, body) == three)
        }
    }

    @Test("A bulk string of any length is framed right")
    func bulkLengths() {
        for count in [0, 1, 7, 8, 9, 63, 64, 65, 999, 1000, 65536, 1 << 20] {
            let text = String(repeating: "z", count: count)
            #expect(written { $0.bulk(text) } == "$\(count)\r\n\(text)\r\n")
        }
    }

    @Test("A header can be put before elements though the buffer was partly consumed and has moved them")
    func insertedHeader() {
        for consumed in [0, 1, 100, 199] {
            for elements in [0, 1, 3, 500] {
                let out = OutputBuffer.create(capacity: 256)
                defer { out.destroy() }
                out.append(String(repeating: "q", count: 200))
                out.consume(consumed)
                let writer = ReplyWriter(out)
                let start = out.count
                for index in 0..<elements { writer.integer(index) }
                writer.insertArrayHeader(elements, after: start)
                let expected =
                    String(repeating: "q", count: 200 - consumed) + "*\(elements)\r\n"
                    + (0..<elements).map { ":\($0)\r\n" }.joined()
                #expect(out.view.string == expected, "\(consumed) consumed, \(elements) elements")
            }
        }
    }
}

@Suite("Replies on the client side") struct ReplyParserTests {
    static let replies: [(String, ReplyValue)] = [
        ("+OK\r\n", .simple("OK")), ("+\r\n", .simple("")), ("-ERR x\r\n", .error("ERR x")),
        (":-5\r\n", .integer(-5)), ("$3\r\na\r\n\r\n", .bulk([97, 13, 10])), ("$0\r\n\r\n", .bulk([])),
        ("$-1\r\n", .null), ("*-1\r\n", .null), ("_\r\n", .null), ("#t\r\n", .boolean(true)),
        ("#f\r\n", .boolean(false)), (",1.5\r\n", .double(1.5)), (",inf\r\n", .double(.infinity)),
        ("(12345678901234567890123\r\n", .bigNumber("12345678901234567890123")), ("!5\r\nERR x\r\n", .error("ERR x")),
        ("=6\r\ntxt:ab\r\n", .verbatim(format: "txt", [97, 98])), ("*0\r\n", .array([])),
        ("*2\r\n:1\r\n*1\r\n$1\r\na\r\n", .array([.integer(1), .array([.bulk([97])])])),
        ("%1\r\n+k\r\n:1\r\n", .map([.init(.simple("k"), .integer(1))])), ("~1\r\n:1\r\n", .set([.integer(1)])),
        (">2\r\n+a\r\n+b\r\n", .push([.simple("a"), .simple("b")])),
        ("|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n", .bulk([97])),
        ("*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:7\r\n:8\r\n", .array([.integer(7), .integer(8)])),
        ("*1\r\n|0\r\n_\r\n", .array([.null])),
        ("%-1\r\n", .map([])), ("|-1\r\n:1\r\n", .integer(1)),
    ]

    @Test("Every reply is found whole, wherever it is cut, and what follows is left alone")
    func everySplit() {
        for (text, value) in ReplyParserTests.replies {
            let reply = Array(text.utf8)
            let bytes = reply + Array("+NEXT\r\n".utf8)
            for first in 0...reply.count {
                for second in first...reply.count {
                    var parser = ReplyParser()
                    for cut in [first, second] where cut < reply.count {
                        #expect(
                            Array(bytes[0..<cut]).withView { parser.parse($0) } == .incomplete,
                            "\(text.debugDescription) cut at \(cut)")
                    }
                    #expect(
                        bytes.withView { parser.parse($0) } == .value(value, length: reply.count),
                        "\(text.debugDescription) cut at \(first) and \(second)")
                    #expect(
                        Array(bytes[reply.count...]).withView { parser.parse($0) }
                            == .value(.simple("NEXT"), length: 7), "the parser is ready for the next reply")
                }
            }
        }
    }

    @Test(
        "What is no reply is refused, not waited for",
        arguments: [
            "x\r\n", "\r\n", "$-2\r\n", "$x\r\n", "$\r\n", "*x\r\n", "*-2\r\n", "%-2\r\n", "*99999999999\r\n",
            "$99999999999999999999\r\n", ":x\r\n", ",x\r\n", "=2\r\nab\r\n", "$?\r\n", "*?\r\n", "*1\r\n;4\r\n",
        ])
    func refused(_ text: String) {
        var parser = ReplyParser()
        guard case .failed = Array(text.utf8).withView({ parser.parse($0) }) else {
            Issue.record("\(text.debugDescription) was not refused")
            return
        }
    }

    @Test("Nesting deeper than the limit is refused, up to it accepted")
    func depth() {
        func nested(_ depth: Int) -> [UInt8] { Array((String(repeating: "*1\r\n", count: depth) + ":1\r\n").utf8) }
        var parser = ReplyParser()
        guard case .value = nested(ReplyParser.maximumDepth).withView({ parser.parse($0) }) else {
            Issue.record("the deepest nesting allowed was refused")
            return
        }
        guard case .failed = nested(100_000).withView({ parser.parse($0) }) else {
            Issue.record("too deep a nesting was accepted")
            return
        }
        let attributes = Array((String(repeating: "|0\r\n", count: 100_000) + ":1\r\n").utf8)
        guard case .failed = attributes.withView({ parser.parse($0) }) else {
            Issue.record("an endless chain of attributes was accepted")
            return
        }
    }

    @Test("Size limits hold before the bytes have come, and for lines whether they come in one piece or not")
    func limits() {
        var scanner = ReplyScanner(maximumBytes: 100)
        #expect(Array("$90\r\n".utf8).withView { scanner.scan($0) } == .incomplete)
        scanner = ReplyScanner(maximumBytes: 100)
        #expect(Array("$99\r\n".utf8).withView { scanner.scan($0) } == .failed(ReplyError("the reply is too long")))
        scanner = ReplyScanner(maximumBytes: 100)
        let many = Array(("*50\r\n" + String(repeating: ":1\r\n", count: 50)).utf8)
        #expect(many.withView { scanner.scan($0) } == .failed(ReplyError("the reply is too long")))
        scanner = ReplyScanner()
        let bombs = Array(String(repeating: "*1073741824\r\n", count: 8).utf8)
        #expect(bombs.withView { scanner.scan($0) } == .failed(ReplyError("the reply has too many elements")))
        let line = Array(("+" + String(repeating: "a", count: 70_000) + "\r\n").utf8)
        let tooLong = ReplyScanner.Status.failed(ReplyError("a line of the reply is too long"))
        scanner = ReplyScanner()
        #expect(line.withView { scanner.scan($0) } == tooLong)
        scanner = ReplyScanner()
        #expect(Array(line[0..<69_000]).withView { scanner.scan($0) } == tooLong)
    }

    @Test("Random mutations of replies never trap and mean the same however they are cut")
    func mutations() {
        let seed = UInt64.random(in: .min ... .max)
        print("seed \(seed)")
        var state = seed
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let alphabet = Array("+-:$*%~>|!=#,(_0123456789\r\n".utf8) + [0xff]
        for _ in 0..<20_000 {
            var bytes = Array(ReplyParserTests.replies[next(ReplyParserTests.replies.count)].0.utf8)
            for _ in 0...next(4) where !bytes.isEmpty {
                let position = next(bytes.count)
                switch next(3) {
                case 0: bytes[position] = alphabet[next(alphabet.count)]
                case 1: bytes.insert(alphabet[next(alphabet.count)], at: position)
                default: bytes.remove(at: position)
                }
            }
            bytes += Array("\r\n+A\r\n".utf8)
            var whole = ReplyParser()
            let result = bytes.withView { whole.parse($0) }
            var cut = ReplyParser()
            switch Array(bytes[0..<next(bytes.count)]).withView({ cut.parse($0) }) {
            case .incomplete: #expect(bytes.withView { cut.parse($0) } == result, "seed \(seed): \(bytes)")
            case let early: #expect(early == result || result.isFailure == early.isFailure, "seed \(seed): \(bytes)")
            }
        }
    }
}

extension ReplyParser.Status {
    fileprivate var isFailure: Bool {
        if case .failed = self { return true }
        return false
    }
}
