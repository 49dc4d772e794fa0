import ByteStorage
import Testing

@testable import RESP

@Suite("Request parser") struct RequestParserTests {
    static let inputs: [(String, [[String]], RequestError?)] = [
        (request(["PING"]), [["PING"]], nil),
        (
            request(["SET", "key", "a\r\nb"]) + request(["GET", "key"]), [["SET", "key", "a\r\nb"], ["GET", "key"]], nil
        ),
        (request(["SET", "", ""]), [["SET", "", ""]], nil),
        ("*0\r\n*-1\r\n*-7\r\n" + request(["PING"]), [["PING"]], nil),
        ("PING\r\n", [["PING"]], nil),
        ("PING\n\r\n\n  \r\nECHO 'a b'\r\n", [["PING"], ["ECHO", "a b"]], nil),
        ("SET k \"\\x41\\n\\\"\" ''\n", [["SET", "k", "A\n\"", ""]], nil),
        (request(["A"]) + "GET 'x\r\n", [["A"]], .unbalancedQuotes),
        (request(["A"]) + "*1\r\n:5\r\n", [["A"]], .expectedDollar(got: 58)),
        ("*2\r\n$1\r\nA\r\nB\r\n", [], .expectedDollar(got: 66)),
        ("*x\r\n", [], .invalidMultibulkLength),
        ("*1x\r\n", [], .invalidMultibulkLength),
        ("*01\r\n$1\r\nA\r\n", [], .invalidMultibulkLength),
        ("*+1\r\n", [], .invalidMultibulkLength),
        ("*\r\n", [], .invalidMultibulkLength),
        ("*-\r\n", [], .invalidMultibulkLength),
        ("*99999999999999999999\r\n", [], .invalidMultibulkLength),
        ("*9223372036854775807\r\n", [], .invalidMultibulkLength),
        ("*1\r\n$-1\r\n", [], .invalidBulkLength),
        ("*1\r\n$-2\r\n", [], .invalidBulkLength),
        ("*1\r\n$-3\r\n", [], .invalidBulkLength),
        ("*1\r\n$-4\r\n", [], .invalidBulkLength),
        ("*1\r\n$\r\n", [], .invalidBulkLength),
        ("*1\r\n$x\r\n", [], .invalidBulkLength),
        ("*1\r\n$01\r\nA\r\n", [], .invalidBulkLength),
        ("*1\r\n$536870913\r\n", [], .invalidBulkLength),
        ("*1\r\n$9223372036854775807\r\n", [], .invalidBulkLength),
        ("*1\r\n$99999999999999999999999999\r\n", [], .invalidBulkLength),
    ]

    @Test("Every input means the same however it is cut into pieces")
    func everySplit() {
        for (text, commands, error) in RequestParserTests.inputs {
            let bytes = Array(text.utf8)
            let whole = parse(bytes)
            #expect(words(whole) == commands && whole.error == error, "\(text.debugDescription)")
            #expect(whole.rest == 0, "\(text.debugDescription)")
            for first in 0...bytes.count {
                for second in first...bytes.count {
                    #expect(
                        parse(bytes, cuts: [first, second]) == whole, "\(text.debugDescription) \(first) \(second)")
                }
            }
            #expect(parse(bytes, cuts: Array(1..<max(1, bytes.count))) == whole, "\(text.debugDescription) by bytes")
        }
    }

    @Test("A prefix of a command is incomplete and asks for no byte that need not come")
    func prefixes() {
        for (text, _, error) in RequestParserTests.inputs where error == nil {
            let bytes = Array(text.utf8)
            for end in 0..<bytes.count {
                let partial = parse(Array(bytes[0..<end]))
                #expect(partial.error == nil)
                let whole = parse(bytes, cuts: [end])
                #expect(whole.rest == 0, "\(text.debugDescription) cut at \(end) hangs")
            }
        }
    }

    @Test("The line end after a bulk string is skipped unseen, as in Redis")
    func bulkTerminatorIsNotVerified() {
        #expect(words(parse("*2\r\n$1\r\nAxy$1\r\nBzz*1\r\n$1\r\nC\r\n")) == [["A", "B"], ["C"]])
    }

    @Test("The error texts are those of Redis")
    func texts() {
        let texts: [(String, String)] = [
            ("*x\r\n", "invalid multibulk length"), ("*1\r\n$x\r\n", "invalid bulk length"),
            ("*1\r\n:1\r\n", "expected '$', got ':'"), ("*1\r\n\u{1}\r\n", "expected '$', got ' '"),
            ("'\r\n", "unbalanced quotes in request"),
            ("*" + String(repeating: "1", count: 70_000), "too big mbulk count string"),
            ("*1\r\n$" + String(repeating: "1", count: 70_000), "too big bulk count string"),
            (String(repeating: "a", count: 65_537), "too big inline request"),
        ]
        for (input, text) in texts { #expect(parse(input).error?.text == text, "\(input.prefix(20))") }
        #expect(parse(String(repeating: "a", count: 65_536)).error == nil)
    }

    @Test("Before authentication the limits are narrow and have their own texts")
    func unauthenticated() {
        let parser = RequestParser(limits: .unauthenticated, restricted: true)
        #expect(parse("*11\r\n", parser).error?.text == "unauthenticated multibulk length")
        #expect(parse("*1\r\n$16385\r\n", parser).error?.text == "unauthenticated bulk length")
        #expect(parse("*10\r\n$16384\r\n", parser).error == nil)
        #expect(parse("*1\r\n$-1\r\n", parser).error?.text == "invalid bulk length")
        #expect(words(parse(request(["AUTH", "x"]), parser)) == [["AUTH", "x"]])
    }

    @Test("A command of very many arguments arrives whole wherever it is cut")
    func manyArguments() {
        // The last arguments are empty: they take the fewest bytes that an argument can take.
        for count in [1023, 1024, 1025, 1026, 1030] {
            let bytes = Array(request(["DEL"] + Array(repeating: "", count: count - 1)).utf8)
            for cut in bytes.count - 64...bytes.count {
                let result = parse(bytes, cuts: [cut])
                #expect(result.commands.count == 1 && result.rest == 0, "\(count) arguments cut at \(cut)")
            }
            #expect(parse(bytes, cuts: Array(bytes.count - 30..<bytes.count)).rest == 0)
        }
    }

    @Test("The work for a command of very many arguments is not quadratic in their number")
    func manyArgumentsAreLinear() {
        func attempts(_ count: Int) -> Int {
            let bytes = Array(request((0..<count).map { "argument\($0)" }).utf8) + [UInt8](repeating: 0, count: 16)
            let arena = ArgumentArena()
            defer { arena.destroy() }
            var attempts = 0
            bytes.withUnsafeBytes { raw in
                guard let base = raw.baseAddress else { return }
                var end = 0
                var needed = 0
                while end < raw.count - 16 {
                    end = min(raw.count - 16, end + 1460)
                    if end < needed { continue }
                    attempts += 1
                    if case .incomplete(let wanted) = RequestParser().parse(base, 0, end, arena) { needed = wanted }
                }
            }
            return attempts
        }
        let small = attempts(20_000)
        let large = attempts(80_000)
        #expect(large <= small + 20, "\(small) attempts for 20,000 arguments, \(large) for 80,000")
    }

    @Test("A million random mutations of requests never trap, and cutting never changes what they mean")
    func mutations() {
        let seed = UInt64.random(in: .min ... .max)
        print("seed \(seed)")
        var state = seed
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let alphabet = Array("*$-0123456789\r\n\"'\\x a\0\u{7f}".utf8) + [0xff, 0x80]
        for _ in 0..<3000 {
            var bytes: [UInt8] = []
            for _ in 0...next(3) {
                bytes += Array(RequestParserTests.inputs[next(RequestParserTests.inputs.count)].0.utf8)
            }
            for _ in 0...next(6) where !bytes.isEmpty {
                let position = next(bytes.count)
                switch next(3) {
                case 0: bytes[position] = alphabet[next(alphabet.count)]
                case 1: bytes.insert(alphabet[next(alphabet.count)], at: position)
                default: bytes.remove(at: position)
                }
            }
            let whole = parse(bytes)
            var cuts = (0..<next(4)).map { _ in next(bytes.count + 1) }
            cuts.sort()
            let cut = parse(bytes, cuts: cuts)
            #expect(cut.commands == whole.commands && cut.error == whole.error, "seed \(seed): \(bytes) cut at \(cuts)")
        }
    }
}

@Suite("Inline arguments") struct InlineArgumentTests {
    private func split(_ text: String) -> [String]? {
        Array(text.utf8).withView { splitInlineArguments($0) }.map { $0.map { String(decoding: $0, as: UTF8.self) } }
    }

    @Test("Words, quotes and escapes are those of Redis")
    func forms() {
        #expect(split("") == [] && split("  \t ") == [])
        #expect(split("a b\tc") == ["a", "b", "c"])
        #expect(split("\"a b\" 'c d'") == ["a b", "c d"])
        #expect(split("\"\" ''") == ["", ""])
        #expect(split("\"\\x41\\n\\r\\t\\b\\a\\q\\\\\"") == ["A\n\r\t\u{8}\u{7}q\\"])
        #expect(split("'it\\'s \\n'") == ["it's \\n"])
        #expect(split("\"\\xg1\\x4\"") == ["xg1x4"])
        #expect(split("pre\"fix\"") == ["prefix"])
    }

    @Test(
        "A quote that is open, or followed by more, is refused",
        arguments: ["\"", "'", "\"a\"b", "'a'b", "\"\\", "'\\"])
    func refused(_ text: String) { #expect(split(text) == nil) }
}
