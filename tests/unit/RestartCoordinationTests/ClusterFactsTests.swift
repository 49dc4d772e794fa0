import Foundation
import KubernetesAPI
import Testing

@testable import RestartCoordination

@Suite("ClusterFacts")
struct ClusterFactsTests {
    private static let now = Date(timeIntervalSince1970: 1_800_000_000)
    private let wanted = CertificateFacts(fingerprint: "new", notBefore: now - 100, notAfter: now + 86400)
    private let old = CertificateFacts(fingerprint: "old", notBefore: now - 1_000_000, notAfter: now + 7200)

    private func facts(served: CertificateFacts?, createdAt: Date = ClusterFactsTests.now - 5000) -> ClusterFacts {
        let db = PodFacts(
            name: "db-0", uid: "1", createdAt: createdAt, isReady: true,
            answer: PodAnswer(.primary(offset: 100), certificate: served))
        return ClusterFacts(
            dbSet: SetFacts(name: "db", wantedPods: 1), sentinelSet: SetFacts(name: "sentinel"), dbs: [db],
            sentinels: [],
            certificate: wanted)
    }

    private func circumstances(since: TimeInterval, nextWindow: TimeInterval? = nil) -> ClusterFacts.Circumstances {
        ClusterFacts.Circumstances(
            now: Self.now,
            sighting: CertificateSighting(
                fingerprint: "new", since: Self.now - since, podsBefore: Self.now - since),
            nextWindow: nextWindow.map { Self.now + $0 })
    }

    private func reasons(_ facts: ClusterFacts, _ circumstances: ClusterFacts.Circumstances) -> [String] {
        facts.dueReasons(facts.dbs[0], facts.dbSet, circumstances)
    }

    @Test(
        "A certificate that is not taken over is a reason after the grace, or before if it ends before the next window")
    func grace() {
        #expect(reasons(facts(served: old), circumstances(since: 599)).isEmpty)
        #expect(reasons(facts(served: old), circumstances(since: 600)).count == 1)
        #expect(reasons(facts(served: old), circumstances(since: 1, nextWindow: 7100)).isEmpty)
        #expect(reasons(facts(served: old), circumstances(since: 1, nextWindow: 7300)).count == 1)
        #expect(reasons(facts(served: wanted), circumstances(since: 600, nextWindow: 7300)).isEmpty)
        #expect(reasons(facts(served: nil), circumstances(since: 600)).isEmpty)
    }

    @Test("A restart that is asked for at a later time is not due before, and then only for pods that are older")
    func laterRequest() {
        var facts = facts(served: wanted)
        facts.dbSet.restartRequestedAt = Self.now + 1
        #expect(reasons(facts, circumstances(since: 0)).isEmpty)
        facts.dbSet.restartRequestedAt = Self.now
        #expect(reasons(facts, circumstances(since: 0)) == ["a restart was requested"])
        facts.dbs[0].createdAt = Self.now
        #expect(reasons(facts, circumstances(since: 0)).isEmpty)
    }

    @Test("A pod that was started after the change and serves another one is told of, and not restarted for ever")
    func noEndlessRestarts() {
        let facts = facts(served: old, createdAt: Self.now - 700)
        let circumstances = circumstances(since: 800, nextWindow: 7300)
        #expect(reasons(facts, circumstances).isEmpty)
        #expect(facts.warnings(circumstances).contains { $0.contains("db-0 was started after the Secret changed") })
    }

    @Test("A certificate in the Secret that ends before the next window is told of, and restarts nothing")
    func endingSecret() {
        let facts = facts(served: wanted)
        #expect(facts.warnings(circumstances(since: 5000, nextWindow: 86300)).isEmpty)
        #expect(facts.warnings(circumstances(since: 5000, nextWindow: 86500)).count == 1)
        #expect(reasons(facts, circumstances(since: 5000, nextWindow: 86500)).isEmpty)
    }

    @Test(
        "A replica is in sync when its link is up, no sync runs, and it lags by little",
        arguments: [
            (PodAnswer.Content.replica(isLinked: true, isSyncing: false, offset: 90), true),
            (.replica(isLinked: true, isSyncing: false, offset: 120), true),
            (.replica(isLinked: true, isSyncing: false, offset: 79), false),
            (.replica(isLinked: false, isSyncing: false, offset: 100), false),
            (.replica(isLinked: true, isSyncing: true, offset: 100), false), (.nothing(problem: "refused"), false),
        ])
    func sync(_ content: PodAnswer.Content, _ isInSync: Bool) {
        var facts = facts(served: nil)
        let replica = PodFacts(name: "db-1", uid: "2", createdAt: Self.now, isReady: true, answer: PodAnswer(content))
        facts.dbs.append(replica)
        #expect(facts.isInSync(replica, 20) == isInSync)
        // Without a primary, or with two, there is nothing to be in sync with.
        facts.dbs[0].answer = PodAnswer(.nothing(problem: "away"))
        #expect(!facts.isInSync(replica, 20))
    }

    @Test("Sentinels are a quorum when a majority reach each other and name the db that says it is the primary")
    func quorum() {
        var facts = facts(served: nil)
        func sentinel(_ number: Int, _ hasQuorum: Bool, _ primary: String?) -> PodFacts {
            PodFacts(
                name: "sentinel-\(number)", uid: "s\(number)", createdAt: Self.now, isReady: true,
                answer: PodAnswer(.sentinel(hasQuorum: hasQuorum, primary: primary)))
        }
        facts.sentinels = [sentinel(0, true, "db-0"), sentinel(1, true, "db-0"), sentinel(2, false, nil)]
        #expect(facts.hasSentinelQuorum)
        facts.sentinels[1] = sentinel(1, true, "db-1")
        #expect(!facts.hasSentinelQuorum)
        facts.sentinels[1] = sentinel(1, false, "db-0")
        #expect(!facts.hasSentinelQuorum)
        // Two of the two that are there are no majority of five.
        facts.sentinels = [sentinel(0, true, "db-0"), sentinel(1, true, "db-0")]
        facts.sentinelSet.wantedPods = 5
        #expect(!facts.hasSentinelQuorum)
    }

    @Test("INFO is understood, and what lacks role or offset is no answer")
    func replication() {
        #expect(
            PodProbe.replication("# Replication\r\nrole:master\r\nconnected_slaves:2\r\nmaster_repl_offset:42\r\n")
                == .primary(offset: 42))
        #expect(
            PodProbe.replication(
                "role:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:1\r\nslave_repl_offset:7\r\n")
                == .replica(isLinked: true, isSyncing: true, offset: 7))
        for text in ["", "role:master", "role:slave\r\nmaster_link_status:up", "role:sentinel", "master_repl_offset:x"]
        {
            guard case .nothing = PodProbe.replication(text) else {
                Issue.record("'\(text)' is taken for an answer")
                continue
            }
        }
    }

    @Test("Selectors of objects become selectors of queries")
    func selectors() {
        #expect(LabelSelector.text(["matchLabels": ["b": "2", "a": "1"]]) == "a=1,b=2")
        #expect(
            LabelSelector.text([
                "matchLabels": ["a": "1"],
                "matchExpressions": [
                    ["key": "b", "operator": "In", "values": ["x", "y"]],
                    ["key": "c", "operator": "NotIn", "values": ["z"]],
                    ["key": "d", "operator": "Exists"], ["key": "e", "operator": "DoesNotExist"],
                ],
            ]) == "a=1,b in (x,y),c notin (z),d,!e")
        #expect(LabelSelector.text(nil).isEmpty)
    }

    @Test("The forecast lists the steps of a restart in their order")
    func forecast() {
        let pods = (0..<3).map {
            ObservedPod(
                name: "db-\($0)", uid: "\($0)", isReady: true, isCurrent: false,
                role: $0 == 2 ? .primary : .replica(isInSync: true))
        }
        let sentinels = (0..<3).map {
            ObservedPod(name: "sentinel-\($0)", uid: "s\($0)", isReady: true, isCurrent: true, role: .sentinel)
        }
        let cluster = ClusterObservation(dbs: pods, sentinels: sentinels, hasSentinelQuorum: true)
        let steps = RestartForecast.steps(cluster, RestartProgress(), RestartPolicy(), now: Self.now, windowEnd: nil)
        #expect(
            steps.map(\.text) == [
                "restarting db-1", "restarting db-0", "handing over from db-2 to a replica", "restarting db-2", "done",
            ])
        var broken = cluster
        broken.hasSentinelQuorum = false
        let blocked = RestartForecast.steps(broken, RestartProgress(), RestartPolicy(), now: Self.now, windowEnd: nil)
        #expect(blocked == [.wait("the sentinels have no quorum")])
    }
}
