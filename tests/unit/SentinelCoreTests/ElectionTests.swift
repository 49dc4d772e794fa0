import SentinelCore
import Testing

@Suite("Votes, elections and failovers")
struct ElectionTests {
    static let replica1 = Endpoint("10.0.0.2", 6379)
    static let replica2 = Endpoint("10.0.0.3", 6379)
    static let candidate = String(repeating: "b", count: 40)
    static let rival = String(repeating: "c", count: 40)

    private func ask(_ harness: MachineHarness, _ epoch: Int, _ runID: String) -> Reply? {
        harness.request("SENTINEL is-master-down-by-addr 10.0.0.1 6379 \(epoch) \(runID)")
    }

    @Test("A vote is on the disk before anybody hears of it")
    func persistedFirst() {
        let harness = MachineHarness()
        harness.start()
        harness.persistsAtOnce = false
        #expect(ask(harness, 3, Self.candidate) == nil)
        #expect(harness.unsavedVersion != nil)
        #expect(ask(harness, 3, Self.rival) == nil)
        harness.finishSaving(successfully: true)
        #expect(harness.lastResponse == .array([.integer(0), .bulk(Self.candidate), .integer(3)]))
        #expect(harness.payloads("+vote-for-leader") == ["\(Self.candidate) 3"])
    }

    @Test("A vote that cannot be saved is not told, and not given to another either")
    func diskFull() {
        let harness = MachineHarness()
        harness.start()
        harness.persistsAtOnce = false
        #expect(ask(harness, 3, Self.candidate) == nil)
        harness.finishSaving(successfully: false)
        #expect(harness.lastResponse == .array([.integer(0), .bulk("*"), .integer(0)]))
        harness.persistsAtOnce = true
        harness.run(for: 1500)
        #expect(ask(harness, 3, Self.rival) == .array([.integer(0), .bulk(Self.candidate), .integer(3)]))
    }

    @Test("One vote per epoch, none for a former epoch, and none again after a restart")
    func oneVote() {
        let harness = MachineHarness()
        harness.start()
        #expect(ask(harness, 5, Self.candidate) == .array([.integer(0), .bulk(Self.candidate), .integer(5)]))
        #expect(ask(harness, 5, Self.rival) == .array([.integer(0), .bulk(Self.candidate), .integer(5)]))
        #expect(ask(harness, 4, Self.rival) == .array([.integer(0), .bulk(Self.candidate), .integer(5)]))
        #expect(ask(harness, 6, Self.rival) == .array([.integer(0), .bulk(Self.rival), .integer(6)]))
        #expect(harness.machine.epoch == 6)

        let lines = harness.saved.map { $0.words.dropFirst().joined(separator: " ") }
            .filter { !$0.hasPrefix("monitor") && !$0.hasPrefix("myid") && !$0.hasPrefix("down-after") }
        let restarted = MachineHarness(lines)
        restarted.start()
        #expect(ask(restarted, 6, Self.candidate) == .array([.integer(0), .bulk("*"), .integer(6)]))
        #expect(ask(restarted, 7, Self.candidate) == .array([.integer(0), .bulk(Self.candidate), .integer(7)]))
    }

    @Test("A sentinel without memory gives no vote in its first seconds")
    func newcomer() {
        let harness = MachineHarness(withIdentity: false)
        harness.start()
        #expect(ask(harness, 5, Self.candidate) == .array([.integer(0), .bulk("*"), .integer(0)]))
        harness.run(for: 2100)
        #expect(ask(harness, 6, Self.candidate) == .array([.integer(0), .bulk(Self.candidate), .integer(6)]))
    }

    @Test("Nonsense from a peer is refused and changes no epoch")
    func nonsense() {
        let harness = MachineHarness()
        harness.start()
        for words in ["10.0.0.1 x 1 *", "10.0.0.1 6379 99999999999999999999 *", "10.0.0.1 6379 -1 *", "10.0.0.1 0 1 *"]
        {
            guard case .error = harness.request("SENTINEL is-master-down-by-addr \(words)") else {
                Issue.record("accepted: \(words)")
                continue
            }
        }
        #expect(ask(harness, 9, "notarunid") == .array([.integer(0), .bulk("*"), .integer(0)]))
        #expect(harness.machine.epoch == 0)
    }

    /// A primary with two replicas and one other sentinel that agrees with everything.
    private func cluster(_ lines: [String] = []) -> MachineHarness {
        let harness = MachineHarness(
            lines + ["known-sentinel dssm 10.0.1.2 26379 \(Self.candidate)", "failover-timeout dssm 10000"])
        harness.information[MachineHarness.primary] = MachineHarness.primaryInformation([Self.replica1, Self.replica2])
        harness.information[Self.replica1] = MachineHarness.replicaInformation(runID: "d", offset: 500)
        harness.information[Self.replica2] = MachineHarness.replicaInformation(runID: "e", offset: 700)
        harness.opinion = { _, command in
            if case .isMasterDown(_, let epoch, .some(let candidate)) = command {
                return .array([.integer(1), .bulk(candidate), .integer(Int64(epoch))])
            }
            return .array([.integer(1), .bulk("*"), .integer(0)])
        }
        harness.start()
        harness.run(for: 3000)
        return harness
    }

    private func kill(_ harness: MachineHarness) {
        harness.forgetHistory()
        harness.refused.insert(MachineHarness.primary)
        harness.fail(MachineHarness.primary, .closed)
    }

    @Test("A failover tells its story in Redis's words and order, and promotes the replica with the highest offset")
    func story() {
        let harness = cluster()
        kill(harness)
        harness.run(for: 200)
        #expect(harness.sent.contains { $0.endpoint == Self.replica2 && $0.command == .replicaOf(nil) })
        #expect(!harness.sent.contains { $0.endpoint == Self.replica1 && $0.command == .replicaOf(nil) })
        harness.information[Self.replica2] = MachineHarness.primaryInformation(
            [], runID: String(repeating: "e", count: 40))
        harness.run(for: 200)
        #expect(harness.sent.contains { $0.endpoint == Self.replica1 && $0.command == .replicaOf(Self.replica2) })
        #expect(
            harness.machine.configuration.primaries.first?.endpoint == Self.replica2, "the new primary is what is saved"
        )
        harness.information[Self.replica1] = MachineHarness.replicaInformation(of: Self.replica2, runID: "d")
        harness.run(for: 200)
        let expected = [
            "+sdown", "+odown", "+new-epoch", "+try-failover", "+vote-for-leader", "+elected-leader",
            "+failover-state-select-slave", "+selected-slave", "+failover-state-send-slaveof-noone",
            "+failover-state-wait-promotion", "-role-change", "+promoted-slave", "+switch-master",
            "+failover-state-reconf-slaves", "+slave-reconf-sent", "+slave-reconf-inprog", "+slave-reconf-done",
            "+failover-end", "+slave", "+slave",
        ]
        #expect(Array(harness.types().prefix(expected.count)) == expected)
        #expect(harness.payloads("+switch-master") == ["dssm 10.0.0.1 6379 10.0.0.3 6379"])
        #expect(
            harness.request("SENTINEL get-master-addr-by-name dssm") == .array([.bulk("10.0.0.3"), .bulk("6379")]))
        #expect(harness.saved.contains(.monitor(name: "dssm", Self.replica2, quorum: 2)))
        #expect(harness.saved.contains(.knownReplica(name: "dssm", MachineHarness.primary)))
        #expect(harness.saved.contains(.configEpoch(name: "dssm", 1)))
        #expect(harness.machine.checkInvariants() == [])
    }

    @Test("The candidate asks for votes only after its own is on the disk")
    func candidacy() {
        let harness = cluster()
        kill(harness)
        harness.persistsAtOnce = false
        harness.run(for: 500)
        #expect(harness.types("+vote-for-leader") == ["+vote-for-leader"])
        func asked() -> Bool {
            harness.sent.contains { if case .isMasterDown(_, _, .some) = $0.command { true } else { false } }
        }
        #expect(!asked())
        harness.persistsAtOnce = true
        harness.finishSaving(successfully: true)
        #expect(asked())
    }

    @Test("Priority 0 is never promoted, a lower number comes before a higher offset, equals go by run id")
    func selection() {
        for (first, second, expected) in [
            (("d", 100, 500), ("e", 50, 100), Self.replica2), (("d", 0, 900), ("e", 100, 100), Self.replica2),
            (("d", 100, 500), ("e", 100, 500), Self.replica1), (("f", 100, 500), ("e", 100, 500), Self.replica2),
        ] {
            let harness = cluster()
            harness.information[Self.replica1] = MachineHarness.replicaInformation(
                runID: Character(first.0), priority: first.1, offset: first.2)
            harness.information[Self.replica2] = MachineHarness.replicaInformation(
                runID: Character(second.0), priority: second.1, offset: second.2)
            kill(harness)
            harness.run(for: 300)
            let selected = harness.sent.first { $0.command == .replicaOf(nil) }?.endpoint
            #expect(selected == expected, "\(first) \(second)")
        }
    }

    @Test("Without a replica to promote the failover is given up and tried again")
    func noGoodReplica() {
        let harness = cluster()
        for replica in [Self.replica1, Self.replica2] {
            harness.information[replica] = MachineHarness.replicaInformation(runID: "d", priority: 0)
        }
        kill(harness)
        harness.run(for: 3000)
        #expect(harness.types("-failover-abort-no-good-slave").count >= 2)
        harness.information[Self.replica1] = MachineHarness.replicaInformation(runID: "d", offset: 1)
        harness.run(for: 12_000)
        #expect(harness.payloads("+selected-slave").first?.hasPrefix("slave 10.0.0.2:6379") == true)
    }

    @Test("A newer configuration in a hello is adopted, an older one is answered with ours")
    func configurationUpdate() {
        let harness = cluster()
        harness.forgetHistory()
        harness.hello(from: "b", at: Endpoint("10.0.1.2", 26379), primary: Self.replica1, current: 8, config: 8)
        #expect(harness.types("+new-epoch", "+config-update-from", "+switch-master").count == 3)
        #expect(harness.payloads("+switch-master") == ["dssm 10.0.0.1 6379 10.0.0.2 6379"])
        harness.forgetHistory()
        harness.run(for: 500)
        harness.hello(
            from: "b", at: Endpoint("10.0.1.2", 26379), primary: MachineHarness.primary, current: 8, config: 2)
        #expect(harness.types("+switch-master") == [])
        #expect(
            harness.sent.contains { entry in
                guard entry.endpoint == Endpoint("10.0.1.2", 26379), case .publishHello(let text) = entry.command else {
                    return false
                }
                return HelloMessage(text)?.primary == Self.replica1
            })
    }

    @Test("A primary of former times is told to follow at once when a majority agrees")
    func formerPrimary() {
        let harness = cluster()
        let other = Endpoint("10.0.1.2", 26379)
        harness.information[Self.replica1] = MachineHarness.primaryInformation(
            [], runID: String(repeating: "d", count: 40))
        harness.hello(from: "b", at: other, primary: Self.replica1, current: 8, config: 8)
        harness.run(for: 600)
        #expect(harness.types("+convert-to-slave") == ["+convert-to-slave"])
        #expect(
            harness.sent.contains { $0.endpoint == MachineHarness.primary && $0.command == .replicaOf(Self.replica1) })
    }
}
