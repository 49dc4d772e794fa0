import SentinelCore
import Testing

@Suite("Down detection and discovery")
struct DetectionTests {
    @Test("Replicas are found in the primary's INFO, and the event has Redis's format")
    func discovery() {
        let harness = MachineHarness()
        let replica = Endpoint("10.0.0.2", 6379)
        harness.information[MachineHarness.primary] = MachineHarness.primaryInformation([replica])
        harness.information[replica] = MachineHarness.replicaInformation(runID: "b")
        harness.start()
        #expect(harness.payloads("+monitor") == ["master dssm 10.0.0.1 6379 quorum 2"])
        #expect(harness.payloads("+slave") == ["slave 10.0.0.2:6379 10.0.0.2 6379 @ dssm 10.0.0.1 6379"])
        #expect(harness.saved.contains(.knownReplica(name: "dssm", replica)))
        #expect(harness.machine.checkInvariants() == [])
    }

    @Test("A silent primary is down after the period and not before, and up again with its first answer")
    func silence() {
        let harness = MachineHarness()
        harness.start()
        harness.run(for: 3000)
        harness.silent.insert(MachineHarness.primary)
        harness.run(for: 1000)
        #expect(harness.types("+sdown") == [])
        harness.run(for: 300)
        #expect(harness.payloads("+sdown") == ["master dssm 10.0.0.1 6379"])
        harness.silent = []
        harness.run(for: 1000)
        #expect(harness.types("-sdown") == ["-sdown"])
        #expect(harness.types("+odown") == [])
    }

    @Test("A refused connection counts at once; a lost one that can be made again does not")
    func refusal() {
        let harness = MachineHarness()
        harness.start()
        harness.run(for: 3000)
        harness.fail(MachineHarness.primary, .reset)
        harness.run(for: 200)
        #expect(harness.types("+sdown") == [])
        harness.refused.insert(MachineHarness.primary)
        harness.fail(MachineHarness.primary, .closed)
        #expect(harness.types("+sdown") == ["+sdown"])
        harness.refused = []
        harness.run(for: 600)
        #expect(harness.types("-sdown") == ["-sdown"])
    }

    @Test("Objectively down needs the quorum's opinion, and an election needs a majority's votes")
    func quorum() {
        let harness = MachineHarness(["known-sentinel dssm 10.0.1.2 26379 \(String(repeating: "b", count: 40))"])
        harness.start()
        harness.run(for: 1000)
        harness.refused.insert(MachineHarness.primary)
        harness.fail(MachineHarness.primary, .closed)
        harness.run(for: 500)
        #expect(harness.types("+odown") == [])
        harness.opinion = { _, _ in .array([.integer(1), .bulk("*"), .integer(0)]) }
        harness.run(for: 5000)
        #expect(harness.payloads("+odown") == ["master dssm 10.0.0.1 6379 #quorum 2/2"])
        #expect(harness.types("+try-failover").count >= 1)
        #expect(harness.types("+elected-leader") == [])
        #expect(harness.types("-failover-abort-not-elected").count >= 1)
    }

    @Test("Other sentinels are added, moved and replaced as their hello messages say")
    func sentinels() {
        let harness = MachineHarness()
        harness.start()
        harness.hello(from: "b", at: Endpoint("10.0.1.2", 26379))
        let b = String(repeating: "b", count: 40)
        #expect(harness.payloads("+sentinel") == ["sentinel \(b) 10.0.1.2 26379 @ dssm 10.0.0.1 6379"])
        harness.hello(from: "b", at: Endpoint("10.0.1.9", 26379))
        #expect(
            harness.payloads("+sentinel-address-switch") == [
                "master dssm 10.0.0.1 6379 ip 10.0.1.9 port 26379 for \(b)"
            ])
        harness.hello(from: "c", at: Endpoint("10.0.1.9", 26379))
        #expect(harness.types("-dup-sentinel", "+sentinel").suffix(2) == ["-dup-sentinel", "+sentinel"])
        #expect(harness.machine.primaryStates.first?.sentinels == 2)
        harness.hello(from: "5", at: Endpoint("10.0.1.1", 26379))
        #expect(harness.machine.primaryStates.first?.sentinels == 2)
        #expect(harness.machine.checkInvariants() == [])
    }

    @Test("A gap in time means TILT: ages start anew and nothing is decided until it ends")
    func tilt() {
        let harness = MachineHarness()
        harness.start()
        harness.run(for: 1000)
        harness.silent.insert(MachineHarness.primary)
        harness.run(for: 500)
        harness.now += 60_000
        harness.handle(.timer)
        #expect(harness.payloads("+tilt") == ["#tilt mode entered"])
        #expect(harness.types("+sdown") == [])
        #expect(harness.machine.informationSection(now: harness.now).contains("sentinel_tilt:1"))
        harness.silent = []
        harness.run(for: 4900)
        #expect(harness.types("-tilt") == [])
        harness.run(for: 300)
        #expect(harness.types("-tilt") == ["-tilt"])
        #expect(harness.types("+sdown") == [])
    }

    @Test("A db that was restarted is reported, and a broken INFO changes nothing")
    func reboot() {
        let harness = MachineHarness()
        harness.start()
        harness.information[MachineHarness.primary] = "garbage:\r\nrole:queen\r\n:::\r\nslave0:ip=,port=x\r\n"
        harness.run(for: 11_000)
        #expect(harness.types("+reboot", "+slave", "-role-change") == [])
        harness.information[MachineHarness.primary] = MachineHarness.primaryInformation(
            [], runID: String(repeating: "e", count: 40))
        harness.run(for: 11_000)
        #expect(harness.types("+reboot") == ["+reboot"])
    }

    @Test("Credentials are sent first, and what they are does not appear in events")
    func authentication() {
        let harness = MachineHarness(["auth-pass dssm secret", "auth-user dssm admin"])
        harness.start()
        let first = harness.sent.first { $0.endpoint == MachineHarness.primary }
        #expect(first?.command == .auth(user: "admin", password: "secret"))
        _ = harness.request("SENTINEL SET dssm auth-pass other")
        #expect(harness.payloads("+set") == ["master dssm 10.0.0.1 6379 auth-pass ******"])
    }
}
