import TLS

/// A certificate with its key.
public struct IssuedPair: Sendable {
    public let certificate: Certificate
    public let key: PrivateKey

    public init(certificate: Certificate, key: PrivateKey) {
        self.certificate = certificate
        self.key = key
    }
}

public enum CertificateIssuer {
    /// A new authority as `policy` describes it.
    public static func makeAuthority(_ policy: IssuingPolicy, now: Int64) throws(TLSError) -> IssuedPair {
        let key = try PrivateKey.generate(policy.keyAlgorithm)
        return IssuedPair(certificate: try Certificate.issue(policy.authority(now: now), key: key), key: key)
    }

    /// A new leaf as `policy` describes it, signed by `authority`.
    public static func makeLeaf(
        _ policy: IssuingPolicy, authority: IssuedPair, now: Int64
    ) throws(TLSError) -> IssuedPair {
        let template = policy.leaf(now: now, authorityNotAfter: authority.certificate.summary.notAfter)
        guard template.notBefore < template.notAfter else {
            throw TLSError(.badSetting, "the certificate would end before it starts")
        }
        let key = try PrivateKey.generate(policy.keyAlgorithm)
        let issuer = (certificate: authority.certificate, key: authority.key)
        return IssuedPair(certificate: try Certificate.issue(template, key: key, issuer: issuer), key: key)
    }
}
