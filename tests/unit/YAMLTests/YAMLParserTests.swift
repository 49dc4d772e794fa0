import Testing
import YAML

@Suite("YAMLParser")
struct YAMLParserTests {
    private func parse(_ text: String) throws -> YAMLNode {
        try #require(try YAMLParser.parse(text))
    }

    @Test("Mappings, sequences and scalars of all styles become a tree with lines")
    func tree() throws {
        let node = try parse(
            """
            # a comment
            name: dssm
            ports: [6379, 26379]
            nested:
              quoted: "6379"
              text: |
                two
                lines
              nothing:
              on: yes
              half: 0.5
            """)
        #expect(node["name"]?.string == "dssm")
        #expect(node["ports"]?.sequence?.map(\.integer) == [6379, 26379])
        let nested = try #require(node["nested"])
        #expect(nested.line == 5)
        #expect(nested["quoted"]?.string == "6379" && nested["quoted"]?.integer == nil)
        #expect(nested["text"]?.string == "two\nlines\n")
        #expect(nested["nothing"]?.isNull == true && nested["nothing"]?.string == nil)
        #expect(nested["on"]?.bool == true)
        #expect(nested["half"]?.double == 0.5)
        #expect(nested.mapping?.map(\.key) == ["quoted", "text", "nothing", "on", "half"])
        #expect(node["missing"] == nil)
    }

    @Test("An empty document is nothing, an explicit null is null")
    func empty() throws {
        #expect(try YAMLParser.parse("") == nil)
        #expect(try YAMLParser.parse("# only this\n") == nil)
        #expect(try parse("~").isNull)
        #expect(try !parse("'~'").isNull)
    }

    @Test("Anchors are resolved, and merge keys give way to the mapping's own keys")
    func anchors() throws {
        let node = try parse(
            """
            base: &base {image: one, tag: a}
            more: &more {tag: b, policy: c}
            both:
              <<: [*base, *more]
              image: two
            list: [*base]
            """)
        let both = try #require(node["both"])
        #expect(both["image"]?.string == "two" && both["tag"]?.string == "a" && both["policy"]?.string == "c")
        #expect(node["list"]?.sequence?.first?["image"]?.string == "one")
    }

    @Test(
        "What is no YAML is refused with its place",
        arguments: [
            ("a: [1, 2", 1), ("a: 1\nb: 2\na: 3", 3), ("a: *nowhere", 1), ("a: 1\n---\nb: 2", 2), ("? [a]\n: b", 1),
            ("a:\n\tb: 1", 2), ("<<: 5", 1),
        ])
    func errors(text: String, line: Int) {
        let error = #expect(throws: YAMLError.self) { try YAMLParser.parse(text) }
        // An unfinished collection is noticed at the end of the text.
        #expect(error.map { $0.line >= line && $0.line <= line + 1 } == true, "\(error as Any)")
    }

    @Test("Aliases of aliases do not multiply without limit, nor does nesting go on for ever")
    func hostile() {
        var text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        for level in 1...9 {
            let alias = "*a\(level - 1)"
            text += "a\(level): &a\(level) [\(Array(repeating: alias, count: 10).joined(separator: ","))]\n"
        }
        #expect(throws: YAMLError.self) { try YAMLParser.parse(text) }
        #expect(throws: YAMLError.self) { try YAMLParser.parse(String(repeating: "[", count: 1000)) }
    }

    @Test("Every prefix of a document is parsed or refused")
    func prefixes() {
        let text = "a: &x {b: [1, \"two\", 'three'], c: |\n  block\n}\nd: *x\ne: !!str 5\n"
        for length in 0...text.utf8.count {
            _ = try? YAMLParser.parse(String(decoding: Array(text.utf8.prefix(length)), as: UTF8.self))
        }
    }
}
