import TLS

/// Secrets without our label: judged, explained, never written.
extension SecretPlanner {
    private static let unowned = "not made by \(SecretMark.owner), so left as they are"

    /// The installation's own Secrets are somebody else's: the other namespaces get copies, if they can be used.
    func followForeignHome(_ plan: inout SecretPlan) {
        let home = homeSet
        let findings = findings(home)
        report(state.home, findings, home, &plan)
        if let renewal = state[state.home, .renewal], renewal.isOwned, stage(renewal) != .idle {
            let reason = "the Secrets in \(state.home) were replaced by hand"
            plan.actions.append(.write(Self.clearing(renewal, state.home, reason)))
        }
        guard findings.faults.isEmpty else { return }
        for namespace in members {
            converge(namespace, to: model(state.home), SecretNote("Copied", []), &plan)
        }
    }

    /// Namespaces of TMM where somebody else has made the Secrets: they must work with the installation's.
    func judgeForeignNamespaces(_ plan: inout SecretPlan) {
        let home = homeSet
        for namespace in state.namespaces.dropFirst() where !state.isWritable(namespace) {
            let set = contents(namespace)
            var findings = set.findings(names: [], renewBefore: settings.renewBeforeSeconds, now: now)
            if findings.faults.isEmpty, home.leaf != nil {
                if CertificateSet.signer(of: set.chain, among: home.authorities) == nil {
                    findings.faults.append("its certificate is not signed by a CA that \(state.home) trusts")
                }
                if CertificateSet.signer(of: home.chain, among: set.authorities) == nil {
                    findings.faults.append(
                        "its \(SecretItem.authority) does not trust the certificate of \(state.home)")
                }
            }
            report(namespace, findings, set, &plan)
        }
    }

    private func report(
        _ namespace: String, _ findings: CertificateSet.Findings, _ set: CertificateSet, _ plan: inout SecretPlan
    ) {
        let kinds = [SecretKind.certificates, .keys].filter { state[namespace, $0]?.isOwned == false }
        let names = kinds.map(\.name).joined(separator: " and ")
        plan.remarks.append("\(names) in \(namespace): \(Self.unowned)")
        let dues = findings.dues + [set.dhDefect].compactMap { $0 }
        guard let kind = kinds.first else { return }
        let reference = SecretReference(namespace, kind)
        if !findings.faults.isEmpty {
            plan.problems.append(SecretProblem(reference: reference, texts: findings.faults, isFatal: true))
        }
        if !dues.isEmpty { plan.problems.append(SecretProblem(reference: reference, texts: dues, isFatal: false)) }
    }
}
