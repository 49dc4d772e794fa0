// What to do about the Secrets of an installation: a pure function of what was read, the settings and the time.
//
// The problem: a key and its certificate lie in two Secrets, in several namespaces, that cannot be written at once; runs may
// overlap, and any run may die between two writes; and while the CA changes, no pod may meet a certificate that it does not trust.
//
// The approach is a log of intent. New material is written as a whole into one Secret, the renewal Secret, by one write that is
// based on the version that was read: of two runs that want to issue, one does. From then on every step is a copy of what lies there,
// so any run can go on where another stopped, and two at once do the same. Stages (`RenewalStage`):
//
//     idle --issue--> publishing --all bundles hold the new CA, and the delay is over--> leaves --all pairs equal--> idle
//
// A renewal that does not change the trust (nothing to trust yet, or the same CA signs) begins with `leaves`. The earlier CA leaves the
// bundles later, when the time noted in the annotation `trust-until` has come. Between renewals the installation's own pair is the
// model, and the other namespaces follow it.
//
// Rejected: mending half-written pairs by issuing again, which without a kept CA key changes the trust each time; and a Lease, which
// a dead run holds, and which does not make two writes one.
//
// Invariants:
// - A Secret without our label is never written or deleted.
// - In a namespace the key is written before the certificate, both from the same source.
// - A certificate is only put into use when every namespace that has a pair trusts its CA.
import TLS

public struct SecretPlanner: Sendable {
    public let settings: KubernetesSettings
    public let state: ClusterState
    /// Seconds since 1970.
    public let now: Int64
    /// A renewal is asked for, whatever there is.
    public let isForced: Bool
    /// What each namespace holds.
    private let sets: [String: CertificateSet]

    public init(settings: KubernetesSettings, state: ClusterState, now: Int64, isForced: Bool = false) {
        self.settings = settings
        self.state = state
        self.now = now
        self.isForced = isForced
        sets = SecretPlanner.read(state)
    }

    /// Namespaces mostly hold the same, and keys take a millisecond to read: what is equal is read once.
    private static func read(_ state: ClusterState) -> [String: CertificateSet] {
        var known: [[[String: [UInt8]]?]: CertificateSet] = [:]
        var result: [String: CertificateSet] = [:]
        for namespace in state.namespaces {
            let items = [state[namespace, .certificates]?.items, state[namespace, .keys]?.items]
            let set = known[items] ?? state.contents(namespace)
            known[items] = set
            result[namespace] = set
        }
        return result
    }

    public func plan() -> SecretPlan {
        var plan = SecretPlan()
        judgeForeignNamespaces(&plan)
        if !state.isWritable(state.home) {
            followForeignHome(&plan)
        } else if let renewal = state[state.home, .renewal], !renewal.isOwned {
            let text =
                "bears no label \(SecretMark.ownerLabel)=\(SecretMark.owner); nothing is issued while it is there"
            plan.problems.append(
                SecretProblem(reference: SecretReference(state.home, .renewal), texts: [text], isFatal: true))
        } else if !isForced, let renewal = state[state.home, .renewal], stage(renewal) != .idle {
            carryOn(renewal, &plan)
        } else {
            keep(&plan)
        }
        return plan
    }

    // MARK: Between renewals

    var homeSet: CertificateSet { contents(state.home) }

    func contents(_ namespace: String) -> CertificateSet { sets[namespace] ?? state.contents(namespace) }

    func findings(_ set: CertificateSet) -> CertificateSet.Findings {
        set.findings(
            names: settings.policy.alternativeNames, renewBefore: settings.renewBeforeSeconds, now: now)
    }

    /// Namespaces whose Secrets are ours or not there yet.
    var members: [String] { state.namespaces.filter(state.isWritable) }

    private func keep(_ plan: inout SecretPlan) {
        let home = homeSet
        let findings = findings(home)
        if isForced { return order(["a renewal was asked for"], home, &plan) }
        guard findings.isGood else {
            // Another namespace may still have what was lost here: then no trust has to change.
            for namespace in members.dropFirst() where canRestore(home, findings, from: contents(namespace)) {
                let reason = "restored from namespace \(namespace): \(findings.all.joined(separator: "; "))"
                return converge(state.home, to: model(namespace), SecretNote("Restored", [reason]), &plan)
            }
            return order(findings.all, home, &plan)
        }
        if let defect = dhDefect(home) {
            plan.actions.append(.makeDHParameters(SecretNote("DHParametersMade", [defect])))
            return
        }
        for namespace in members.dropFirst() {
            converge(namespace, to: model(state.home), SecretNote("Copied", []), &plan)
        }
        // The home Secrets' own annotations, which a restore by hand may have lost.
        converge(state.home, to: model(state.home), SecretNote("Marked", ["the annotations were incomplete"]), &plan)
        guard plan.actions.isEmpty else { return }
        dropOldAuthority(home, &plan)
        if plan.actions.isEmpty { tidyAuthorityKey(home, &plan) }
    }

    /// A pair of another CA replaces ours only where ours is of no use.
    private func canRestore(
        _ home: CertificateSet, _ homeFindings: CertificateSet.Findings, from other: CertificateSet
    ) -> Bool {
        guard findings(other).isGood else { return false }
        return !homeFindings.faults.isEmpty
            || CertificateSet.signer(of: other.chain, among: home.authorities) != nil
    }

    func dhDefect(_ set: CertificateSet) -> String? {
        if let defect = set.dhDefect { return defect }
        guard let bits = set.dhBits, bits < settings.dhParameters.bits else { return nil }
        return "\(SecretItem.dhParameters) has \(bits) bits, fewer than \(settings.dhParameters.bits)"
    }

    private func dropOldAuthority(_ home: CertificateSet, _ plan: inout SecretPlan) {
        guard let until = state[state.home, .certificates]?.annotations[SecretMark.trustUntil],
            let signer = home.signer
        else { return }
        // A time that cannot be read is one that somebody has spoilt: the overlap begins again.
        let end = Timestamp.seconds(until)
        var write = SecretWrite(
            SecretReference(state.home, .certificates),
            SecretNote("OldAuthorityDropped", ["the overlap with the earlier CA is over"]))
        if let end, now < end {
            plan.remarks.append("an earlier CA stays trusted until \(until)")
            return
        } else if end == nil {
            write.note = SecretNote("OverlapRestarted", ["the end of the overlap could not be read"])
            write.annotations[SecretMark.trustUntil] = Timestamp.text(now + settings.overlapSeconds)
        } else {
            write.items[SecretItem.authority] = signer.pem()
            write.annotations[SecretMark.trustUntil] = .some(nil)
        }
        plan.actions.append(.write(write))
    }

    /// The CA's key stays only where the settings want it, and only the one of the present CA.
    private func tidyAuthorityKey(_ home: CertificateSet, _ plan: inout SecretPlan) {
        let reference = SecretReference(state.home, .authorityKey)
        guard let secret = state[state.home, .authorityKey] else {
            if settings.keepsAuthorityKey {
                plan.remarks.append("the present CA's key was not kept; the next renewal makes a CA whose key is")
            }
            return
        }
        guard secret.isOwned, !settings.keepsAuthorityKey else { return }
        plan.actions.append(.delete(reference, SecretNote("AuthorityKeyDeleted", ["keepCAKey is off"])))
    }

    // MARK: Copies

    /// What a namespace is to hold.
    struct Model {
        var authority: [UInt8]
        var certificate: [UInt8]
        var key: [UInt8]
        var dhParameters: [UInt8]?
        var pair: String
        var trustUntil: String?
        /// For reasons.
        var source: String
    }

    func model(_ namespace: String) -> Model {
        let certificates = state[namespace, .certificates]
        return Model(
            authority: certificates?.items[SecretItem.authority] ?? [],
            certificate: certificates?.items[SecretItem.certificate] ?? [],
            key: state[namespace, .keys]?.items[SecretItem.key] ?? [],
            dhParameters: certificates?.items[SecretItem.dhParameters],
            pair: contents(namespace).leaf?.fingerprint ?? "",
            trustUntil: certificates?.annotations[SecretMark.trustUntil], source: "namespace \(namespace)")
    }

    /// Plans the writes that make a namespace's Secrets hold `model`: first the key, then the certificate.
    ///
    /// - Parameter note: its reasons, or without any what differs.
    func converge(_ namespace: String, to model: Model, _ note: SecretNote, _ plan: inout SecretPlan) {
        func write(_ kind: SecretKind, _ items: [(String, [UInt8]?)], _ annotations: [String: String?]) {
            let secret = state[namespace, kind]
            let wrong = items.filter { $0.1 != nil && secret?.items[$0.0] != $0.1 }
            let isMarked = annotations.allSatisfy { secret?.annotations[$0.key] == $0.value }
            guard !wrong.isEmpty || !isMarked else { return }
            var reasons = note.reasons
            if reasons.isEmpty {
                if secret == nil {
                    reasons = ["\(kind.name) is missing"]
                } else if wrong.isEmpty {
                    reasons = ["the annotations are not those of \(model.source)"]
                } else {
                    reasons = wrong.map { name, _ in
                        secret?.items[name] == nil
                            ? "\(name) is missing" : "\(name) is not that of \(model.source)"
                    }
                }
            }
            var write = SecretWrite(SecretReference(namespace, kind), SecretNote(note.event, reasons))
            for (name, bytes) in wrong { write.items[name] = bytes }
            write.annotations = annotations
            plan.actions.append(.write(write))
        }
        write(.keys, [(SecretItem.key, model.key)], [SecretMark.pair: model.pair])
        write(
            .certificates,
            [
                (SecretItem.authority, model.authority), (SecretItem.certificate, model.certificate),
                (SecretItem.dhParameters, model.dhParameters),
            ],
            [SecretMark.pair: model.pair, SecretMark.trustUntil: model.trustUntil])
    }
}
