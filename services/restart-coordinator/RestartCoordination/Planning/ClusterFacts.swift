// What was seen of the cluster, and what follows from it: which pods have to be restarted and why, and what the plan needs to know.
//
// A certificate is a reason only when time has shown that a pod does not take it over: pods reload changed Secrets by themselves, once
// their kubelet has brought them the files. A pod that was started after the Secret changed and still serves another certificate
// would not be helped by a second restart: that is told, and not a reason. So no fault of a Secret leads to restarts without end.
import Foundation

/// One of the two StatefulSets.
public struct SetFacts: Sendable, Equatable {
    public var name: String
    public var wantedPods: Int
    /// Nothing rolls by itself: pods of another revision wait for being deleted.
    public var isUpdatedOnDelete: Bool
    public var updateRevision: String?
    /// Pods started before this time are to be restarted, by request.
    public var restartRequestedAt: Date?
    /// Until when disruption is allowed by request.
    public var maintenanceUntil: Date?

    public init(
        name: String, wantedPods: Int = 3, isUpdatedOnDelete: Bool = false, updateRevision: String? = nil,
        restartRequestedAt: Date? = nil, maintenanceUntil: Date? = nil
    ) {
        self.name = name
        self.wantedPods = wantedPods
        self.isUpdatedOnDelete = isUpdatedOnDelete
        self.updateRevision = updateRevision
        self.restartRequestedAt = restartRequestedAt
        self.maintenanceUntil = maintenanceUntil
    }
}

public struct CertificateFacts: Sendable, Equatable {
    /// SHA-256 in lower-case hexadecimal.
    public var fingerprint: String
    public var notBefore: Date
    public var notAfter: Date

    public init(fingerprint: String, notBefore: Date, notAfter: Date) {
        self.fingerprint = fingerprint
        self.notBefore = notBefore
        self.notAfter = notAfter
    }
}

public struct PodFacts: Sendable, Equatable {
    public var name: String
    public var uid: String
    public var node: String?
    public var createdAt: Date
    /// Its containers are ready and it is not on its way out.
    public var isReady: Bool
    public var revision: String?
    public var answer: PodAnswer

    public init(
        name: String, uid: String, node: String? = nil, createdAt: Date, isReady: Bool, revision: String? = nil,
        answer: PodAnswer
    ) {
        self.name = name
        self.uid = uid
        self.node = node
        self.createdAt = createdAt
        self.isReady = isReady
        self.revision = revision
        self.answer = answer
    }
}

/// What a pod said when it was asked over TLS.
public struct PodAnswer: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        case primary(offset: Int64)
        case replica(isLinked: Bool, isSyncing: Bool, offset: Int64)
        /// - hasQuorum: it reaches enough sentinels to order a failover.
        /// - primary: the pod that it takes for the primary; nil: none of ours.
        case sentinel(hasQuorum: Bool, primary: String?)
        case nothing(problem: String)
    }

    public var content: Content
    /// What it serves; nil: there was no handshake.
    public var certificate: CertificateFacts?

    public init(_ content: Content, certificate: CertificateFacts? = nil) {
        self.content = content
        self.certificate = certificate
    }
}

public struct WorkloadFacts: Sendable, Equatable {
    public var id: WorkloadID
    public var wantedReplicas: Int
    public var presentPods: Int
    public var readyPods: Int
    /// From its annotations: what it had before it was stopped, and the certificate with which it was started.
    public var savedReplicas: Int?
    public var certificateFingerprint: String?

    public init(
        id: WorkloadID, wantedReplicas: Int, presentPods: Int, readyPods: Int, savedReplicas: Int? = nil,
        certificateFingerprint: String? = nil
    ) {
        self.id = id
        self.wantedReplicas = wantedReplicas
        self.presentPods = presentPods
        self.readyPods = readyPods
        self.savedReplicas = savedReplicas
        self.certificateFingerprint = certificateFingerprint
    }
}

/// The certificate in the Secret, since when it is known to be there, and which pods there were before.
public struct CertificateSighting: Sendable, Equatable, Codable {
    public var fingerprint: String
    /// By the coordinator's clock.
    public var since: Date
    /// Pods created before this time were there then; by the API server's clock, as the pods' times are.
    public var podsBefore: Date

    public init(fingerprint: String, since: Date, podsBefore: Date) {
        self.fingerprint = fingerprint
        self.since = since
        self.podsBefore = podsBefore
    }
}

public struct ClusterFacts: Sendable, Equatable {
    public var dbSet: SetFacts
    public var sentinelSet: SetFacts
    public var dbs: [PodFacts]
    public var sentinels: [PodFacts]
    public var workloads: [WorkloadFacts]
    /// Of the Secret; nil: there is none, or none that can be read.
    public var certificate: CertificateFacts?
    /// Why there is none.
    public var certificateProblem: String?

    public init(
        dbSet: SetFacts, sentinelSet: SetFacts, dbs: [PodFacts], sentinels: [PodFacts], workloads: [WorkloadFacts] = [],
        certificate: CertificateFacts? = nil, certificateProblem: String? = nil
    ) {
        self.dbSet = dbSet
        self.sentinelSet = sentinelSet
        self.dbs = dbs
        self.sentinels = sentinels
        self.workloads = workloads
        self.certificate = certificate
        self.certificateProblem = certificateProblem
    }

    /// What the judgement depends on besides the facts.
    public struct Circumstances: Sendable {
        public var now: Date
        public var sighting: CertificateSighting?
        public var reloadGrace: Duration
        public var syncLagBytes: Int64
        /// The end of the next window to come; nil: none will.
        public var nextWindow: Date?

        public init(
            now: Date, sighting: CertificateSighting?, reloadGrace: Duration = .seconds(600),
            syncLagBytes: Int64 = 1 << 20, nextWindow: Date? = nil
        ) {
            self.now = now
            self.sighting = sighting
            self.reloadGrace = reloadGrace
            self.syncLagBytes = syncLagBytes
            self.nextWindow = nextWindow
        }
    }

    /// A time that all pods which are there were created before, and that none is which comes later; by the API server's clock.
    ///
    /// What is compared with the times of pods must come from the same clock: a coordinator whose clock is ahead would take pods that
    /// it has just restarted for old ones, and restart them again.
    public static func afterNewest(_ pods: [PodFacts]) -> Date? { pods.map(\.createdAt).max().map { $0 + 1 } }

    // MARK: Reasons

    /// Why a pod has to be restarted; empty: it need not be.
    public func dueReasons(_ pod: PodFacts, _ set: SetFacts, _ circumstances: Circumstances) -> [String] {
        var reasons: [String] = []
        if let requested = set.restartRequestedAt, requested <= circumstances.now, pod.createdAt < requested {
            reasons.append("a restart was requested")
        }
        if set.isUpdatedOnDelete, let revision = pod.revision, let wanted = set.updateRevision, revision != wanted {
            reasons.append("its template has changed, and the StatefulSet updates on deletion only")
        }
        if let reason = certificateReason(pod, circumstances) { reasons.append(reason) }
        return reasons
    }

    private func certificateReason(_ pod: PodFacts, _ circumstances: Circumstances) -> String? {
        guard let wanted = certificate, let served = pod.answer.certificate, served.fingerprint != wanted.fingerprint,
            let sighting = circumstances.sighting, sighting.fingerprint == wanted.fingerprint,
            pod.createdAt < sighting.podsBefore
        else { return nil }
        // One that runs out before the next chance does not get the time to reload.
        if let next = circumstances.nextWindow, served.notAfter < next {
            return "its certificate ends before the next window"
        }
        let age = circumstances.now.timeIntervalSince(sighting.since)
        return age < circumstances.reloadGrace / .seconds(1) ? nil : "it has not reloaded the changed certificate"
    }

    public func dueReasons(_ workload: WorkloadFacts) -> [String] {
        guard let wanted = certificate, let started = workload.certificateFingerprint, started != wanted.fingerprint,
            workload.wantedReplicas > 0 || workload.presentPods > 0
        else { return [] }
        return ["it was started with an earlier certificate"]
    }

    /// Things that a restart would not mend, for people.
    public func warnings(_ circumstances: Circumstances) -> [String] {
        var warnings: [String] = []
        if let certificateProblem { warnings.append(certificateProblem) }
        if let certificate {
            if certificate.notAfter <= circumstances.now {
                warnings.append("the certificate in the Secret has expired")
            } else if let next = circumstances.nextWindow, certificate.notAfter < next {
                warnings.append("the certificate in the Secret ends before the next window: it has to be renewed")
            }
            for pod in dbs + sentinels {
                if let served = pod.answer.certificate, served.fingerprint != certificate.fingerprint,
                    let sighting = circumstances.sighting, sighting.fingerprint == certificate.fingerprint,
                    pod.createdAt >= sighting.podsBefore,
                    circumstances.now.timeIntervalSince(pod.createdAt) >= circumstances.reloadGrace / .seconds(1)
                {
                    warnings.append("\(pod.name) was started after the Secret changed and serves another certificate")
                }
            }
        }
        return warnings
    }

    // MARK: For the plan

    public func observation(_ circumstances: Circumstances) -> ClusterObservation {
        ClusterObservation(
            dbs: dbs.map { observed($0, dbSet, circumstances) },
            sentinels: sentinels.map { observed($0, sentinelSet, circumstances) },
            workloads: workloads.map {
                ObservedWorkload(
                    id: $0.id, wantedReplicas: $0.wantedReplicas, presentPods: $0.presentPods, readyPods: $0.readyPods,
                    isCurrent: dueReasons($0).isEmpty)
            },
            wantedPods: dbSet.wantedPods, wantedSentinels: sentinelSet.wantedPods, hasSentinelQuorum: hasSentinelQuorum)
    }

    private func observed(_ pod: PodFacts, _ set: SetFacts, _ circumstances: Circumstances) -> ObservedPod {
        let role: ObservedPod.Role =
            switch pod.answer.content {
            case .primary: .primary
            case .replica: .replica(isInSync: isInSync(pod, circumstances.syncLagBytes))
            case .sentinel: .sentinel
            case .nothing: .unknown
            }
        return ObservedPod(
            name: pod.name, uid: pod.uid, isReady: pod.isReady,
            isCurrent: dueReasons(pod, set, circumstances).isEmpty, role: role)
    }

    public func isInSync(_ pod: PodFacts, _ syncLagBytes: Int64) -> Bool {
        guard case .replica(let isLinked, let isSyncing, _) = pod.answer.content, isLinked, !isSyncing,
            let lag = lagBytes(pod)
        else { return false }
        return lag <= syncLagBytes
    }

    /// Bytes that a replica has not got yet. The two were not asked at the same moment: a busy replica may seem to be ahead.
    public func lagBytes(_ pod: PodFacts) -> Int64? {
        guard case .replica(_, _, let offset) = pod.answer.content else { return nil }
        let offsets = dbs.compactMap { pod -> Int64? in
            guard case .primary(let offset) = pod.answer.content else { return nil }
            return offset
        }
        guard offsets.count == 1 else { return nil }
        return max(0, offsets[0] - offset)
    }

    /// A majority of the sentinels reach each other and name the primary that says it is one.
    public var hasSentinelQuorum: Bool {
        let agreeing = sentinels.count { pod in
            guard case .sentinel(true, let named?) = pod.answer.content,
                let db = dbs.first(where: { $0.name == named }), case .primary = db.answer.content
            else { return false }
            return true
        }
        return agreeing > sentinelSet.wantedPods / 2
    }
}
