import Testing

@testable import ServerConfiguration

@Suite("Values of directives") struct ConfigurationValueTests {
    @Test("Memory sizes know decimal and binary units in any case")
    func memory() throws {
        let expected: [(String, Int64)] = [
            ("0", 0), ("100", 100), ("7b", 7), ("1k", 1000), ("1KB", 1024), ("2m", 2_000_000), ("2Mb", 2 << 20),
            ("3G", 3_000_000_000), ("3gb", 3 << 30),
        ]
        for (text, bytes) in expected { #expect(try ConfigurationValue.memory(text) == bytes, "\(text)") }
        for text in ["", "kb", "-1", "1.5gb", "1tb", "1 kb", "99999999999gb", "9223372036854775808", "+1"] {
            #expect(throws: ConfigurationValueError("argument must be a memory value"), "\(text)") {
                try ConfigurationValue.memory(text)
            }
        }
        #expect(try ConfigurationValue.memoryOrPercent("5%") == .percent(5))
        #expect(try ConfigurationValue.memoryOrPercent("5mb") == .bytes(5 << 20))
        #expect(throws: ConfigurationValueError("argument must be between 0 and 100 inclusive")) {
            try ConfigurationValue.memoryOrPercent("101%")
        }
        for bytes: Int64 in [0, 1, 1000, 1024, 1536, 1 << 20, 5 << 30, .max] {
            #expect(try ConfigurationValue.memory(ConfigurationValue.formatMemory(bytes)) == bytes)
        }
        #expect(ConfigurationValue.formatMemory(256 << 20) == "256mb")
    }

    @Test("Integers, booleans, permissions and choices are checked with Redis's answers")
    func others() throws {
        #expect(try ConfigurationValue.integer("-5") == -5)
        #expect(throws: ConfigurationValueError("argument must be between 0 and 65535 inclusive")) {
            try ConfigurationValue.integer("65536", in: 0...65535)
        }
        for text in ["", "x", "+1", "1 ", "99999999999999999999"] {
            #expect(throws: ConfigurationValueError("argument couldn't be parsed into an integer")) {
                try ConfigurationValue.integer(text)
            }
        }
        #expect(try ConfigurationValue.boolean("YES") && !ConfigurationValue.boolean("no"))
        #expect(throws: ConfigurationValueError("argument must be 'yes' or 'no'")) {
            try ConfigurationValue.boolean("1")
        }
        #expect(try ConfigurationValue.octal("700") == 0o700)
        #expect(throws: ConfigurationValueError.self) { try ConfigurationValue.octal("8") }
        #expect(try ConfigurationValue.choice("EverySec", of: ["always", "everysec", "no"]) == 1)
        #expect(throws: ConfigurationValueError("argument(s) must be one of the following: a, b")) {
            try ConfigurationValue.choice("c", of: ["a", "b"])
        }
    }

    @Test("A command line gives a file and overrides in order")
    func commandLine() throws {
        let line = try CommandLineDirectives([
            "dssm.conf", "--port", "6379", "--save", "", "--BIND", "127.0.0.1", "::1", "--requirepass '--x y'",
            "--daemonize",
        ])
        #expect(line.file == "dssm.conf")
        #expect(line.directives.map(\.name) == ["port", "save", "bind", "requirepass", "daemonize"])
        #expect(line.directives.map(\.arguments) == [["6379"], [""], ["127.0.0.1", "::1"], ["--x y"], []])
        #expect(line.directives[1].line == 4)
        #expect(try CommandLineDirectives([]) == CommandLineDirectives([]))
        #expect(try CommandLineDirectives(["--port", "1"]).file == nil)
        #expect(throws: ConfigurationError("unbalanced quotes in '--a \"b'", file: "command line", line: 1)) {
            try CommandLineDirectives(["--a \"b"])
        }
        #expect(throws: ConfigurationError.self) { try CommandLineDirectives(["--"]) }
    }
}
