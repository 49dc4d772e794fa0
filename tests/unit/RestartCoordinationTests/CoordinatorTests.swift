import Foundation
import KubernetesAPI
import KubernetesTestServer
import Logging
import RestartCoordination
import Synchronization
import Telemetry
import TestSupport
import Testing

/// A coordinator at a simulated cluster. `restart` makes another one in its place, as after SIGKILL.
struct Bench {
    let cluster: SimulatedKubernetes
    var settings = CoordinatorSettings()
    private(set) var coordinator: Coordinator
    private(set) var client: KubernetesClient

    init(
        _ cluster: SimulatedKubernetes, window: String? = "@hourly",
        change: (inout CoordinatorSettings) -> Void = { _ in }
    )
        throws
    {
        self.cluster = cluster
        settings.namespace = SimulatedKubernetes.namespace
        if let window {
            settings.windows = [
                MaintenanceWindow(
                    name: "test", opens: try CronExpression(window), cron: window, timeZone: .gmt,
                    duration: .seconds(7200))
            ]
        }
        change(&settings)
        (coordinator, client) = try Bench.make(cluster, settings)
    }

    private static func make(
        _ cluster: SimulatedKubernetes, _ settings: CoordinatorSettings
    ) throws -> (Coordinator, KubernetesClient) {
        let client = try KubernetesClient(
            ClusterAccess(server: cluster.server.url), userAgent: "test",
            retries: RetryPolicy(attempts: 2, firstWait: .milliseconds(1), longestWait: .milliseconds(2)))
        let sink = LogSink(service: "test", role: .worker, level: .warning, format: .text, standardOutput: -1)
        let board = StatusBoard(settings: settings, namespace: "cnf", instance: "pod-a", now: cluster.now)
        let coordinator = Coordinator(
            settings: settings, client: client, peers: cluster, board: board, log: Logger(sink), instance: "pod-a",
            clock: { cluster.coordinatorNow })
        return (coordinator, client)
    }

    mutating func restart() async throws {
        try await client.shutDown()
        (coordinator, client) = try Bench.make(cluster, settings)
    }

    /// Rounds until nothing is under way any more.
    func run(rounds: Int = 200) async throws {
        for _ in 0..<rounds {
            let isBusy = try await coordinator.lead()
            let isMoving = cluster.settle()
            if !isBusy && !isMoving { return }
        }
        Issue.record("it does not come to an end: \(coordinator.board.report.run?.step ?? "no run")")
    }

    func end() async throws {
        try await client.shutDown()
        try await cluster.server.stop()
    }

    var report: StatusReport { coordinator.board.report }
    func condition(_ type: String) -> String? { report.conditions.first { $0.type == type }?.status }
}

private let everyPod = [
    "f5-dssm-db-2", "f5-dssm-db-1", "f5-dssm-db-0", "f5-dssm-sentinel-2", "f5-dssm-sentinel-1", "f5-dssm-sentinel-0",
]

@Suite("Coordinator")
struct CoordinatorTests {
    @Test("A cluster in which nothing is due is left alone, and the report says that it is whole")
    func nothingDue() async throws {
        let bench = try Bench(try await SimulatedKubernetes())
        try await bench.run()
        #expect(bench.cluster.evicted.isEmpty)
        #expect(bench.condition("Whole") == "True")
        #expect(bench.condition("RestartDue") == "False")
        #expect(bench.report.cluster?.dbs.map(\.role) == [.primary, .replica, .replica])
        #expect(bench.report.problem == nil)
        try await bench.end()
    }

    @Test(
        "A template held back by OnDelete is rolled out in the window: one pod at a time, replicas first, with a hand-over"
    )
    func onDelete() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.changeTemplate("rev-2")
        let bench = try Bench(cluster)
        try await bench.run()
        #expect(cluster.evicted == everyPod)
        #expect(cluster.worstMissing == 1)
        #expect(cluster.lostPrimaries == 0)
        #expect(cluster.handOvers == 1)
        let run = try #require(bench.report.history.first)
        #expect(run.outcome == .succeeded)
        #expect(run.restartedPods == 6)
        #expect(run.duePods == 6)
        #expect(run.reasons.joined().contains("template"))
        let events = cluster.server.objects(.events, "cnf").compactMap { $0["reason"]?.string }
        for reason in ["RestartDue", "RestartBegun", "PodEvicted", "HandOver", "RestartFinished"] {
            #expect(events.contains(reason))
        }
        try await bench.end()
    }

    @Test(
        "Outside of a window it only plans and says so; the annotation opens a window at once and is removed at its end"
    )
    func nowAnnotation() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.changeTemplate("rev-2")
        let bench = try Bench(cluster, window: nil)
        try await bench.run()
        #expect(cluster.evicted.isEmpty)
        #expect(bench.condition("RestartDue") == "True")
        #expect(bench.report.run == nil)
        let plan = try await bench.coordinator.plan()
        #expect(plan.steps.filter { $0.hasPrefix("restarting") }.count == 6)
        #expect(!plan.isBlocked)
        #expect(plan.text.contains("No window is open"))

        cluster.annotate(.statefulSets, "f5-dssm-db", "cnf", Annotation.maintenance, "now")
        try await bench.run()
        #expect(cluster.evicted == everyPod)
        let stamped = cluster.server.object(.statefulSets, "f5-dssm-db", "cnf")?.annotations[Annotation.maintenance]
        let end = try Date(#require(stamped), strategy: .iso8601)
        #expect(end > cluster.now)
        cluster.advance(seconds: 7200)
        try await bench.run()
        #expect(
            cluster.server.object(.statefulSets, "f5-dssm-db", "cnf")?.annotations[Annotation.maintenance] == nil)
        try await bench.end()
    }

    @Test("A restart by request concerns the pods of that set which are older than the request, once")
    func request() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.advance(seconds: 10)
        cluster.annotate(.statefulSets, "f5-dssm-sentinel", "cnf", Annotation.restart, "please")
        let bench = try Bench(cluster)
        try await bench.run()
        #expect(cluster.evicted == Array(everyPod.suffix(3)))
        cluster.advance(seconds: 10)
        try await bench.run()
        #expect(cluster.evicted.count == 3)
        #expect(cluster.server.object(.statefulSets, "f5-dssm-sentinel", "cnf")?.annotations[Annotation.restart] == nil)
        try await bench.end()
    }

    @Test("A coordinator whose clock is an hour ahead restarts each pod once")
    func clockAhead() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.setCoordinatorAhead(seconds: 3600)
        cluster.annotate(.statefulSets, "f5-dssm-db", "cnf", Annotation.restart, "now")
        let bench = try Bench(cluster)
        try await bench.run()
        #expect(cluster.evicted == Array(everyPod.prefix(3)))
        cluster.changeCertificate(TestCertificate.second, reloading: false)
        try await bench.run()
        cluster.advance(seconds: 700)
        try await bench.run()
        #expect(Set(cluster.evicted.dropFirst(3)) == Set(everyPod))
        #expect(cluster.evicted.count == 9)
        #expect(cluster.server.object(.statefulSets, "f5-dssm-db", "cnf")?.annotations[Annotation.restart] == nil)
        try await bench.end()
    }

    @Test("A changed certificate is a reason only for pods that have not reloaded it when the grace is over")
    func certificate() async throws {
        let cluster = try await SimulatedKubernetes()
        let bench = try Bench(cluster)
        try await bench.run()
        cluster.advance(seconds: 60)
        cluster.changeCertificate(TestCertificate.second, reloading: false)
        try await bench.run()
        cluster.advance(seconds: 590)
        try await bench.run()
        #expect(cluster.evicted.isEmpty)
        cluster.advance(seconds: 30)
        try await bench.run()
        #expect(cluster.evicted == everyPod)
        #expect(
            bench.report.cluster?.dbs.allSatisfy { $0.certificate?.fingerprint == TestCertificate.second.fingerprint }
                == true)

        cluster.advance(seconds: 60)
        cluster.changeCertificate(TestCertificate.first, reloading: true)
        try await bench.run()
        cluster.advance(seconds: 3600)
        try await bench.run()
        #expect(cluster.evicted.count == 6)
        try await bench.end()
    }

    @Test("A coordinator that comes later still knows since when the Secret has its certificate")
    func certificateAcrossRestarts() async throws {
        let cluster = try await SimulatedKubernetes()
        var bench = try Bench(cluster)
        try await bench.run()
        cluster.advance(seconds: 60)
        cluster.changeCertificate(TestCertificate.second, reloading: false)
        try await bench.run()
        cluster.advance(seconds: 620)
        try await bench.restart()
        try await bench.run()
        #expect(cluster.evicted == everyPod)
        try await bench.end()
    }

    @Test("TMM is stopped before dSSM restarts and comes back with what it had, in every namespace")
    func workloads() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.addDeployment("f5-tmm", "tmm-a", replicas: 3)
        cluster.addDeployment("f5-tmm-edge", "tmm-b", replicas: 2)
        cluster.addDeployment("f5-tmm-idle", "tmm-b", replicas: 0)
        cluster.changeTemplate("rev-2")
        let bench = try Bench(cluster) { withTMM(&$0) }
        var sawStopped = false
        for _ in 0..<300 {
            let isBusy = try await bench.coordinator.lead()
            let evicted = cluster.evicted.count
            let isStopped =
                cluster.wantedReplicas("f5-tmm", "tmm-a") == 0 && cluster.wantedReplicas("f5-tmm-edge", "tmm-b") == 0
            if evicted > 0, evicted < 6 {
                #expect(isStopped)
                #expect(cluster.server.objects(.pods, "tmm-a").isEmpty)
                sawStopped = true
            }
            let isMoving = cluster.settle()
            if !isBusy && !isMoving { break }
        }
        #expect(sawStopped)
        #expect(cluster.evicted == everyPod)
        #expect(cluster.wantedReplicas("f5-tmm", "tmm-a") == 3)
        #expect(cluster.wantedReplicas("f5-tmm-edge", "tmm-b") == 2)
        #expect(cluster.wantedReplicas("f5-tmm-idle", "tmm-b") == 0)
        #expect(cluster.server.object(.deployments, "f5-tmm", "tmm-a")?.annotations[Annotation.replicas] == nil)
        #expect(bench.report.history.first?.outcome == .succeeded)
        try await bench.end()
    }

    @Test("A certificate that TMM was not started with makes TMM's restart due, though dSSM has reloaded it")
    func workloadCertificate() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.addDeployment("f5-tmm", "tmm-a", replicas: 3)
        let bench = try Bench(cluster) { withTMM(&$0) }
        try await bench.run()
        let before = cluster.server.objects(.pods, "tmm-a").map(\.name)
        cluster.advance(seconds: 60)
        cluster.changeCertificate(TestCertificate.second, reloading: true)
        try await bench.run()
        let after = cluster.server.objects(.pods, "tmm-a").map(\.name)
        #expect(after.count == 3)
        #expect(Set(after).isDisjoint(with: before))
        #expect(cluster.evicted.isEmpty)
        try await bench.run()
        #expect(cluster.server.objects(.pods, "tmm-a").map(\.name) == after)
        try await bench.end()
    }

    @Test("Replicas of TMM are found again when the state was lost while it is stopped")
    func lostState() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.addDeployment("f5-tmm", "tmm-a", replicas: 3)
        cluster.changeTemplate("rev-2")
        var bench = try Bench(cluster) { withTMM(&$0) }
        for _ in 0..<100 where cluster.evicted.isEmpty {
            _ = try await bench.coordinator.lead()
            cluster.settle()
        }
        #expect(cluster.wantedReplicas("f5-tmm", "tmm-a") == 0)
        cluster.server.remove(.configMaps, "f5-dssm-restart-coordinator-state", "cnf")
        try await bench.restart()
        try await bench.run()
        #expect(cluster.wantedReplicas("f5-tmm", "tmm-a") == 3)
        #expect(Set(cluster.evicted) == Set(everyPod))
        try await bench.end()
    }

    @Test("TMM that somebody else starts meanwhile keeps what it was given, and nothing stays noted on it")
    func startedBySomebodyElse() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.addDeployment("f5-tmm", "tmm-a", replicas: 3)
        cluster.annotate(.deployments, "f5-tmm", "tmm-a", Annotation.replicas, "5")
        let bench = try Bench(cluster) { withTMM(&$0) }
        try await bench.run()
        #expect(cluster.wantedReplicas("f5-tmm", "tmm-a") == 3)
        #expect(cluster.server.object(.deployments, "f5-tmm", "tmm-a")?.annotations[Annotation.replicas] == nil)
        #expect(bench.report.cluster?.workloads.first?.savedReplicas == nil)
        try await bench.end()
    }

    @Test("At the window's end it stops with a whole cluster and TMM running, and goes on in the next window")
    func windowEnd() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.addDeployment("f5-tmm", "tmm-a", replicas: 3)
        cluster.changeTemplate("rev-2")
        let bench = try Bench(cluster, window: nil) { settings in
            withTMM(&settings)
            settings.policy.stepAllowance = .seconds(5)
            settings.nowDuration = .seconds(60)
        }
        cluster.annotate(.statefulSets, "f5-dssm-db", "cnf", Annotation.maintenance, "now")
        for _ in 0..<100 where cluster.evicted.count < 2 {
            _ = try await bench.coordinator.lead()
            cluster.settle()
        }
        cluster.advance(seconds: 60)
        try await bench.run()
        let done = cluster.evicted.count
        #expect(done < 6)
        #expect(cluster.wantedReplicas("f5-tmm", "tmm-a") == 3)
        #expect(bench.condition("Whole") == "True")
        #expect(bench.report.run?.outcome == .suspended)
        cluster.annotate(.statefulSets, "f5-dssm-db", "cnf", Annotation.maintenance, "now")
        for _ in 0..<4 {
            try await bench.run()
            cluster.annotate(.statefulSets, "f5-dssm-db", "cnf", Annotation.maintenance, "now")
        }
        #expect(Set(cluster.evicted) == Set(everyPod))
        #expect(cluster.evicted.count == 6)
        #expect(cluster.wantedReplicas("f5-tmm", "tmm-a") == 3)
        #expect(bench.report.history.first?.outcome == .succeeded)
        try await bench.end()
    }

    @Test("An eviction that a disruption budget refuses is told and tried again")
    func refusedEviction() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.changeTemplate("rev-2")
        var budget = try #require(cluster.server.object(.podDisruptionBudgets, "f5-dssm-db", "cnf"))
        budget["spec", "minAvailable"] = 3
        cluster.server.put(.podDisruptionBudgets, budget)
        let bench = try Bench(cluster)
        for _ in 0..<5 { _ = try await bench.coordinator.lead() }
        #expect(cluster.evicted.isEmpty)
        #expect(cluster.server.objects(.events, "cnf").contains { $0["reason"]?.string == "EvictionRefused" })
        budget["spec", "minAvailable"] = 2
        cluster.server.put(.podDisruptionBudgets, budget)
        try await bench.run()
        #expect(cluster.evicted == everyPod)
        try await bench.end()
    }

    @Test("A primary is not evicted while the hand-over is refused")
    func refusedHandOver() async throws {
        let cluster = try await SimulatedKubernetes()
        cluster.changeTemplate("rev-2")
        cluster.refuseHandOver(true)
        let bench = try Bench(cluster)
        for _ in 0..<40 {
            _ = try await bench.coordinator.lead()
            cluster.settle()
        }
        #expect(cluster.evicted == ["f5-dssm-db-2", "f5-dssm-db-1"])
        cluster.refuseHandOver(false)
        try await bench.run()
        #expect(cluster.evicted == everyPod)
        #expect(cluster.lostPrimaries == 0)
        try await bench.end()
    }

    private func withTMM(_ settings: inout CoordinatorSettings) {
        settings.policy.stopsWorkloads = true
        settings.workloads = [
            WorkloadSelection(namespace: "tmm-a", .name("f5-tmm")),
            WorkloadSelection(namespace: "tmm-b", .name("f5-tmm-edge")),
            WorkloadSelection(namespace: "tmm-b", .name("f5-tmm-idle")),
            WorkloadSelection(namespace: "tmm-b", .name("missing")),
        ]
    }

    // MARK: Death and faults

    @Test(
        "A coordinator that dies at any request is followed by one that finishes",
        arguments: [KubernetesTestServer.Response.cut, .doneAndCut])
    func deathAtEveryRequest(_ death: KubernetesTestServer.Response) async throws {
        var number = 0
        while true {
            let cluster = try await SimulatedKubernetes()
            cluster.addDeployment("f5-tmm", "tmm-a", replicas: 3)
            cluster.changeTemplate("rev-2")
            var bench = try Bench(cluster) { withTMM(&$0) }
            // Reads change nothing: to die at one is to die before the next write.
            let seen = Mutex(0)
            let target = number
            cluster.server.setFault { request in
                guard request.method != "GET", !request.path.hasSuffix("/events") else { return nil }
                let count = seen.withLock { seen in
                    seen += 1
                    return seen - 1
                }
                return count == target || count == target + 1 ? death : nil
            }
            var hasDied = false
            for _ in 0..<400 {
                var isBusy = true
                do { isBusy = try await bench.coordinator.lead() } catch {
                    hasDied = true
                    try await bench.restart()
                }
                // Several things at once: what is tested here are the writes, not the waits between them.
                let isMoving = (0..<4).contains { _ in !cluster.settle() } == false
                if !isBusy && !isMoving { break }
            }
            #expect(Set(cluster.evicted) == Set(everyPod), "death at write \(number)")
            #expect(cluster.evicted.count == 6, "death at write \(number)")
            #expect(cluster.worstMissing == 1, "death at write \(number)")
            #expect(cluster.lostPrimaries == 0, "death at write \(number)")
            #expect(cluster.wantedReplicas("f5-tmm", "tmm-a") == 3, "death at write \(number)")
            #expect(cluster.server.objects(.pods, "tmm-a").count == 3, "death at write \(number)")
            #expect(bench.report.history.first?.outcome == .succeeded, "death at write \(number)")
            try await bench.end()
            if !hasDied { break }
            number += 1
        }
        #expect(number > 15)
    }

    @Test("Whatever the API server fails at, the restart ends, and nothing is disturbed twice")
    func faults() async throws {
        let seed =
            ProcessInfo.processInfo.environment["DSSM_TEST_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: 0...999_999)
        print("seed \(seed)")
        let cluster = try await SimulatedKubernetes()
        cluster.addDeployment("f5-tmm", "tmm-a", replicas: 3)
        cluster.changeTemplate("rev-2")
        let bench = try Bench(cluster) { withTMM(&$0) }
        let random = Mutex(SeededGenerator(seed: seed))
        cluster.server.setFault { _ in
            switch random.withLock({ Int.random(in: 0..<80, using: &$0) }) {
            case 0: KubernetesTestServer.Response(429, reason: "TooManyRequests", message: "slow down")
            case 1: KubernetesTestServer.Response(500, message: "etcd leader changed")
            case 2: KubernetesTestServer.Response(503, message: "unavailable")
            case 3: .cut
            case 4: .doneAndCut
            case 5: KubernetesTestServer.Response(409, reason: "Conflict", message: "the object has been modified")
            default: nil
            }
        }
        var isDone = false
        for _ in 0..<1000 where !isDone {
            let isBusy = (try? await bench.coordinator.lead()) ?? true
            let isMoving = cluster.settle()
            isDone = !isBusy && !isMoving
        }
        #expect(isDone)
        #expect(Set(cluster.evicted) == Set(everyPod))
        #expect(cluster.evicted.count == 6)
        #expect(cluster.worstMissing == 1)
        #expect(cluster.lostPrimaries == 0)
        #expect(cluster.wantedReplicas("f5-tmm", "tmm-a") == 3)
        try await bench.end()
    }
}
