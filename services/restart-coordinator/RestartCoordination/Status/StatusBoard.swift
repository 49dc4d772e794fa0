// What the coordinator's task writes and its endpoint's thread reads.
import FoundationEssentials
import Synchronization
import Telemetry

/// Counts since the process began, and the last report.
public final class StatusBoard: Sendable {
    struct Content: Sendable {
        var report: StatusReport
        /// Monotonic times of the last attempt to look at the cluster, and of the last that succeeded.
        var attemptedAt: ContinuousClock.Instant?
        var succeededAt: ContinuousClock.Instant?
        var isEnding = false
        var counters = Counters()
    }

    struct Counters: Sendable {
        var observations: UInt64 = 0
        var failedObservations: UInt64 = 0
        var interruptedWatches: UInt64 = 0
        /// By the kind of step.
        var steps: [String: UInt64] = [:]
        var failedSteps: UInt64 = 0
        var refusedEvictions: UInt64 = 0
        /// By outcome.
        var runs: [String: UInt64] = [:]
    }

    private let content: Mutex<Content>
    let startedAt = ContinuousClock.now

    /// - Parameters:
    ///   - namespace: where the settings name none.
    ///   - instance: the pod's name.
    public init(settings: CoordinatorSettings, namespace: String, instance: String, now: Date) {
        content = Mutex(
            Content(
                report: StatusReport(
                    version: ProductVersion.current, generatedAt: now,
                    namespace: settings.namespace.isEmpty ? namespace : settings.namespace, instance: instance,
                    maintenance: StatusReport.Maintenance(settings))))
    }

    var snapshot: Content { content.withLock { $0 } }

    func update<Result: Sendable>(_ body: (inout Content) -> Result) -> Result {
        content.withLock { content in body(&content) }
    }

    func count(_ body: (inout Counters) -> Void) { content.withLock { body(&$0.counters) } }

    public var report: StatusReport { snapshot.report }
}
