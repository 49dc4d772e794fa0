import TLS

/// Makes what an order asks for: the only step of a renewal that needs chance.
enum RenewalMaterial {
    /// - Parameters:
    ///   - present: the renewal Secret as it was read.
    ///   - dhParameters: the order's, or new ones.
    /// - Returns: the write that begins the renewal.
    static func make(
        _ order: IssueOrder, settings: KubernetesSettings, home: String, present: SecretState?, now: Int64,
        dhParameters: [UInt8]
    ) throws(TLSError) -> SecretWrite {
        let authority: IssuedPair
        if let signer = order.signer {
            authority = signer
        } else {
            authority = try CertificateIssuer.makeAuthority(
                settings.policy, now: now, avoiding: Set(order.trusted.map(\.summary.subject)))
        }
        let leaf = try CertificateIssuer.makeLeaf(settings.policy, authority: authority, now: now)
        let fingerprint = authority.certificate.fingerprint
        let others = order.trusted.filter { $0.fingerprint != fingerprint }
        let isTrustNew = order.signer == nil && !others.isEmpty
        var write = SecretWrite(
            SecretReference(home, .renewal), SecretNote(isTrustNew ? "RenewalBegun" : "Issuing", order.reasons))
        write.items = [
            SecretItem.authority: ([authority.certificate] + others).flatMap { $0.pem() },
            SecretItem.certificate: leaf.certificate.pem(), SecretItem.key: leaf.key.pem(),
            SecretItem.dhParameters: dhParameters,
        ]
        if settings.keepsAuthorityKey { write.items[SecretItem.authorityKey] = authority.key.pem() }
        // What an unusable renewal has left behind.
        write.removedItems = (present?.items.keys.sorted() ?? []).filter { write.items[$0] == nil }
        write.annotations = [
            SecretMark.stage: (isTrustNew ? RenewalStage.publishing : .leaves).rawValue,
            SecretMark.reason: order.reasons.joined(separator: "; "), SecretMark.publishedAt: nil,
            SecretMark.trustUntil: isTrustNew ? nil : order.trustUntil,
        ]
        return write
    }
}
