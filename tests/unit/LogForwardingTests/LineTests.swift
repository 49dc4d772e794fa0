import ByteStorage
import Testing

@testable import LogForwarding

@Suite struct LineTests {
    func split(_ pieces: [[UInt8]], maximumBytes: Int = 100) -> (lines: [String], sourceBytes: Int) {
        var assembler = LineAssembler(maximumBytes: maximumBytes)
        var lines: [String] = []
        var sourceBytes = 0
        for piece in pieces {
            piece.withView { view in
                assembler.feed(view) { line, bytes in
                    lines.append(line.string)
                    sourceBytes += bytes
                }
            }
        }
        assembler.flush { line, bytes in
            lines.append("unfinished " + line.string)
            sourceBytes += bytes
        }
        return (lines, sourceBytes)
    }

    @Test("Lines are the same wherever the input is cut into three")
    func everySplit() {
        let text = Array("one\ntwo\r\n\nfour is longer than the limit é\nfive".utf8)
        let whole = split([text], maximumBytes: 12)
        #expect(whole.lines == ["one", "two", "", "four is long ... [20 bytes cut]", "unfinished five"])
        #expect(whole.sourceBytes == text.count)
        for first in 0...text.count {
            for second in first...text.count {
                let pieces = [Array(text[..<first]), Array(text[first..<second]), Array(text[second...])]
                let result = split(pieces, maximumBytes: 12)
                #expect(result.lines == whole.lines)
                #expect(result.sourceBytes == text.count)
            }
        }
    }

    @Test("A cut does not split a character")
    func cutCharacters() {
        let text = Array("aé€😀\n".utf8)
        for limit in 1..<text.count - 1 {
            let line = split([text], maximumBytes: limit).lines[0]
            #expect(!line.contains("\u{fffd}"), "limit \(limit): \(line)")
        }
    }

    @Test("A line without an end costs no more memory than the limit")
    func endless() {
        var assembler = LineAssembler(maximumBytes: 1000)
        let piece = [UInt8](repeating: 120, count: 100_000)
        for _ in 0..<100 { piece.withView { assembler.feed($0) { _, _ in Issue.record("no line yet") } } }
        #expect(assembler.pendingBytes == 10_000_000)
        var line = ""
        Array("\n".utf8).withView { assembler.feed($0) { text, _ in line = text.string } }
        #expect(line == String(repeating: "x", count: 1000) + " ... [9999000 bytes cut]")
        #expect(assembler.pendingBytes == 0)
    }

    func join(_ lines: [String], limits: MultilineJoiner.Limits = .init()) throws -> (records: [String], pending: Int) {
        var problem = ""
        let pattern = try #require(LinePattern("^[0-9]+ ", problem: &problem))
        var joiner = MultilineJoiner(start: pattern, limits: limits)
        var records: [String] = []
        for line in lines { Array(line.utf8).withView { joiner.add($0, $0.count + 1) { records.append($0.string) } } }
        let pending = joiner.pendingBytes
        joiner.flush { records.append($0.string) }
        return (records, pending)
    }

    @Test("Lines that do not match continue the record before them")
    func joining() throws {
        let result = try join(["1 a", "  b", "c", "2 d", "e"])
        #expect(result.records == ["1 a\n  b\nc", "2 d\ne"])
        #expect(result.pending == 6)
    }

    @Test("A record ends at the limits of lines and bytes")
    func joiningLimits() throws {
        var limits = MultilineJoiner.Limits()
        limits.lines = 2
        #expect(try join(["1 a", "b", "c", "d"], limits: limits).records == ["1 a\nb", "c\nd"])
        limits.lines = 100
        limits.bytes = 6
        #expect(try join(["1 a", "bb", "c"], limits: limits).records == ["1 a\nbb", "c"])
    }

    @Test("An expression that cannot be compiled is refused with its reason")
    func badPattern() {
        var problem = ""
        #expect(LinePattern("(", problem: &problem) == nil)
        #expect(!problem.isEmpty)
    }
}
