// What a coordinator knows and does, as one value: the JSON of `/api/status`, and what the status page and the metrics are made of.
//
// Times are RFC 3339 in JSON. A member that is not known is left out.
import FoundationEssentials

public struct StatusReport: Codable, Sendable, Equatable {
    /// Of the coordinator's program.
    public var version: String
    public var generatedAt: Date
    public var namespace: String
    /// The pod that answers, and the one that leads; they differ where several run.
    public var instance: String
    public var leader: String?
    /// What was seen last; nil: nothing yet.
    public var cluster: Cluster?
    /// When `cluster` was seen.
    public var observedAt: Date?
    /// Why the last look at the cluster failed; `cluster` is then what was seen before.
    public var problem: String?
    public var maintenance: Maintenance
    /// The restart that is under way, or was interrupted by the end of a window.
    public var run: Run?
    /// Runs that have ended, the latest first.
    public var history: [Run] = []
    public var conditions: [Condition] = []

    public init(version: String, generatedAt: Date, namespace: String, instance: String, maintenance: Maintenance) {
        self.version = version
        self.generatedAt = generatedAt
        self.namespace = namespace
        self.instance = instance
        self.maintenance = maintenance
    }

    /// The six pods and those who use them.
    public struct Cluster: Codable, Sendable, Equatable {
        public var primaryName: String
        public var dbs: [Pod]
        public var sentinels: [Pod]
        public var workloads: [Workload]
        /// Pods that each of the two sets should have.
        public var wantedPods: Int
        public var hasSentinelQuorum: Bool
        /// Why no pod may be disturbed now; nil: the cluster is whole.
        public var obstacle: String?
        /// Of the certificate in the Secret; nil: there is none that can be read.
        public var certificate: Certificate?

        public init(
            primaryName: String, dbs: [Pod], sentinels: [Pod], workloads: [Workload] = [], wantedPods: Int = 3,
            hasSentinelQuorum: Bool, obstacle: String? = nil, certificate: Certificate? = nil
        ) {
            self.primaryName = primaryName
            self.dbs = dbs
            self.sentinels = sentinels
            self.workloads = workloads
            self.wantedPods = wantedPods
            self.hasSentinelQuorum = hasSentinelQuorum
            self.obstacle = obstacle
            self.certificate = certificate
        }
    }

    public struct Pod: Codable, Sendable, Equatable {
        public var name: String
        public var node: String?
        /// `primary`, `replica`, `sentinel`, or `unknown` when it does not say.
        public var role: Role
        public var isReady: Bool
        /// Of a replica: whether it has what the primary has.
        public var isInSync: Bool?
        /// Of a replica: bytes of the replication stream that it has not got yet.
        public var lagBytes: Int?
        /// What it serves.
        public var certificate: Certificate?
        /// Why it has to be restarted; empty: it need not be.
        public var dueReasons: [String]
        /// Why it could not be asked.
        public var problem: String?
        public var startedAt: Date?

        public enum Role: String, Codable, Sendable { case primary, replica, sentinel, unknown }

        public init(
            name: String, node: String? = nil, role: Role, isReady: Bool, isInSync: Bool? = nil, lagBytes: Int? = nil,
            certificate: Certificate? = nil, dueReasons: [String] = [], problem: String? = nil, startedAt: Date? = nil
        ) {
            self.name = name
            self.node = node
            self.role = role
            self.isReady = isReady
            self.isInSync = isInSync
            self.lagBytes = lagBytes
            self.certificate = certificate
            self.dueReasons = dueReasons
            self.problem = problem
            self.startedAt = startedAt
        }
    }

    public struct Certificate: Codable, Sendable, Equatable {
        /// SHA-256, hexadecimal.
        public var fingerprint: String
        /// Nil: not known. With it, certificates that live for hours are told from those that are about to end.
        public var notBefore: Date?
        public var notAfter: Date
        /// Whole days from now; negative: expired.
        public var daysLeft: Int

        public init(fingerprint: String, notBefore: Date? = nil, notAfter: Date, daysLeft: Int) {
            self.fingerprint = fingerprint
            self.notBefore = notBefore
            self.notAfter = notAfter
            self.daysLeft = daysLeft
        }
    }

    /// A Deployment of TMM that is stopped for a restart where the settings say so.
    public struct Workload: Codable, Sendable, Equatable {
        public var namespace: String
        public var name: String
        public var wantedReplicas: Int
        public var readyReplicas: Int
        /// Replicas to come back to, while it is stopped.
        public var savedReplicas: Int?
        /// Why it has to be restarted; empty: it need not be.
        public var dueReasons: [String]

        public init(
            namespace: String, name: String, wantedReplicas: Int, readyReplicas: Int, savedReplicas: Int? = nil,
            dueReasons: [String] = []
        ) {
            self.namespace = namespace
            self.name = name
            self.wantedReplicas = wantedReplicas
            self.readyReplicas = readyReplicas
            self.savedReplicas = savedReplicas
            self.dueReasons = dueReasons
        }
    }

    public struct Maintenance: Codable, Sendable, Equatable {
        public var windows: [Window]
        /// As in the settings: `2026-12-24` or `2026-12-24/2027-01-02`.
        public var blackouts: [String]
        /// The window that is open now.
        public var openWindow: String?
        public var openUntil: Date?
        /// The next opening; nil: there is none.
        public var nextOpening: Date?
        /// Whether TMM is stopped while dSSM restarts.
        public var stopsWorkloads: Bool

        public init(
            windows: [Window], blackouts: [String] = [], openWindow: String? = nil, openUntil: Date? = nil,
            nextOpening: Date? = nil, stopsWorkloads: Bool = false
        ) {
            self.windows = windows
            self.blackouts = blackouts
            self.openWindow = openWindow
            self.openUntil = openUntil
            self.nextOpening = nextOpening
            self.stopsWorkloads = stopsWorkloads
        }
    }

    public struct Window: Codable, Sendable, Equatable {
        public var name: String
        public var cron: String
        public var timeZone: String
        public var durationSeconds: Int

        public init(name: String, cron: String, timeZone: String, durationSeconds: Int) {
            self.name = name
            self.cron = cron
            self.timeZone = timeZone
            self.durationSeconds = durationSeconds
        }
    }

    /// One restart of what was due, over one window or several.
    public struct Run: Codable, Sendable, Equatable {
        public var startedAt: Date
        public var endedAt: Date?
        /// Why it began, one text for each cause.
        public var reasons: [String]
        public var outcome: Outcome
        /// What is being done, or why nothing is.
        public var step: String
        public var stepSince: Date
        /// Pods that were restarted, and all that were due.
        public var restartedPods: Int
        public var duePods: Int

        public enum Outcome: String, Codable, Sendable {
            case running
            /// The window has ended; it goes on in the next one.
            case suspended
            case succeeded
            /// Nothing was due any more before all was done.
            case withdrawn
        }

        public init(
            startedAt: Date, endedAt: Date? = nil, reasons: [String], outcome: Outcome, step: String, stepSince: Date,
            restartedPods: Int, duePods: Int
        ) {
            self.startedAt = startedAt
            self.endedAt = endedAt
            self.reasons = reasons
            self.outcome = outcome
            self.step = step
            self.stepSince = stepSince
            self.restartedPods = restartedPods
            self.duePods = duePods
        }
    }

    /// In the manner of the conditions of Kubernetes objects.
    ///
    /// - Spec: Kubernetes API conventions, "Typical status properties".
    public struct Condition: Codable, Sendable, Equatable {
        /// `Whole`, `RestartDue`, `Progressing`, `CertificateValid`.
        public var type: String
        /// `True`, `False` or `Unknown`.
        public var status: String
        /// One word in CamelCase.
        public var reason: String
        public var message: String
        public var lastTransitionTime: Date

        public init(type: String, status: String, reason: String, message: String, lastTransitionTime: Date) {
            self.type = type
            self.status = status
            self.reason = reason
            self.message = message
            self.lastTransitionTime = lastTransitionTime
        }
    }

    public func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return Array(try encoder.encode(self))
    }

    /// - Throws: `DecodingError`.
    public init(json: [UInt8]) throws {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        self = try decoder.decode(StatusReport.self, from: Data(json))
    }
}
