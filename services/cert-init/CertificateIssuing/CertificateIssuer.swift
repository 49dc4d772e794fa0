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
    ///
    /// - Parameter taken: subjects of authorities that are trusted beside it. Its own must differ, because a verifier finds the
    ///   issuer of a version 1 certificate by name alone: then a number is put behind the common name.
    public static func makeAuthority(
        _ policy: IssuingPolicy, now: Int64, avoiding taken: Set<String> = []
    ) throws(TLSError) -> IssuedPair {
        let key = try PrivateKey.generate(policy.keyAlgorithm)
        var template = policy.authority(now: now)
        let subject = template.subject
        for number in 2...taken.count + 2 {
            let certificate = try Certificate.issue(template, key: key)
            if !taken.contains(certificate.summary.subject) { return IssuedPair(certificate: certificate, key: key) }
            template.subject = subject
            if let index = subject.lastIndex(where: { $0.attribute == "CN" }) {
                template.subject[index].value += " \(number)"
            } else {
                template.subject.append(("CN", "\(number)"))
            }
        }
        throw TLSError(.badSetting, "no subject is left for the new CA")
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
