// The thin shell round `RestartPlan`: look, plan, remember, act, and look again.
//
// Nothing is concluded from what an action answered: the next look tells. A step is written into the state before it is taken, and the
// state is versioned, so that a coordinator which has lost its leadership cannot take a step that its successor does not know of by
// more than the one that was under way.
import FoundationEssentials
import KubernetesAPI
import Logging
import RESPClient
import Telemetry

public actor Coordinator {
    public let settings: CoordinatorSettings
    public nonisolated let board: StatusBoard
    let namespace: String
    let client: KubernetesClient
    let reader: ClusterReader
    let peers: any PeerAsking
    let log: Logger
    let recorder: EventRecorder
    let clock: @Sendable () -> Date
    let instance: String
    private let store: StateStore
    /// As it will be stored by the next write.
    var state = CoordinatorState()
    /// The state was read from the cluster by this instance as the leader.
    private var isLeading = false
    /// What was logged last, so that a lasting state is told once.
    var announced: [String: String] = [:]

    /// - Parameters:
    ///   - instance: the pod's name.
    ///   - peers: what pods are asked with.
    public init(
        settings: CoordinatorSettings, client: KubernetesClient, peers: any PeerAsking, board: StatusBoard, log: Logger,
        instance: String, clock: @escaping @Sendable () -> Date = { Date.now }
    ) {
        self.settings = settings
        self.client = client
        self.peers = peers
        self.log = log
        self.instance = instance
        self.clock = clock
        self.board = board
        namespace = settings.namespace.isEmpty ? client.access.namespace : settings.namespace
        recorder = EventRecorder(
            client: client, component: "dssm-restart-coordinator", instance: instance, log: log)
        reader = ClusterReader(
            settings: settings, namespace: namespace, client: client,
            probe: PodProbe(primaryName: settings.primaryName, timeout: settings.probeTimeout, peers: peers))
        store = StateStore(client: client, name: settings.stateName, namespace: namespace)
    }

    // MARK: Rounds

    /// Looks without acting, for an instance that does not lead.
    public func look() async throws {
        isLeading = false
        try await observing {
            try await loadForReading()
            let snapshot = try await reader.read()
            publish(snapshot.facts, circumstances(snapshot.facts), maintenance(snapshot.facts))
        }
    }

    /// Looks and takes the next step, if there is one.
    ///
    /// - Returns: whether the next look should come soon.
    /// - Throws: `KubernetesError`; the next round begins anew from the cluster.
    public func lead() async throws -> Bool {
        do {
            return try await observing {
                if !isLeading { try await loadState() }
                var snapshot = try await reader.read()
                if try await stampAnnotations(&snapshot) { snapshot = try await reader.read() }
                try await adoptWorkloads(&snapshot.facts)
                noteCertificate(snapshot.facts)
                let isBusy = try await advance(snapshot)
                publish(snapshot.facts, circumstances(snapshot.facts), maintenance(snapshot.facts))
                return isBusy
            }
        } catch {
            // Somebody else may have written, or it is not known what was done.
            isLeading = false
            throw error
        }
    }

    func loadForReading() async throws {
        // What cannot be read is the leader's to tell.
        state = try await store.load().state
    }

    private func loadState() async throws {
        let loaded = try await store.load()
        if let problem = loaded.problem {
            // A new run begins from what the cluster is; replicas of TMM are in the Deployments' annotations too.
            log.event(.warning, "state-lost", problem)
        }
        state = loaded.state
        isLeading = true
    }

    private func observing<Result>(_ body: () async throws -> Result) async throws -> Result {
        board.update {
            $0.attemptedAt = .now
            $0.counters.observations += 1
        }
        do {
            let result = try await body()
            board.update { $0.succeededAt = .now }
            announce("observation", nil, .notice, "The cluster can be observed again")
            return result
        } catch {
            if Task.isCancelled { throw error }
            board.update {
                $0.counters.failedObservations += 1
                $0.report.problem = "\(error)"
                $0.report.generatedAt = clock()
            }
            announce("observation", "\(error)", .warning, "The cluster cannot be observed: \(error)")
            throw error
        }
    }

    /// Logs something when it has changed; `value` nil: it is over.
    ///
    /// - Returns: whether it has changed.
    @discardableResult
    func announce(_ name: String, _ value: String?, _ level: LogLevel, _ text: String) -> Bool {
        guard announced[name] != value else { return false }
        announced[name] = value
        log.event(level, name, text)
        return true
    }

    func saveState() async throws { try await store.save(state) }

    // MARK: Circumstances

    struct Maintenance {
        var openWindow: String?
        var openUntil: Date?
        var nextOpening: Date?
    }

    func maintenance(_ facts: ClusterFacts) -> Maintenance {
        let now = clock()
        var result = Maintenance()
        switch settings.schedule.state(at: now) {
        case .open(let name, let until):
            result.openWindow = name
            result.openUntil = until
            if case .closed(let next) = settings.schedule.state(at: until) { result.nextOpening = next }
        case .closed(let next): result.nextOpening = next
        }
        let requested = [facts.dbSet.maintenanceUntil, facts.sentinelSet.maintenanceUntil].compactMap { $0 }.max()
        if let requested, requested > now, requested > result.openUntil ?? now {
            result.openWindow = "now"
            result.openUntil = requested
        }
        return result
    }

    func circumstances(_ facts: ClusterFacts) -> ClusterFacts.Circumstances {
        ClusterFacts.Circumstances(
            now: clock(), sighting: state.sighting, reloadGrace: settings.reloadGrace,
            syncLagBytes: settings.syncLagBytes, nextWindow: maintenance(facts).nextOpening)
    }

    private func noteCertificate(_ facts: ClusterFacts) {
        guard let certificate = facts.certificate, certificate.fingerprint != state.sighting?.fingerprint else {
            return
        }
        let now = clock()
        state.sighting = CertificateSighting(
            fingerprint: certificate.fingerprint, since: now,
            podsBefore: ClusterFacts.afterNewest(facts.dbs + facts.sentinels) ?? now)
    }
}
