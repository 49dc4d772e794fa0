import SentinelCore
import Testing

@Suite("The SENTINEL command")
struct OperatorTests {
    private func text(_ reply: Reply?) -> String {
        switch reply {
        case .error(let text): "-" + text
        case .simple(let text): "+" + text
        case .some(let other): "\(other)"
        case nil: "nothing"
        }
    }

    @Test(
        "Errors have Redis's texts",
        arguments: [
            ("SENTINEL", "-ERR wrong number of arguments for 'sentinel' command"),
            ("SENTINEL xx", "-ERR unknown subcommand 'xx'. Try SENTINEL HELP."),
            ("SENTINEL masters x", "-ERR wrong number of arguments for 'sentinel|masters' command"),
            ("SENTINEL master nope", "-ERR No such master with that name"),
            ("SENTINEL failover nope", "-ERR No such master with that name"),
            ("SENTINEL failover dssm", "-NOGOODSLAVE No suitable replica to promote"),
            ("SENTINEL remove nope", "-ERR No such master with that name"),
            ("SENTINEL monitor dssm 10.0.0.1 1 1", "-ERR Duplicate master name."),
            ("SENTINEL monitor a foo 1 1", "-ERR Invalid IP address or hostname specified"),
            ("SENTINEL monitor a 10.0.0.1 x 1", "-ERR Invalid port"),
            ("SENTINEL monitor a 10.0.0.1 99999 1", "-ERR Invalid port number."),
            ("SENTINEL monitor a 10.0.0.1 1 0", "-ERR Quorum must be 1 or greater."),
            ("SENTINEL set dssm foo bar", "-ERR Unknown option or number of arguments for SENTINEL SET 'foo'"),
            ("SENTINEL set dssm quorum 0", "-ERR Invalid argument '0' for SENTINEL SET 'quorum'"),
            ("SENTINEL config set foo bar", "-ERR Invalid argument 'foo' to SENTINEL CONFIG SET"),
            (
                "SENTINEL config set resolve-hostnames maybe",
                "-ERR Invalid value 'maybe' to SENTINEL CONFIG SET 'resolve-hostnames'"
            ),
            ("PUBLISH a b", "-ERR Only HELLO messages are accepted by Sentinel instances."),
            ("SENTINEL flushconfig", "+OK"),
            (
                "SENTINEL ckquorum dssm",
                "-NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master."
            ),
        ])
    func errors(words: String, expected: String) {
        let harness = MachineHarness()
        harness.start()
        #expect(text(harness.request(words)) == expected)
    }

    @Test("MASTER has the fields of stock Redis Sentinel, in its order")
    func fields() {
        let harness = MachineHarness()
        harness.start()
        harness.run(for: 500)
        guard case .map(let values) = harness.request("SENTINEL master dssm") else {
            Issue.record("not a map")
            return
        }
        let names = stride(from: 0, to: values.count, by: 2).compactMap { values[$0].text }
        #expect(
            names == [
                "name", "ip", "port", "runid", "flags", "link-pending-commands", "link-refcount", "last-ping-sent",
                "last-ok-ping-reply", "last-ping-reply", "down-after-milliseconds", "info-refresh", "role-reported",
                "role-reported-time", "config-epoch", "num-slaves", "num-other-sentinels", "quorum",
                "failover-timeout", "parallel-syncs",
            ])
        #expect(values[1] == .bulk("dssm") && values[9] == .bulk("master"))
    }

    @Test("SET changes settings all or none, and they are saved")
    func set() {
        let harness = MachineHarness()
        harness.start()
        #expect(harness.request("SENTINEL set dssm quorum 3 down-after-milliseconds 700 parallel-syncs 4") == .ok)
        #expect(harness.saved.contains(.downAfter(name: "dssm", 700)))
        #expect(harness.saved.contains(.monitor(name: "dssm", MachineHarness.primary, quorum: 3)))
        #expect(harness.payloads("+set").count == 3)
        #expect(text(harness.request("SENTINEL set dssm quorum 1 parallel-syncs zero")).hasPrefix("-ERR Invalid"))
        #expect(harness.machine.primaryStates.first?.quorum == 3)
    }

    @Test("MONITOR and REMOVE take effect and are saved, RESET forgets replicas and sentinels")
    func monitor() {
        let harness = MachineHarness()
        let replica = Endpoint("10.0.0.2", 6379)
        harness.information[MachineHarness.primary] = MachineHarness.primaryInformation([replica])
        harness.start()
        harness.hello(from: "b", at: Endpoint("10.0.1.2", 26379))
        #expect(harness.request("SENTINEL monitor other 10.9.9.9 6379 1") == .ok)
        #expect(harness.payloads("+monitor").last == "master other 10.9.9.9 6379 quorum 1")
        #expect(harness.machine.primaryNames == ["dssm", "other"])
        #expect(harness.request("SENTINEL remove other") == .ok)
        #expect(harness.payloads("-monitor") == ["master other 10.9.9.9 6379"])
        #expect(!harness.links.values.contains { $0.endpoint.host == "10.9.9.9" })
        #expect(!harness.saved.contains { $0.primaryName == "other" })
        harness.information[MachineHarness.primary] = MachineHarness.primaryInformation([])
        #expect(harness.request("SENTINEL reset d*") == .integer(1))
        #expect(harness.payloads("+reset-master") == ["master dssm 10.0.0.1 6379"])
        #expect(harness.machine.primaryStates.first?.replicas == 0)
        #expect(harness.machine.primaryStates.first?.sentinels == 1)
        #expect(harness.machine.checkInvariants() == [])
    }

    @Test("CONFIG GET and SET know the parameters of the process")
    func config() {
        let harness = MachineHarness()
        harness.start()
        #expect(harness.request("SENTINEL config set announce-port 7777 announce-ip 1.2.3.4") == .ok)
        #expect(
            harness.request("SENTINEL config get announce-*")
                == .map([
                    .bulk("announce-hostnames"), .bulk("no"), .bulk("announce-ip"), .bulk("1.2.3.4"),
                    .bulk("announce-port"), .bulk("7777"),
                ]))
        harness.forgetHistory()
        harness.run(for: 2100)
        let hellos = harness.sent.compactMap { entry in
            if case .publishHello(let text) = entry.command { HelloMessage(text) } else { nil }
        }
        #expect(hellos.last?.sender == Endpoint("1.2.3.4", 7777))
    }

    @Test("A name and its address are the same instance; clients see the address unless names are announced")
    func names() {
        let lines = ["resolve-hostnames yes", "known-replica dssm db-1.example 6379"]
        let harness = MachineHarness(lines)
        harness.information[MachineHarness.primary] = MachineHarness.primaryInformation([Endpoint("10.0.0.2", 6379)])
        harness.handle(.resolved(host: "db-1.example", address: "10.0.0.2"))
        harness.start()
        #expect(harness.machine.primaryStates.first?.replicas == 1)
        harness.hello(
            from: "b", at: Endpoint("10.0.1.2", 26379), primary: Endpoint("db-1.example", 6379), current: 4, config: 4)
        #expect(
            harness.request("SENTINEL get-master-addr-by-name dssm") == .array([.bulk("10.0.0.2"), .bulk("6379")]))
        #expect(harness.saved.contains(.monitor(name: "dssm", Endpoint("db-1.example", 6379), quorum: 2)))
        #expect(harness.request("SENTINEL config set announce-hostnames yes") == .ok)
        #expect(
            harness.request("SENTINEL get-master-addr-by-name dssm")
                == .array([.bulk("db-1.example"), .bulk("6379")]))
    }
}
