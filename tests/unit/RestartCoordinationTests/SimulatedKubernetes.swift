// A cluster for the coordinator: objects on a `KubernetesTestServer`, and what controllers, kubelets and the pods themselves would
// do with them. Time does not pass by itself: `settle` lets one thing happen that is under way.
import Foundation
import KubernetesAPI
import KubernetesTestServer
import RESP
import RESPClient
import RestartCoordination
import Synchronization
import TLS

final class SimulatedKubernetes: Sendable {
    static let namespace = "cnf"
    static let start = Date(timeIntervalSince1970: 1_800_000_000)

    /// One pod as its processes are.
    struct Process {
        var isPrimary = false
        var isLinked = true
        var certificate: String
    }

    private struct State {
        var processes: [String: Process] = [:]
        var now = SimulatedKubernetes.start
        var created = 0
        /// What kubelets bring to new pods.
        var certificate = TestCertificate.first.fingerprint
        var revision = "rev-1"
        var handOvers = 0
        /// Pods that were away at the same time, at most.
        var worstMissing = 0
        var evicted: [String] = []
        /// A db went away while it was the primary.
        var lostPrimaries = 0
        var isRefusingHandOver = false
        /// Seconds by which the coordinator's clock is ahead of the API server's.
        var coordinatorAhead = 0.0
    }

    let server: KubernetesTestServer
    private let state = Mutex(State())

    init() async throws {
        server = try await KubernetesTestServer()
        changeCertificate(TestCertificate.first, reloading: true)
        for (name, count) in [("f5-dssm-db", 3), ("f5-dssm-sentinel", 3)] {
            server.put(
                .statefulSets,
                KubernetesObject(
                    .statefulSets, name: name, namespace: Self.namespace,
                    [
                        "spec": [
                            "replicas": .integer(count), "serviceName": .string(name),
                            "selector": ["matchLabels": ["app": .string(name)]],
                            "updateStrategy": ["type": "OnDelete"],
                        ],
                        "status": ["updateRevision": "rev-1"],
                    ]))
            for ordinal in 0..<count { startPod(name, ordinal) }
        }
        state.withLock { $0.processes["f5-dssm-db-0"]?.isPrimary = true }
        for name in state.withLock({ Array($0.processes.keys) }) { makeReady(name) }
        for name in ["f5-dssm-db", "f5-dssm-sentinel"] {
            server.put(
                .podDisruptionBudgets,
                KubernetesObject(
                    .podDisruptionBudgets, name: name, namespace: Self.namespace,
                    ["spec": ["minAvailable": 2, "selector": ["matchLabels": ["app": .string(name)]]]]))
        }
    }

    var now: Date { state.withLock { $0.now } }
    var worstMissing: Int { state.withLock { $0.worstMissing } }
    var evicted: [String] { state.withLock { $0.evicted } }
    var handOvers: Int { state.withLock { $0.handOvers } }
    var lostPrimaries: Int { state.withLock { $0.lostPrimaries } }
    var primaries: [String] { state.withLock { $0.processes.filter(\.value.isPrimary).map(\.key) } }

    var coordinatorNow: Date { state.withLock { $0.now + $0.coordinatorAhead } }
    func setCoordinatorAhead(seconds: Double) { state.withLock { $0.coordinatorAhead = seconds } }
    func advance(seconds: Double) { state.withLock { $0.now += seconds } }
    func refuseHandOver(_ refuses: Bool) { state.withLock { $0.isRefusingHandOver = refuses } }

    // MARK: Objects

    private func startPod(_ set: String, _ ordinal: Int) {
        let name = "\(set)-\(ordinal)"
        let (created, revision) = state.withLock { state in
            state.processes[name] = Process(certificate: state.certificate)
            return (state.now, state.revision)
        }
        var pod = KubernetesObject(
            .pods, name: name, namespace: Self.namespace,
            [
                "spec": ["nodeName": .string("node-\(ordinal)"), "containers": []],
                "status": ["phase": "Running", "podIP": .string(name)],
            ])
        pod.labels = ["app": set, "controller-revision-hash": revision]
        server.put(.pods, pod)
        // The server stamps its own time; kubelets and controllers of this cluster live in the simulated one.
        guard var stored = server.object(.pods, name, Self.namespace) else { return }
        stored["metadata", "creationTimestamp"] = .string(created.formatted(.iso8601))
        server.put(.pods, stored)
    }

    private func makeReady(_ name: String) {
        guard var pod = server.object(.pods, name, Self.namespace) else { return }
        pod["status", "conditions"] = [["type": "Ready", "status": "True"]]
        server.put(.pods, pod)
    }

    func changeTemplate(_ revision: String) {
        state.withLock { $0.revision = revision }
        for name in ["f5-dssm-db", "f5-dssm-sentinel"] {
            guard var set = server.object(.statefulSets, name, Self.namespace) else { continue }
            set["status", "updateRevision"] = .string(revision)
            server.put(.statefulSets, set)
        }
    }

    func annotate(_ resource: Resource, _ name: String, _ namespace: String, _ annotation: String, _ value: String) {
        guard var object = server.object(resource, name, namespace) else { return }
        object.annotations[annotation] = value
        server.put(resource, object)
    }

    func addDeployment(_ name: String, _ namespace: String, replicas: Int) {
        server.put(
            .deployments,
            KubernetesObject(
                .deployments, name: name, namespace: namespace,
                [
                    "spec": ["replicas": .integer(replicas), "selector": ["matchLabels": ["app": .string(name)]]],
                    "status": [:],
                ]))
        while settleDeployments() {}
    }

    func wantedReplicas(_ name: String, _ namespace: String) -> Int? {
        server.object(.deployments, name, namespace)?["spec", "replicas"]?.integer
    }

    // MARK: Controllers

    /// One thing that is under way goes on; false: nothing is.
    @discardableResult
    func settle() -> Bool {
        advance(seconds: 1)
        if settleDeployments() { return true }
        for set in ["f5-dssm-db", "f5-dssm-sentinel"] {
            for ordinal in 0..<3 {
                let name = "\(set)-\(ordinal)"
                guard let pod = server.object(.pods, name, Self.namespace) else {
                    noteLoss(name)
                    startPod(set, ordinal)
                    state.withLock { $0.processes[name]?.isLinked = false }
                    return true
                }
                if !(pod["status", "conditions"]?.array?.isEmpty == false) {
                    makeReady(name)
                    return true
                }
                let linked = state.withLock { state in
                    guard state.processes[name]?.isLinked == false else { return false }
                    state.processes[name]?.isLinked = true
                    return true
                }
                if linked { return true }
            }
        }
        return false
    }

    private func noteLoss(_ name: String) {
        let ready = server.objects(.pods, Self.namespace).filter {
            $0["status", "conditions"]?.array?.isEmpty == false
        }
        state.withLock { state in
            state.evicted.append(name)
            state.worstMissing = max(state.worstMissing, 6 - ready.count { $0.name.hasPrefix("f5-dssm") })
            if state.processes[name]?.isPrimary == true { state.lostPrimaries += 1 }
            state.processes[name] = nil
        }
    }

    private func settleDeployments() -> Bool {
        for namespace in ["tmm-a", "tmm-b"] {
            for var deployment in server.objects(.deployments, namespace) {
                let wanted = deployment["spec", "replicas"]?.integer ?? 0
                let pods = server.objects(.pods, namespace).filter { $0.labels["app"] == deployment.name }
                if pods.count > wanted {
                    server.remove(.pods, pods[0].name, namespace)
                } else if pods.count < wanted {
                    let number = state.withLock { state in
                        state.created += 1
                        return state.created
                    }
                    var pod = KubernetesObject(
                        .pods, name: "\(deployment.name)-\(number)", namespace: namespace,
                        ["status": ["phase": "Running"]])
                    pod.labels = ["app": deployment.name]
                    server.put(.pods, pod)
                } else if deployment["status", "readyReplicas"]?.integer != wanted {
                    deployment["status", "readyReplicas"] = .integer(wanted)
                    server.put(.deployments, deployment)
                } else {
                    continue
                }
                return true
            }
        }
        return false
    }

    /// The Secret gets another certificate.
    ///
    /// - Parameter reloading: the running pods take it over.
    func changeCertificate(_ certificate: TestCertificate, reloading: Bool) {
        server.put(
            .secrets,
            KubernetesObject(
                .secrets, name: "dssm-certs-secret", namespace: Self.namespace,
                ["data": ["dssm-cert.crt": .string(Data(certificate.pem).base64EncodedString())]]))
        state.withLock { state in
            state.certificate = certificate.fingerprint
            guard reloading else { return }
            for name in state.processes.keys { state.processes[name]?.certificate = certificate.fingerprint }
        }
    }
}

/// The pods' side of the questions.
extension SimulatedKubernetes: PeerAsking {
    func ask(_ questions: [PeerSurvey.Question], timeout: Duration) async -> [PeerSurvey.Answer] {
        state.withLock { state in questions.map { answer($0, &state) } }
    }

    private func answer(_ question: PeerSurvey.Question, _ state: inout State) -> PeerSurvey.Answer {
        var answer = PeerSurvey.Answer()
        guard let process = state.processes[question.address.host] else {
            answer.problem = "Connection refused"
            return answer
        }
        answer.problem = nil
        answer.fingerprint = process.certificate
        answer.certificate = SimulatedKubernetes.certificate
        let primary = state.processes.first { $0.value.isPrimary }?.key
        switch question.commands.last ?? [] {
        case ["INFO", "replication"]:
            let text =
                process.isPrimary
                ? "# Replication\r\nrole:master\r\nmaster_repl_offset:1000\r\n"
                : "# Replication\r\nrole:slave\r\nmaster_link_status:\(process.isLinked ? "up" : "down")\r\n"
                    + "master_sync_in_progress:0\r\nslave_repl_offset:1000\r\n"
            answer.replies = [.bulk(Array(text.utf8))]
        case ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "dssm"]:
            answer.replies = [.simple("OK 3 usable Sentinels"), .null]
            if let primary {
                answer.replies[1] = .array([.bulk(Array(primary.utf8)), .bulk(Array("6379".utf8))])
            }
        case ["SENTINEL", "FAILOVER", "dssm"]:
            if state.isRefusingHandOver {
                answer.replies = [.error("NOGOODSLAVE No suitable replica to promote")]
                break
            }
            answer.replies = [.simple("OK")]
            guard let primary,
                let next = state.processes.keys.sorted().last(where: { $0.contains("-db-") && $0 != primary })
            else { break }
            state.processes[primary]?.isPrimary = false
            state.processes[next]?.isPrimary = true
            state.handOvers += 1
        default: answer.replies = [.error("ERR unknown")]
        }
        return answer
    }

    /// Any: what is compared is the fingerprint.
    static let certificate: CertificateSummary? = try? Certificate.parseAll(
        pem: TestCertificate.first.pem, name: "test"
    )
    .first?.summary
}

struct TestCertificate {
    let pem: [UInt8]
    let fingerprint: String

    static let first = make()
    static let second = make()

    private static func make() -> TestCertificate {
        do {
            let key = try PrivateKey.generate(.ecdsaP256)
            let template = CertificateTemplate(
                kind: .authority, subject: [("CN", "test")], notBefore: 1_700_000_000, notAfter: 1_900_000_000)
            let certificate = try Certificate.issue(template, key: key)
            return TestCertificate(pem: certificate.pem(), fingerprint: certificate.fingerprint)
        } catch { fatalError("\(error)") }
    }
}
