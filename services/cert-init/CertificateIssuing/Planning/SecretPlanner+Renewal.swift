import TLS

extension SecretPlanner {
    func stage(_ renewal: SecretState) -> RenewalStage {
        renewal.annotations[SecretMark.stage].flatMap(RenewalStage.init) ?? .idle
    }

    /// Authorities that stay trusted beside a new one, where not more are in use: enough for a few renewals in one overlap.
    static let mostTrusted = 4

    // MARK: Begin

    /// Orders new material.
    func order(_ reasons: [String], _ home: CertificateSet, _ plan: inout SecretPlan) {
        let sets = members.map(contents)
        var trusted: [Certificate] = []
        var seen: Set<String> = []
        func trust(_ authority: Certificate) {
            guard authority.summary.notAfter >= now, seen.insert(authority.fingerprint).inserted else { return }
            trusted.append(authority)
        }
        // Those in use must not fall to the limit.
        sets.compactMap(\.signer).forEach(trust)
        let most = max(trusted.count, Self.mostTrusted)
        sets.flatMap(\.authorities).forEach(trust)
        let isDHGood = dhDefect(home) == nil
        let certificates = state[state.home, .certificates]
        let signer = signer(home, trusted)
        plan.actions.append(
            .issue(
                IssueOrder(
                    reasons: reasons, signer: signer, trusted: Array(trusted.prefix(most)),
                    dhParameters: isDHGood ? certificates?.items[SecretItem.dhParameters] : nil,
                    trustUntil: signer == nil ? nil : certificates?.annotations[SecretMark.trustUntil])))
    }

    /// The present authority with its key, if the key is kept, fits and the authority lasts.
    private func signer(_ home: CertificateSet, _ trusted: [Certificate]) -> IssuedPair? {
        guard !isForced, settings.keepsAuthorityKey, let secret = state[state.home, .authorityKey], secret.isOwned,
            let pem = secret.items[SecretItem.authorityKey],
            let key = try? PrivateKey.parse(pem: pem, name: SecretItem.authorityKey),
            let authority = trusted.first(where: { $0.matches(key) })
        else { return nil }
        let summary = authority.summary
        guard summary.isAuthority, summary.isValid(at: now),
            !Renewal.isDue(summary, renewBefore: settings.renewBeforeSeconds, now: now)
        else { return nil }
        return IssuedPair(certificate: authority, key: key)
    }

    // MARK: Go on

    /// The next step of a renewal that is under way.
    func carryOn(_ renewal: SecretState, _ plan: inout SecretPlan) {
        let material = CertificateSet(all: renewal)
        let faults = material.findings(names: [], renewBefore: nil, now: now).faults
        guard faults.isEmpty, material.dhDefect == nil, let pair = material.leaf?.fingerprint else {
            let text = faults.isEmpty ? material.dhDefect ?? "" : faults.joined(separator: "; ")
            return order(["the renewal under way cannot be used: \(text)"], homeSet, &plan)
        }
        switch stage(renewal) {
        case .publishing: publish(renewal, &plan)
        case .leaves: putIntoUse(renewal, pair, &plan)
        case .idle: break
        }
    }

    private func publish(_ renewal: SecretState, _ plan: inout SecretPlan) {
        let bundle = renewal.items[SecretItem.authority] ?? []
        for namespace in members {
            // Where there is nothing in use there is nobody to tell: such a namespace gets all in the next stage.
            guard let certificates = state[namespace, .certificates],
                certificates.items[SecretItem.authority] != bundle
            else { continue }
            var write = SecretWrite(
                SecretReference(namespace, .certificates),
                SecretNote("AuthorityPublished", ["a new CA is trusted beside the present one"]))
            write.items[SecretItem.authority] = bundle
            plan.actions.append(.write(write))
        }
        guard plan.actions.isEmpty else { return }
        var write = SecretWrite(
            SecretReference(state.home, .renewal), SecretNote("RenewalGoesOn", ["all namespaces trust the new CA"]))
        if settings.propagationDelaySeconds > 0 {
            guard let since = renewal.annotations[SecretMark.publishedAt].flatMap(Timestamp.seconds) else {
                write.annotations[SecretMark.publishedAt] = Timestamp.text(now)
                plan.actions.append(.write(write))
                return
            }
            let end = since + settings.propagationDelaySeconds
            guard now >= end else {
                plan.waitUntil = end
                plan.remarks.append("the new CA is published; certificates follow from \(Timestamp.text(end)) on")
                return
            }
        }
        write.annotations[SecretMark.stage] = RenewalStage.leaves.rawValue
        write.annotations[SecretMark.trustUntil] = Timestamp.text(now + settings.overlapSeconds)
        plan.actions.append(.write(write))
    }

    private func putIntoUse(_ renewal: SecretState, _ pair: String, _ plan: inout SecretPlan) {
        let model = Model(
            authority: renewal.items[SecretItem.authority] ?? [],
            certificate: renewal.items[SecretItem.certificate] ?? [], key: renewal.items[SecretItem.key] ?? [],
            dhParameters: renewal.items[SecretItem.dhParameters], pair: pair,
            trustUntil: renewal.annotations[SecretMark.trustUntil], source: "the renewal")
        let reason = renewal.annotations[SecretMark.reason] ?? "a renewal was begun"
        for namespace in members {
            let isFirst = state[namespace, .certificates] == nil && state[namespace, .keys] == nil
            converge(namespace, to: model, SecretNote(isFirst ? "Issued" : "Renewed", [reason]), &plan)
        }
        if settings.keepsAuthorityKey, let key = renewal.items[SecretItem.authorityKey] {
            let present = state[state.home, .authorityKey]
            if present?.isOwned == false {
                plan.remarks.append(
                    "\(SecretKind.authorityKey.name) was not made by \(SecretMark.owner): the CA's key is not kept")
            } else if present?.items[SecretItem.authorityKey] != key {
                var write = SecretWrite(
                    SecretReference(state.home, .authorityKey), SecretNote("AuthorityKeyKept", ["keepCAKey is on"]))
                write.items[SecretItem.authorityKey] = key
                plan.actions.append(.write(write))
            }
        }
        guard plan.actions.isEmpty else { return }
        plan.actions.append(.write(Self.clearing(renewal, state.home, "all namespaces have the new pair")))
    }

    /// Empties the renewal Secret. It stays, because its version is what orders renewals.
    static func clearing(_ renewal: SecretState, _ home: String, _ reason: String) -> SecretWrite {
        var write = SecretWrite(SecretReference(home, .renewal), SecretNote("RenewalDone", [reason]))
        write.removedItems = renewal.items.keys.sorted()
        write.annotations = [
            SecretMark.stage: RenewalStage.idle.rawValue, SecretMark.publishedAt: nil, SecretMark.trustUntil: nil,
            SecretMark.reason: nil,
        ]
        return write
    }
}
