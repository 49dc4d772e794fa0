import Foundation
import RestartCoordination
import Testing

/// A cluster that does what it is told, with delays: what is evicted comes back as another pod that is current, first not ready, then
/// not in sync.
private struct SimulatedCluster {
    var observed: ClusterObservation
    private var nextUID = 100
    /// How often a pod has been away while another one was.
    private(set) var worstMissing = 0
    private(set) var evictions: [String] = []

    init(workloads: [ObservedWorkload] = []) {
        let dbs = (0..<3).map { index in
            ObservedPod(
                name: "db-\(index)", uid: "\(index)", isReady: true, isCurrent: false,
                role: index == 0 ? .primary : .replica(isInSync: true))
        }
        let sentinels = (0..<3).map { index in
            ObservedPod(name: "sentinel-\(index)", uid: "s\(index)", isReady: true, isCurrent: false, role: .sentinel)
        }
        observed = ClusterObservation(dbs: dbs, sentinels: sentinels, workloads: workloads, hasSentinelQuorum: true)
    }

    /// One thing that was under way goes on.
    mutating func settle() {
        for index in observed.workloads.indices {
            let wanted = observed.workloads[index].wantedReplicas
            if observed.workloads[index].presentPods > wanted { observed.workloads[index].presentPods -= 1 }
            if observed.workloads[index].presentPods < wanted { observed.workloads[index].presentPods += 1 }
        }
        if let index = observed.sentinels.firstIndex(where: { !$0.isReady }) {
            observed.sentinels[index].isReady = true
        } else if let index = observed.dbs.firstIndex(where: { !$0.isReady }) {
            observed.dbs[index].isReady = true
        } else if let index = observed.dbs.firstIndex(where: { $0.role == .replica(isInSync: false) }) {
            observed.dbs[index].role = .replica(isInSync: true)
        }
    }

    mutating func take(_ step: RestartStep) {
        switch step {
        case .scale(let id, let replicas):
            for index in observed.workloads.indices where observed.workloads[index].id == id {
                observed.workloads[index].wantedReplicas = replicas
            }
        case .handOver(let name):
            guard let old = observed.dbs.firstIndex(where: { $0.name == name }), observed.dbs[old].role == .primary
            else { return }
            let new = observed.dbs.firstIndex { $0.role == .replica(isInSync: true) && $0.isCurrent } ?? (old + 1) % 3
            observed.dbs[new].role = .primary
            observed.dbs[old].role = .replica(isInSync: true)
        case .evict(let name, let uid):
            nextUID += 1
            if let index = observed.dbs.firstIndex(where: { $0.name == name && $0.uid == uid }) {
                #expect(observed.dbs[index].role != .primary, "the primary was evicted")
                evictions.append(name)
                observed.dbs[index] = ObservedPod(
                    name: name, uid: "\(nextUID)", isReady: false, isCurrent: true, role: .replica(isInSync: false))
            }
            if let index = observed.sentinels.firstIndex(where: { $0.name == name && $0.uid == uid }) {
                evictions.append(name)
                observed.sentinels[index] = ObservedPod(
                    name: name, uid: "\(nextUID)", isReady: false, isCurrent: true, role: .sentinel)
            }
            worstMissing = max(worstMissing, (observed.dbs + observed.sentinels).filter { !$0.isReady }.count)
        case .remember, .wait, .suspend, .finished: break
        }
    }
}

@Suite("RestartPlan")
struct RestartPlanTests {
    private let now = Date(timeIntervalSince1970: 1_800_000_000)
    private var openWindow: Date { now.addingTimeInterval(7200) }
    private let tmm = ObservedWorkload(
        id: WorkloadID(namespace: "cnf-gateway", name: "f5-tmm"), wantedReplicas: 3, presentPods: 3, readyPods: 3)

    private func policy(stopsWorkloads: Bool) -> RestartPolicy {
        var policy = RestartPolicy()
        policy.stopsWorkloads = stopsWorkloads
        return policy
    }

    /// Runs to the end; `isLost` says at which steps the coordinator dies, before or after it has taken them.
    private func run(
        _ cluster: inout SimulatedCluster, _ policy: RestartPolicy,
        isLost: (Int) -> (before: Bool, after: Bool) = { _ in (false, false) }
    ) -> [RestartStep] {
        var stored = RestartProgress()
        var steps: [RestartStep] = []
        for number in 0..<500 {
            let step = RestartPlan.next(cluster.observed, stored, policy, now: now, windowEnd: openWindow)
            let lost = isLost(number)
            if lost.before { continue }
            steps.append(step)
            if case .remember(let progress) = step { stored = progress }
            cluster.take(step)
            if lost.after { continue }
            if step == .finished { return steps }
            cluster.settle()
        }
        Issue.record("it never ends: \(steps.suffix(3))")
        return steps
    }

    @Test("Replicas go first, then the hand-over, the old primary and the sentinels, one at a time")
    func order() {
        var cluster = SimulatedCluster()
        let steps = run(&cluster, policy(stopsWorkloads: false))
        #expect(cluster.evictions == ["db-2", "db-1", "db-0", "sentinel-2", "sentinel-1", "sentinel-0"])
        #expect(cluster.worstMissing == 1)
        #expect(steps.filter { if case .handOver = $0 { true } else { false } } == [.handOver(from: "db-0")])
        #expect(cluster.observed.dbs.filter { $0.role == .primary }.map(\.isCurrent) == [true])
    }

    @Test(
        "TMM's replicas are remembered before it is stopped, its pods are gone before dSSM restarts, and it comes back")
    func workloads() throws {
        var cluster = SimulatedCluster(workloads: [tmm])
        let steps = run(&cluster, policy(stopsWorkloads: true))
        guard case .remember(let progress) = steps[0] else {
            Issue.record("\(steps[0])")
            return
        }
        #expect(progress.savedReplicas == ["cnf-gateway/f5-tmm": 3])
        let firstEviction = try #require(steps.firstIndex { if case .evict = $0 { true } else { false } })
        let gone = try #require(
            steps.lastIndex { if case .wait(let text) = $0 { text.contains("still there") } else { false } })
        #expect(gone < firstEviction)
        #expect(cluster.observed.workloads[0].wantedReplicas == 3)
        #expect(cluster.evictions.count == 6)
    }

    @Test("A coordinator that dies before or after any step is followed by one that finishes")
    func death() {
        for isAfter in [false, true] {
            for lost in 0..<60 {
                var cluster = SimulatedCluster(workloads: [tmm])
                _ = run(&cluster, policy(stopsWorkloads: true)) { ($0 == lost && !isAfter, $0 == lost && isAfter) }
                #expect(cluster.evictions.count == 6 && cluster.worstMissing <= 1, "lost at \(lost)")
                #expect(cluster.observed.workloads[0].wantedReplicas == 3, "lost at \(lost)")
            }
        }
    }

    @Test("Without a window, and near its end, nothing is begun; what was stopped comes back")
    func windowEnd() {
        var cluster = SimulatedCluster(workloads: [tmm])
        var policy = policy(stopsWorkloads: true)
        for end in [nil, now.addingTimeInterval(179)] {
            let step = RestartPlan.next(cluster.observed, RestartProgress(), policy, now: now, windowEnd: end)
            guard case .suspend = step else {
                Issue.record("\(step)")
                return
            }
        }
        // Stopped, with one replica restarted, when the window closes.
        var progress = RestartProgress()
        progress.savedReplicas = ["cnf-gateway/f5-tmm": 3]
        cluster.observed.workloads[0].wantedReplicas = 0
        cluster.observed.workloads[0].presentPods = 0
        cluster.observed.dbs[2].isCurrent = true
        let back = RestartPlan.next(cluster.observed, progress, policy, now: now, windowEnd: nil)
        #expect(back == .scale(tmm.id, to: 3))
        cluster.take(back)
        let restored = RestartPlan.next(cluster.observed, progress, policy, now: now, windowEnd: nil)
        guard case .remember(let done) = restored else {
            Issue.record("\(restored)")
            return
        }
        #expect(done.isRestored)
        guard case .suspend = RestartPlan.next(cluster.observed, done, policy, now: now, windowEnd: nil) else {
            Issue.record("it goes on")
            return
        }
        // The next window begins anew, with the counts of then.
        policy.stepAllowance = .seconds(60)
        let again = RestartPlan.next(cluster.observed, done, policy, now: now, windowEnd: openWindow)
        guard case .remember(let anew) = again else {
            Issue.record("\(again)")
            return
        }
        #expect(anew.savedReplicas == ["cnf-gateway/f5-tmm": 3] && !anew.isRestored)
    }

    @Test("A cluster that is not whole is not disturbed")
    func obstacles() {
        func waits(_ change: (inout ClusterObservation) -> Void) -> String? {
            var cluster = SimulatedCluster().observed
            change(&cluster)
            let step = RestartPlan.next(cluster, RestartProgress(), RestartPolicy(), now: now, windowEnd: openWindow)
            if case .wait(let text) = step { return text }
            return nil
        }
        #expect(waits { $0.dbs[2].isReady = false } == "2 of 3 db pods are ready")
        #expect(waits { $0.sentinels.removeLast() } == "2 of 3 sentinel pods are ready")
        #expect(waits { $0.dbs[1].role = .replica(isInSync: false) } == "db-1 is not in sync")
        #expect(waits { $0.dbs[1].role = .unknown } == "db-1 is not in sync")
        #expect(waits { $0.dbs[1].role = .primary } == "there are 2 primaries")
        #expect(waits { $0.dbs[0].role = .replica(isInSync: true) } == "there is no primary")
        #expect(waits { $0.hasSentinelQuorum = false } == "the sentinels have no quorum")
        #expect(waits { _ in } == nil)
    }

    @Test("Nothing stale: nothing to do, without a window too")
    func nothing() {
        var cluster = SimulatedCluster(workloads: [tmm]).observed
        for index in 0..<3 {
            cluster.dbs[index].isCurrent = true
            cluster.sentinels[index].isCurrent = true
        }
        let step = RestartPlan.next(
            cluster, RestartProgress(), policy(stopsWorkloads: true), now: now, windowEnd: nil)
        #expect(step == .finished)
    }

    @Test(
        "After the window workloads come back to a store that serves, though a replica is missing; in the window to a whole one"
    )
    func serviceBeforeRedundancy() {
        var cluster = SimulatedCluster(workloads: [tmm])
        cluster.observed.workloads[0].wantedReplicas = 0
        cluster.observed.workloads[0].presentPods = 0
        cluster.observed.dbs[2].isReady = false
        cluster.observed.dbs[2].role = .unknown
        var progress = RestartProgress()
        progress.savedReplicas = [tmm.id.description: 3]
        let policy = policy(stopsWorkloads: true)
        #expect(
            RestartPlan.next(cluster.observed, progress, policy, now: now, windowEnd: nil) == .scale(tmm.id, to: 3))
        guard case .wait = RestartPlan.next(cluster.observed, progress, policy, now: now, windowEnd: openWindow) else {
            Issue.record("a store that is not whole was disturbed")
            return
        }
        cluster.observed.dbs[0].role = .unknown
        #expect(
            RestartPlan.next(cluster.observed, progress, policy, now: now, windowEnd: nil)
                == .wait("there is no primary; then the workloads come back"))
    }
}
