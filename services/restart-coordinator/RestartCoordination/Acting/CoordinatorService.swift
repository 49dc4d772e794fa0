// The process: who leads, when to look, and how it ends.
import FoundationEssentials
import KubernetesAPI
import Logging
import Telemetry

public struct CoordinatorService: Sendable {
    let coordinator: Coordinator
    let lock: LeaseLock
    let client: KubernetesClient
    let log: Logger
    private let wakeUp = WakeUp()

    /// - Parameter identity: unique among the instances.
    public init(coordinator: Coordinator, client: KubernetesClient, log: Logger, identity: String) {
        self.coordinator = coordinator
        self.client = client
        self.log = log
        let settings = coordinator.settings
        var lock = LeaseLock(
            client: client, name: settings.leaseName,
            namespace: settings.namespace.isEmpty ? client.access.namespace : settings.namespace, identity: identity)
        lock.duration = settings.leaseDuration
        lock.renewDeadline = settings.leaseDuration * 2 / 3
        lock.retryPeriod = settings.leaseDuration / 8
        self.lock = lock
    }

    /// Runs until the task is cancelled.
    ///
    /// - Throws: `KubernetesError` when the API refuses what time does not mend, such as a missing right to the Lease.
    public func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await contend() }
            group.addTask { await watch(.pods) }
            group.addTask { await watch(.statefulSets) }
            // The watches end by themselves only when they are refused; then looking from time to time has to do.
            try await group.waitForAll()
        }
    }

    /// Tells a coordinator that is ending to its probes.
    public func beginEnding() { coordinator.board.update { $0.isEnding = true } }

    // MARK: Leadership

    private func contend() async throws {
        while !Task.isCancelled {
            let standby = Task { await stayInformed() }
            let stop = { @Sendable in standby.cancel() }
            defer { standby.cancel() }
            do {
                let ended: Void? = try await lock.withLeadership(
                    waiting: { holder in
                        setLeader(holder)
                        log.event(.notice, "standby", "\(holder) leads")
                    },
                    lead: {
                        stop()
                        await standby.value
                        setLeader(coordinator.instance)
                        log.event(.notice, "leader", "This instance leads")
                        try await lead()
                    })
                guard ended == nil else { return }
                setLeader(nil)
                log.event(.warning, "leadership-lost", "The lease could not be kept: another instance may lead")
            } catch let error as KubernetesError where error.code != .forbidden && error.code != .invalid {
                log.event(.warning, "leadership-failed", "\(error)")
            }
        }
    }

    private func setLeader(_ name: String?) {
        coordinator.board.update { $0.report.leader = name }
    }

    /// The page of an instance that does not lead shows the cluster too.
    private func stayInformed() async {
        while !Task.isCancelled {
            // The board tells what failed.
            try? await coordinator.look()
            await wakeUp.wait(atMost: coordinator.settings.interval)
        }
    }

    private func lead() async throws {
        var failures = 0
        while !Task.isCancelled {
            let settings = coordinator.settings
            var isBusy = false
            do {
                isBusy = try await coordinator.lead()
                failures = 0
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // Told by the coordinator. Soon again, in case it is a conflict; later when it lasts.
                failures += 1
            }
            // Events of the cluster come in bursts: one look serves them all.
            try await Task.sleep(for: settings.busyInterval)
            guard !isBusy, failures != 1 else { continue }
            await wakeUp.wait(atMost: settings.interval)
        }
        throw CancellationError()
    }

    // MARK: Watches

    /// Wakes the loop when anything changes in the namespace.
    private func watch(_ resource: Resource) async {
        do {
            try await client.watch(resource, Selection(namespace: lock.namespace)) { event in
                if case .interrupted = event { coordinator.board.count { $0.interruptedWatches += 1 } }
                await wakeUp.signal()
                return !Task.isCancelled
            }
        } catch is CancellationError {
            return
        } catch {
            log.event(
                .warning, "watch-refused", "Changes are noticed at the next look only: \(error)",
                ["kind": resource.kind])
        }
    }
}
