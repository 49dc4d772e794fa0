import Testing

@testable import ServerConfiguration

@Suite("Words of a line") struct TokeniserTests {
    func words(_ line: String) -> [String]? {
        Tokeniser.split(line)?.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("Blanks separate words, quotes hold them together")
    func plain() {
        #expect(words("  save 900\t1 \r") == ["save", "900", "1"])
        #expect(words("") == [])
        #expect(words("   ") == [])
        #expect(words(#"save """#) == ["save", ""])
        #expect(words(#"a "b c" 'd e'"#) == ["a", "b c", "d e"])
        #expect(words(#"a"b c""#) == ["ab c"])
        #expect(words("a # b") == ["a", "#", "b"])
    }

    @Test("Double quotes know escapes, single quotes only their own")
    func escapes() {
        #expect(Tokeniser.split(#""\n\r\t\b\a\\\"\q\x41\xfF""#) == [[10, 13, 9, 8, 7, 92, 34, 113, 0x41, 0xFF]])
        #expect(words(#""\xZZ""#) == ["xZZ"])
        #expect(words(#""\x4""#) == ["x4"])
        #expect(words(#"'it\'s \n'"#) == [#"it's \n"#])
        #expect(words(#"a\nb"#) == [#"a\nb"#])
    }

    @Test(
        "Quotes that do not match are an error",
        arguments: [#""abc"#, #"'abc"#, #""a"b"#, #"'a'b"#, #""a\"#, #""a\""#, #"x ""#, #"'\'"#])
    func unbalanced(line: String) {
        #expect(words(line) == nil)
    }

    @Test("Splitting gives quoted words back, whatever bytes they hold")
    func quoting() {
        #expect(Tokeniser.quote(Array("plain-1.2_3/x".utf8)) == Array("plain-1.2_3/x".utf8))
        #expect(Tokeniser.quote([]) == Array("\"\"".utf8))
        #expect(Tokeniser.quote(Array("#x".utf8)) == Array("\"#x\"".utf8))
        #expect(Tokeniser.quote([0, 255, 10]) == Array(#""\x00\xff\n""#.utf8))
        for first in 0...255 {
            for word in [[UInt8(first)], [97, UInt8(first), 98], [UInt8(first), 92, 120, 52]] {
                #expect(Tokeniser.split(Tokeniser.quote(word)) == [word])
            }
        }
    }

    @Test("Any line is split or refused without a trap")
    func anything() {
        let alphabet: [UInt8] = Array("\"'\\x4 a\n".utf8) + [0, 200]
        var seed: UInt64 = 42
        for _ in 0..<20000 {
            var line: [UInt8] = []
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var bits = seed >> 8
            for _ in 0..<Int(seed >> 60) {
                line.append(alphabet[Int(bits % UInt64(alphabet.count))])
                bits /= UInt64(alphabet.count)
            }
            guard let words = Tokeniser.split(line) else { continue }
            let again = Array(words.map { Tokeniser.quote($0) }.joined(separator: [32]))
            #expect(Tokeniser.split(again) == words, "\(line)")
        }
    }
}
