// What `dssm-restart-coordinator plan` prints.
import FoundationEssentials
import KubernetesAPI

public struct PlannedRestart: Codable, Sendable {
    public var cluster: StatusReport.Cluster
    public var maintenance: StatusReport.Maintenance
    /// Why anything is due, as `pods: reason`.
    public var reasons: [String]
    /// Things that a restart would not mend.
    public var warnings: [String]
    /// In their order, as they would be taken if all went well.
    public var steps: [String]
    /// Something is due, and the first step is to wait for something else.
    public var isBlocked: Bool

    public func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return Array(try encoder.encode(self))
    }

    public var text: String {
        var lines: [String] = []
        lines.append("Cluster: \(cluster.obstacle ?? "whole: one primary, all replicas in sync, all pods ready")")
        for pod in cluster.dbs + cluster.sentinels {
            let days = pod.certificate.map { ", certificate \($0.daysLeft) days left" } ?? ""
            let lag = pod.lagBytes.map { ", \($0) bytes behind" } ?? ""
            let problem = pod.problem.map { ", \($0)" } ?? ""
            lines.append(
                "  \(pod.name): \(pod.role.rawValue)\(pod.isReady ? "" : ", not ready")\(lag)\(days)\(problem)")
        }
        for workload in cluster.workloads {
            lines.append(
                "  \(workload.namespace)/\(workload.name): \(workload.readyReplicas) of \(workload.wantedReplicas) ready"
            )
        }
        lines += warnings.map { "Attention: \($0)" }
        if reasons.isEmpty {
            lines.append("Nothing has to be restarted.")
        } else {
            lines.append("Due:")
            lines += reasons.map { "  \($0)" }
        }
        lines.append(window)
        if !steps.isEmpty {
            lines.append(maintenance.openUntil == nil ? "Steps, once a window is open:" : "Steps:")
            lines += steps.enumerated().map { "  \($0.offset + 1). \($0.element)" }
        }
        return lines.joined(separator: "\n")
    }

    private var window: String {
        if let until = maintenance.openUntil {
            return "Window '\(maintenance.openWindow ?? "")' is open until \(until.formatted(.iso8601))."
        }
        guard let next = maintenance.nextOpening else { return "No window is open, and none is to come." }
        return "No window is open; the next one opens at \(next.formatted(.iso8601))."
    }
}

extension Coordinator {
    /// Looks once, and tells what would be done.
    ///
    /// - Throws: `KubernetesError`.
    public func plan() async throws -> PlannedRestart {
        try await loadForReading()
        let facts = try await reader.read().facts
        let circumstances = circumstances(facts)
        let maintenance = maintenance(facts)
        let cluster = facts.observation(circumstances)
        var described = StatusReport.Maintenance(settings)
        described.openWindow = maintenance.openWindow
        described.openUntil = maintenance.openUntil
        described.nextOpening = maintenance.nextOpening
        let isDue = RestartPlan.isDue(cluster, settings.policy) || state.progress.savedReplicas != nil
        let steps =
            isDue
            ? RestartForecast.steps(
                cluster, state.progress, settings.policy, now: circumstances.now, windowEnd: maintenance.openUntil)
            : []
        var isBlocked = false
        if case .wait = steps.first { isBlocked = true }
        return PlannedRestart(
            cluster: facts.reported(circumstances, primaryName: settings.primaryName), maintenance: described,
            reasons: facts.reasonSummary(circumstances), warnings: facts.warnings(circumstances),
            steps: steps.map(\.text), isBlocked: isBlocked)
    }
}
