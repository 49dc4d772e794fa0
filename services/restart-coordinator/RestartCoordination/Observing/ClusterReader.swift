// Reads the cluster: objects from the Kubernetes API, roles and certificates from the pods themselves.
import FoundationEssentials
import KubernetesAPI
import RESPClient
import TLS

struct ClusterReader: Sendable {
    let settings: CoordinatorSettings
    let namespace: String
    let client: KubernetesClient
    let probe: PodProbe

    /// What was read, and the objects that Events are about and patches go to.
    struct Snapshot: Sendable {
        var facts: ClusterFacts
        var dbSet: KubernetesObject
        var sentinelSet: KubernetesObject
        var sentinelTargets: [PodTarget]
    }

    /// - Throws: `KubernetesError`, with `.notFound` when a StatefulSet is not there.
    func read() async throws -> Snapshot {
        let dbSet = try await client.get(.statefulSets, settings.db, namespace: namespace)
        let sentinelSet = try await client.get(.statefulSets, settings.sentinel, namespace: namespace)
        let dbPods = try await pods(of: dbSet, namespace)
        let sentinelPods = try await pods(of: sentinelSet, namespace)
        let dbTargets = dbPods.map { target($0, .db, dbSet) }
        let sentinelTargets = sentinelPods.map { target($0, .sentinel, sentinelSet) }
        let answers = await probe.probe(dbTargets + sentinelTargets)
        var facts = ClusterFacts(
            dbSet: setFacts(dbSet), sentinelSet: setFacts(sentinelSet),
            dbs: zip(dbPods, answers).map { podFacts($0, $1) },
            sentinels: zip(sentinelPods, answers.dropFirst(dbPods.count)).map { podFacts($0, $1) })
        try await readCertificate(&facts)
        facts.workloads = try await readWorkloads()
        return Snapshot(facts: facts, dbSet: dbSet, sentinelSet: sentinelSet, sentinelTargets: sentinelTargets)
    }

    // MARK: Pods

    /// The pods of a StatefulSet or Deployment, those on their way out included, in the order of their ordinals.
    private func pods(of owner: KubernetesObject, _ namespace: String) async throws -> [KubernetesObject] {
        let selector = LabelSelector.text(owner["spec", "selector"])
        // An empty selector would mean all pods.
        guard !selector.isEmpty else { return [] }
        let found = try await client.list(.pods, Selection(namespace: namespace, labels: selector)).objects
        let ended: Set<String?> = ["Succeeded", "Failed"]
        return found.filter {
            !ended.contains($0["status", "phase"]?.string) || owner.kind == Resource.statefulSets.kind
        }
        .sorted { ($0.name.count, $0.name) < ($1.name.count, $1.name) }
    }

    private func target(_ pod: KubernetesObject, _ service: PodTarget.Service, _ set: KubernetesObject) -> PodTarget {
        let portName = service == .db ? "db" : "sentinel"
        var port = service == .db ? 6379 : 26379
        for container in pod["spec", "containers"]?.array ?? [] {
            for declared in container["ports"]?.array ?? [] where declared["name"]?.string == portName {
                port = declared["containerPort"]?.integer ?? port
            }
        }
        let domain = set["spec", "serviceName"]?.string ?? set.name
        return PodTarget(
            name: pod.name, service: service,
            address: pod["status", "podIP"]?.string.map { PeerAddress($0, port) },
            dnsName: "\(pod.name).\(domain).\(namespace).svc.\(settings.clusterDomain)")
    }

    private func podFacts(_ pod: KubernetesObject, _ answer: PodAnswer) -> PodFacts {
        let conditions = pod["status", "conditions"]?.array ?? []
        let isReady = conditions.contains { $0["type"]?.string == "Ready" && $0["status"]?.string == "True" }
        return PodFacts(
            name: pod.name, uid: pod.uid ?? "", node: pod["spec", "nodeName"]?.string,
            createdAt: ClusterReader.time(pod["metadata", "creationTimestamp"]?.string) ?? .distantPast,
            isReady: isReady && !pod.isBeingDeleted, revision: pod.labels["controller-revision-hash"], answer: answer)
    }

    private func setFacts(_ set: KubernetesObject) -> SetFacts {
        SetFacts(
            name: set.name, wantedPods: set["spec", "replicas"]?.integer ?? 1,
            isUpdatedOnDelete: set["spec", "updateStrategy", "type"]?.string == "OnDelete",
            updateRevision: set["status", "updateRevision"]?.string,
            restartRequestedAt: ClusterReader.time(set.annotations[Annotation.restart]),
            maintenanceUntil: ClusterReader.time(set.annotations[Annotation.maintenance]))
    }

    /// - Spec: RFC 3339, as Kubernetes writes times.
    static func time(_ text: String?) -> Date? {
        text.flatMap { try? Date($0, strategy: .iso8601) }
    }

    // MARK: Certificate and TMM

    private func readCertificate(_ facts: inout ClusterFacts) async throws {
        guard settings.tls != nil else { return }
        let name = "\(namespace)/\(settings.certificatesSecret)"
        guard let secret = try await client.find(.secrets, settings.certificatesSecret, namespace: namespace) else {
            facts.certificateProblem = "there is no Secret \(name)"
            return
        }
        let item = settings.certificateItem
        guard let data = secret["data", item]?.string.flatMap({ Data(base64Encoded: $0) }) else {
            facts.certificateProblem = "the Secret \(name) has no item \(item)"
            return
        }
        do throws(TLSError) {
            let leaf = try Certificate.parseAll(pem: Array(data), name: "\(name)/\(item)")[0]
            facts.certificate = CertificateFacts(fingerprint: leaf.fingerprint, leaf.summary)
        } catch { facts.certificateProblem = error.message }
    }

    private func readWorkloads() async throws -> [WorkloadFacts] {
        var deployments: [WorkloadID: KubernetesObject] = [:]
        for selection in settings.workloads {
            var found: [KubernetesObject] = []
            switch selection.which {
            case .name(let name):
                // One that is not there is none: it may be installed later.
                found = try await client.find(.deployments, name, namespace: selection.namespace).map { [$0] } ?? []
            case .labels(let labels):
                found = try await client.list(
                    .deployments, Selection(namespace: selection.namespace, labels: labels)
                ).objects
            }
            for object in found where !object.isBeingDeleted {
                deployments[WorkloadID(namespace: selection.namespace, name: object.name)] = object
            }
        }
        var workloads: [WorkloadFacts] = []
        for (id, object) in deployments.sorted(by: { $0.key < $1.key }) {
            let present = try await pods(of: object, id.namespace).count
            workloads.append(
                WorkloadFacts(
                    id: id, wantedReplicas: object["spec", "replicas"]?.integer ?? 1, presentPods: present,
                    readyPods: object["status", "readyReplicas"]?.integer ?? 0,
                    savedReplicas: object.annotations[Annotation.replicas].flatMap { Int($0) },
                    certificateFingerprint: object.annotations[Annotation.certificate]))
        }
        return workloads
    }
}

/// A selector of an object's spec as the text that queries want.
enum LabelSelector {
    /// - Spec: Kubernetes documentation, "Labels and Selectors".
    static func text(_ selector: JSON?) -> String {
        var terms = (selector?["matchLabels"]?.strings ?? [:]).sorted { $0.key < $1.key }.map {
            "\($0.key)=\($0.value)"
        }
        for expression in selector?["matchExpressions"]?.array ?? [] {
            guard let key = expression["key"]?.string else { continue }
            let values = (expression["values"]?.array ?? []).compactMap(\.string).joined(separator: ",")
            switch expression["operator"]?.string {
            case "In": terms.append("\(key) in (\(values))")
            case "NotIn": terms.append("\(key) notin (\(values))")
            case "Exists": terms.append(key)
            case "DoesNotExist": terms.append("!\(key)")
            default: break
            }
        }
        return terms.joined(separator: ",")
    }
}
