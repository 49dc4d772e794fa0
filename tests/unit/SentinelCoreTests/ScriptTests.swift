import SentinelCore
import Testing

@Suite("Scripts, DEBUG, INFO-CACHE and SIMULATE-FAILURE")
struct ScriptTests {
    private func text(_ reply: Reply?) -> String {
        switch reply {
        case .error(let text): "-" + text
        case .simple(let text): "+" + text
        case .some(let other): "\(other)"
        case nil: "nothing"
        }
    }

    private func isPending(_ harness: MachineHarness) -> Int {
        if case .array(let jobs) = harness.request("SENTINEL PENDING-SCRIPTS") { jobs.count } else { -1 }
    }

    @Test("A warning about the primary runs the notification script; 1 and signals repeat it, other codes end it")
    func notification() throws {
        let harness = MachineHarness(["notification-script dssm /bin/notify"])
        harness.start()
        harness.run(for: 500)
        let first = try #require(harness.scripts.first)
        #expect(first.words.prefix(2) == ["/bin/notify", "+monitor"])
        harness.handle(.scriptEnded(first.id, code: 0))
        #expect(isPending(harness) == 0)
        harness.refused = [MachineHarness.primary]
        harness.fail(MachineHarness.primary, .refused)
        harness.run(for: 100)
        let down = try #require(harness.scripts.last)
        #expect(down.words == ["/bin/notify", "+sdown", "master dssm 10.0.0.1 6379"])
        // Waits of 30 s, 60 s, and then it gives no reason for another.
        for (code, wait) in [(Int32(1), 30_000), (nil, 60_000)] as [(Int32?, Int64)] {
            let count = harness.scripts.count
            harness.handle(.scriptEnded(down.id, code: code))
            harness.run(for: wait - 200)
            #expect(harness.scripts.count == count && isPending(harness) == 1)
            harness.run(for: 400)
            #expect(harness.scripts.count == count + 1 && harness.scripts.last?.id == down.id)
        }
        harness.handle(.scriptEnded(down.id, code: 2))
        #expect(isPending(harness) == 0 && harness.types("-script-error").count == 1)
    }

    @Test("A script that fails for ever is given up, and no more than a bounded number of them waits")
    func bounds() throws {
        let harness = MachineHarness(["notification-script dssm /bin/notify"])
        harness.start()
        let id = try #require(harness.scripts.first?.id)
        for attempt in 0...10 {
            #expect(harness.scripts.count { $0.id == id } == attempt + 1)
            harness.handle(.scriptEnded(id, code: 1))
            harness.run(for: 30_000 << Int64(attempt) + 1000)
        }
        #expect(harness.types("-script-error").count == 1 && isPending(harness) == 0)
        for number in 0..<600 { _ = harness.request("SENTINEL SET dssm parallel-syncs \(number % 5 + 1)") }
        #expect(isPending(harness) == 256)
        #expect(harness.scripts.count { $0.words[1] == "+set" } == 4, "four at a time")
    }

    @Test("A new primary runs the script for clients with the old and the new address") func reconfiguration() throws {
        let harness = MachineHarness(["client-reconfig-script dssm /bin/move"])
        harness.start()
        harness.run(for: 500)
        harness.hello(from: "7", at: Endpoint("10.0.1.2", 26379), primary: Endpoint("10.0.0.2", 6379), config: 5)
        harness.run(for: 10)
        #expect(
            harness.scripts.map(\.words) == [
                ["/bin/move", "dssm", "observer", "start", "10.0.0.1", "6379", "10.0.0.2", "6379"]
            ])
    }

    @Test("Scripts can be set at run time only where that is allowed, and are saved") func setting() {
        let guarded = MachineHarness()
        guarded.start()
        #expect(text(guarded.request("SENTINEL SET dssm notification-script /bin/x")).hasPrefix("-ERR Reconfiguration"))
        let open = MachineHarness(["deny-scripts-reconfig no"])
        open.start()
        #expect(text(open.request("SENTINEL SET dssm notification-script /bin/x")) == "+OK")
        open.run(for: 200)
        #expect(open.saved.contains(.notificationScript(name: "dssm", "/bin/x")))
    }

    @Test("DEBUG shows and changes periods, all or none") func debug() {
        let harness = MachineHarness()
        harness.start()
        #expect(
            text(harness.request("SENTINEL DEBUG info-period 500 ping-period 0")).hasPrefix("-ERR Invalid argument '0'")
        )
        #expect(harness.machine.timing.informationPeriod == 10_000)
        #expect(text(harness.request("SENTINEL DEBUG nope 1")).hasPrefix("-ERR Unknown option"))
        #expect(text(harness.request("SENTINEL DEBUG info-period 500 ASK-PERIOD 90")) == "+OK")
        #expect(harness.machine.timing.informationPeriod == 500 && harness.machine.timing.askPeriods[1] == 90)
        guard case .map(let values) = harness.request("SENTINEL DEBUG") else {
            Issue.record("not a map")
            return
        }
        #expect(values.prefix(2) == [.bulk("INFO-PERIOD"), .bulk("500")])
    }

    @Test("INFO-CACHE has the last INFO of each db with its age") func cache() {
        let harness = MachineHarness()
        harness.start()
        harness.run(for: 50)
        let information = harness.information[MachineHarness.primary] ?? ""
        guard case .map(let entries) = harness.request("SENTINEL INFO-CACHE dssm nope"), entries.count == 2,
            case .array(let dbs) = entries[1], case .array(let primary)? = dbs.first
        else {
            Issue.record("wrong shape")
            return
        }
        #expect(entries[0] == .bulk("dssm") && primary[1] == .bulk(information))
        #expect((0...50).contains(primary[0].integerValue ?? -1))
    }

    @Test("SIMULATE-FAILURE ends the process at the chosen point of the next failover") func simulatedFailure() {
        for point in ["crash-after-election", "crash-after-promotion"] {
            let harness = MachineHarness()
            let replica = Endpoint("10.0.0.2", 6379)
            harness.information[MachineHarness.primary] = MachineHarness.primaryInformation([replica])
            harness.information[replica] = MachineHarness.replicaInformation(runID: "b")
            harness.start()
            harness.run(for: 3000)
            #expect(
                text(harness.request("SENTINEL SIMULATE-FAILURE nope")) == "-ERR Unknown failure simulation specified")
            #expect(text(harness.request("SENTINEL SIMULATE-FAILURE", point)) == "+OK")
            #expect(text(harness.request("SENTINEL FAILOVER dssm")) == "+OK")
            harness.run(for: 1100)
            #expect(harness.crashes == (point == "crash-after-election" ? 1 : 0))
            harness.information[replica] = "run_id:\(String(repeating: "b", count: 40))\r\nrole:master\r\n"
            harness.run(for: 2000)
            #expect(harness.crashes >= 1, "\(point): \(harness.types())")
        }
    }
}
