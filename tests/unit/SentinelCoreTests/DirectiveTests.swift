import SentinelCore
import Testing

@Suite("Directives of the settings file")
struct DirectiveTests {
    static let lines = [
        "sentinel myid 0123456789012345678901234567890123456789", "sentinel current-epoch 12",
        "sentinel announce-ip s0.example", "sentinel announce-port 26380", "sentinel resolve-hostnames yes",
        "sentinel announce-hostnames yes", "sentinel deny-scripts-reconfig no", "sentinel sentinel-user u",
        "sentinel sentinel-pass p", "sentinel monitor dssm db-0.example 6379 2",
        "sentinel down-after-milliseconds dssm 1500", "sentinel failover-timeout dssm 20000",
        "sentinel parallel-syncs dssm 2", "sentinel auth-pass dssm secret", "sentinel auth-user dssm admin",
        "sentinel master-reboot-down-after-period dssm 5", "sentinel write-quorum dssm 1",
        "sentinel notification-script dssm /bin/notify", "sentinel client-reconfig-script dssm /bin/move",
        "sentinel rename-command dssm CONFIG hidden", "sentinel config-epoch dssm 7", "sentinel leader-epoch dssm 9",
        "sentinel known-replica dssm db-1.example 6379",
        "sentinel known-sentinel dssm s1.example 26379 abcdefabcdefabcdefabcdefabcdefabcdefabcd",
    ]

    private func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }

    @Test("Every directive is written as it was read")
    func roundTrip() throws {
        for line in Self.lines {
            #expect(try SentinelDirective.parse(words(line)).words.joined(separator: " ") == line)
        }
        let configuration = try SentinelConfiguration(lines: Self.lines.map(words))
        let written = configuration.directives.map { $0.words.joined(separator: " ") }
        #expect(Set(written) == Set(Self.lines))
        #expect(try SentinelConfiguration(configuration.directives) == configuration)
    }

    @Test(
        "A wrong value is refused with the directive's name",
        arguments: [
            "sentinel monitor dssm 10.0.0.1 70000 2", "sentinel monitor dssm 10.0.0.1 6379 0",
            "sentinel monitor dssm 10.0.0.1 6379", "sentinel monitor a,b 10.0.0.1 6379 1",
            "sentinel monitor dssm bad/host 6379 1", "sentinel down-after-milliseconds dssm 0",
            "sentinel down-after-milliseconds dssm 99999999999999999999", "sentinel myid abc",
            "sentinel resolve-hostnames maybe", "sentinel notification-script dssm",
            "sentinel client-reconfig-script dssm /bin/x y", "sentinel current-epoch -1", "sentinel frobnicate x",
            "sentinel known-sentinel dssm 10.0.0.1 26379 nonsense",
        ])
    func refused(line: String) {
        let words = words(line)
        let error = #expect(throws: SentinelDirectiveError.self) { try SentinelDirective.parse(words) }
        #expect(error?.directive == words[1])
        #expect("\(error.map { "\($0)" } ?? "")".hasPrefix("sentinel \(words[1]): "))
    }

    @Test("A primary that no line monitors, one monitored twice and a name without resolve-hostnames are refused")
    func inconsistent() {
        for lines in [
            ["sentinel quorum-like dssm 1"], ["sentinel config-epoch other 1"],
            ["sentinel monitor a 10.0.0.1 1 1", "sentinel monitor a 10.0.0.2 1 1"],
            ["sentinel monitor a db-0.example 6379 1"],
            ["sentinel monitor a 10.0.0.1 6379 1", "sentinel known-replica a db-1 6379"],
        ] {
            let all = lines.map(words)
            #expect(throws: SentinelDirectiveError.self) { try SentinelConfiguration(lines: all) }
        }
    }

    @Test("The order of lines does not matter")
    func order() throws {
        let reversed = try SentinelConfiguration(lines: Self.lines.reversed().map(words))
        #expect(reversed == (try SentinelConfiguration(lines: Self.lines.map(words))))
    }
}

@Suite("Small helpers")
struct HelperTests {
    @Test("Numeric addresses are told from names")
    func numeric() {
        for text in ["10.0.0.1", "255.255.255.255", "::1", "fe80::1%eth0", "2001:db8::a"] {
            #expect(isNumericAddress(text), "\(text)")
        }
        for text in ["db-0", "10.0.0", "256.0.0.1", "10.0.0.1.example", "1.2.3.", ".1.2.3", "", "1..2.3", "a.b.c.d"] {
            #expect(!isNumericAddress(text), "\(text)")
        }
    }

    @Test(
        "Patterns match as in Redis",
        arguments: [
            ("*", "", true), ("+*", "+sdown", true), ("+s*n", "+sdown", true), ("+s*x", "+sdown", false),
            ("?b", "ab", true), ("[a-c]x", "bx", true), ("[^a-c]x", "bx", false), ("\\*", "*", true),
            ("\\*", "a", false), ("a*b*c", "aXbYc", true), ("a*b*c", "aXbY", false), ("[abc", "a", true),
        ])
    func glob(pattern: String, text: String, isMatch: Bool) {
        #expect(matchesGlob(pattern, text) == isMatch, "\(pattern) \(text)")
    }

    @Test("A hello message is read as it was written, and anything else is no hello message")
    func hello() throws {
        let text = "10.0.1.2,26379,\(String(repeating: "b", count: 40)),3,dssm,10.0.0.1,6379,2"
        let message = try #require(HelloMessage(text))
        #expect(message.text == text)
        #expect(message.sender == Endpoint("10.0.1.2", 26379) && message.configEpoch == 2 && message.currentEpoch == 3)
        for bad in [
            "", ",,,,,,,", text + ",1", String(text.dropLast(2)), text.replacing("26379", with: "0"),
            text.replacing("26379", with: "65536"), text.replacing("bbbb", with: "xxxx"),
            text.replacing(",3,", with: ",99999999999999999999,"), text.replacing(",3,", with: ",-1,"),
            text.replacing(",3,", with: ",18446744073709551615,"), text.replacing("10.0.1.2", with: "a b"),
        ] {
            #expect(HelloMessage(bad) == nil, "\(bad)")
        }
    }
}

extension String {
    func replacing(_ part: String, with other: String) -> String {
        var result = ""
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(part) {
                result += other
                rest = rest.dropFirst(part.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return result
    }
}
