import Synchronization
import TLS

@testable import CertificateIssuing

let day: Int64 = 86400
let startTime: Int64 = 1_800_000_000

/// Settings, and material as the manual procedure or an earlier run could have left it. Keys are ECDSA, which are made in no time.
enum Fixture {
    static func settings(tmm: [String] = ["tmm-a", "tmm-b"]) -> KubernetesSettings {
        var settings = KubernetesSettings()
        settings.policy.keyAlgorithm = .ecdsaP256
        settings.policy.namespace = "home"
        settings.policy.replicas = 1
        settings.tmmNamespaces = tmm
        return settings
    }

    struct Pair {
        var authority: IssuedPair
        var leaf: IssuedPair
        var bundle: [Certificate]

        func certificates(isOwned: Bool = true, dh: [UInt8]? = try? DHParameters.standard()) -> SecretState {
            var secret = SecretState(
                isOwned: isOwned,
                items: [
                    SecretItem.authority: bundle.flatMap { $0.pem() },
                    SecretItem.certificate: leaf.certificate.pem(),
                ], annotations: isOwned ? [SecretMark.pair: leaf.certificate.fingerprint] : [:])
            secret.items[SecretItem.dhParameters] = dh
            return secret
        }

        func keys(isOwned: Bool = true) -> SecretState {
            SecretState(
                isOwned: isOwned, items: [SecretItem.key: leaf.key.pem()],
                annotations: isOwned ? [SecretMark.pair: leaf.certificate.fingerprint] : [:])
        }
    }

    /// A pair as `settings` describe it, issued at `issued`.
    static func pair(
        _ settings: KubernetesSettings = settings(), issued: Int64 = startTime, authority: IssuedPair? = nil
    ) throws -> Pair {
        let authority = try authority ?? CertificateIssuer.makeAuthority(settings.policy, now: issued)
        let leaf = try CertificateIssuer.makeLeaf(settings.policy, authority: authority, now: issued)
        return Pair(authority: authority, leaf: leaf, bundle: [authority.certificate])
    }

    /// A cluster in which all namespaces hold `pair`.
    static func cluster(_ pair: Pair?, tmm: [String] = ["tmm-a", "tmm-b"]) -> ClusterState {
        var state = ClusterState(home: "home", others: tmm)
        guard let pair else { return state }
        for namespace in state.namespaces {
            state[namespace, .certificates] = pair.certificates()
            state[namespace, .keys] = pair.keys()
        }
        return state
    }
}

extension SecretPlan {
    /// One line for each action: what, where, and for writes which items.
    var lines: [String] {
        actions.map { action in
            switch action {
            case .issue(let order): "issue by \(order.signer == nil ? "a new CA" : "the present CA")"
            case .makeDHParameters: "make DH parameters"
            case .write(let write):
                "\(write.note.event) \(write.reference): \(write.items.keys.sorted().joined(separator: " "))"
            case .delete(let reference, _): "delete \(reference)"
            }
        }
    }

    var reasons: [String] {
        actions.flatMap { action -> [String] in
            switch action {
            case .issue(let order): order.reasons
            case .makeDHParameters(let note), .delete(_, let note): note.reasons
            case .write(let write): write.note.reasons
            }
        }
    }
}

/// A cluster in memory on which plans are carried out, to the end or up to a write.
struct ModelCluster {
    var state: ClusterState
    var settings = Fixture.settings()
    var now = startTime
    private(set) var history: [String] = []

    init(_ state: ClusterState) { self.state = state }

    func plan(isForced: Bool = false) -> SecretPlan {
        SecretPlanner(settings: settings, state: state, now: now, isForced: isForced).plan()
    }

    /// - Returns: the last plan, which has no actions.
    @discardableResult
    mutating func run(isForced: Bool = false, check: (ClusterState) throws -> Void = { _ in }) throws -> SecretPlan {
        var isForced = isForced
        for _ in 0..<30 {
            let plan = plan(isForced: isForced)
            if plan.actions.isEmpty { return plan }
            for action in plan.actions {
                try perform(action)
                try check(state)
                if case .issue = action { isForced = false }
            }
            history += plan.lines
        }
        throw TLSError(.badSetting, "the plan never ends: \(history.suffix(6))")
    }

    private mutating func perform(_ action: PlannedAction) throws {
        switch action {
        case .issue(let order):
            let write = try RenewalMaterial.make(
                order, settings: settings, home: state.home, present: state[state.home, .renewal], now: now,
                dhParameters: try order.dhParameters ?? DHParameters.standard())
            perform(write)
        case .makeDHParameters(let note):
            var write = SecretWrite(SecretReference(state.home, .certificates), note)
            let group: DHParameters.Group = settings.dhParameters == .ffdhe3072 ? .ffdhe3072 : .ffdhe2048
            write.items[SecretItem.dhParameters] = try DHParameters.standard(group)
            perform(write)
        case .write(let write): perform(write)
        case .delete(let reference, _): state.secrets[reference] = nil
        }
    }

    private mutating func perform(_ write: SecretWrite) {
        state.secrets[write.reference] = write.applied(to: state.secrets[write.reference])
    }
}

/// What has been read once, by what it was read from: OpenSSL takes a millisecond for each key and each set of parameters, and after
/// each write of a simulated cluster all namespaces are looked at.
private let readSets = Mutex<[[[String: [UInt8]]?]: CertificateSet]>([:])

extension ClusterState {
    func set(_ namespace: String) -> CertificateSet {
        let key = [self[namespace, .certificates]?.items, self[namespace, .keys]?.items]
        if let known = readSets.withLock({ $0[key] }) { return known }
        let set = contents(namespace)
        readSets.withLock { $0[key] = set }
        return set
    }

    /// Namespaces that do not trust the certificate that another one uses now.
    var distrusts: [String] {
        var result: [String] = []
        let sets = namespaces.map { ($0, set($0)) }.filter { $0.1.leaf != nil && !$0.1.authorities.isEmpty }
        for (name, set) in sets {
            for (peer, other) in sets where CertificateSet.signer(of: other.chain, among: set.authorities) == nil {
                result.append("\(name) does not trust \(peer)")
            }
        }
        return result
    }

    /// What is wrong with the pairs: empty when all namespaces have one valid pair and are equal.
    func defects(now: Int64, names: [String] = []) -> [String] {
        var result = distrusts
        for namespace in namespaces {
            let findings = set(namespace).findings(names: names, renewBefore: nil, now: now)
            result += findings.all.map { "\(namespace): \($0)" }
            if let defect = set(namespace).dhDefect { result.append("\(namespace): \(defect)") }
            for kind in [SecretKind.certificates, .keys]
            where self[namespace, kind]?.items != self[home, kind]?.items {
                result.append("\(namespace)/\(kind.name) differs")
            }
        }
        return result
    }
}
