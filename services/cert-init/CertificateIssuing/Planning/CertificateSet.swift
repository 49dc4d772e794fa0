import TLS

/// What the two Secrets of a namespace hold, read and judged.
struct CertificateSet: Sendable {
    /// In the order of `dssm-ca.crt`.
    private(set) var authorities: [Certificate] = []
    /// The certificate, then intermediate ones if there are any.
    private(set) var chain: [Certificate] = []
    private(set) var key: PrivateKey?
    private(set) var dhBits: Int?
    /// Items that are missing or cannot be read.
    private(set) var defects: [String] = []
    /// Of the parameters alone: they can be replaced without touching the pair.
    private(set) var dhDefect: String?

    var leaf: Certificate? { chain.first }

    /// - Parameter keys: nil, like `certificates`: there is no such Secret.
    init(certificates: SecretState?, keys: SecretState?) {
        let authorityPEM = item(certificates, .certificates, SecretItem.authority)
        authorities =
            read(authorityPEM) { (pem) throws(TLSError) in
                try Certificate.parseAll(pem: pem, name: SecretItem.authority)
            } ?? []
        let certificatePEM = item(certificates, .certificates, SecretItem.certificate)
        chain =
            read(certificatePEM) { (pem) throws(TLSError) in
                try Certificate.parseAll(pem: pem, name: SecretItem.certificate)
            } ?? []
        let keyPEM = item(keys, .keys, SecretItem.key)
        key = read(keyPEM) { (pem) throws(TLSError) in try PrivateKey.parse(pem: pem, name: SecretItem.key) }
        guard let dhPEM = certificates?.items[SecretItem.dhParameters], !dhPEM.isEmpty else {
            dhDefect = "\(SecretItem.dhParameters) is missing"
            return
        }
        do throws(TLSError) {
            dhBits = try DHParameters.bits(pem: dhPEM, name: SecretItem.dhParameters)
        } catch { dhDefect = error.message }
    }

    /// Of one Secret that holds everything.
    init(all secret: SecretState) { self.init(certificates: secret, keys: secret) }

    private mutating func item(_ secret: SecretState?, _ kind: SecretKind, _ name: String) -> [UInt8]? {
        guard let secret else {
            let text = "\(kind.name) is missing"
            if defects.last != text { defects.append(text) }
            return nil
        }
        guard let bytes = secret.items[name], !bytes.isEmpty else {
            defects.append("\(name) is missing in \(kind.name)")
            return nil
        }
        return bytes
    }

    private mutating func read<Value>(
        _ pem: [UInt8]?, _ body: ([UInt8]) throws(TLSError) -> Value
    ) -> Value? {
        guard let pem else { return nil }
        do throws(TLSError) { return try body(pem) } catch {
            defects.append(error.message)
            return nil
        }
    }

    /// The authority of the bundle that signed the certificate, if need be through intermediate ones.
    var signer: Certificate? { Self.signer(of: chain, among: authorities) }

    static func signer(of chain: [Certificate], among authorities: [Certificate]) -> Certificate? {
        guard var last = chain.first else { return nil }
        for next in chain.dropFirst() {
            if let signer = authorities.first(where: { last.isSigned(by: $0) }) { return signer }
            guard last.isSigned(by: next) else { return nil }
            last = next
        }
        return authorities.first { last.isSigned(by: $0) }
    }

    /// What makes a pair useless, and what makes it due for renewal.
    struct Findings: Equatable {
        /// No TLS link can be made with it.
        var faults: [String] = []
        /// It works, but not for long or not for everything.
        var dues: [String] = []

        var all: [String] { faults + dues }
        var isGood: Bool { faults.isEmpty && dues.isEmpty }
    }

    /// - Parameter names: that the certificate has to have.
    func findings(names: [String], renewBefore: Int64?, now: Int64) -> Findings {
        var result = Findings(faults: defects)
        if let leaf, let key, !leaf.matches(key) {
            result.faults.append("the key in \(SecretItem.key) does not belong to the certificate")
        }
        if let leaf = leaf?.summary {
            Self.judge(leaf, "the certificate", renewBefore, now, &result)
            let present = Set(leaf.alternativeNames)
            let missing = names.filter { !present.contains($0) }
            if !missing.isEmpty {
                let shown = missing.prefix(3).joined(separator: ", ") + (missing.count > 3 ? ", ..." : "")
                result.dues.append("the certificate lacks \(missing.count) of its \(names.count) names (\(shown))")
            }
        }
        if leaf != nil, !authorities.isEmpty {
            if let signer = signer?.summary {
                Self.judge(signer, "the CA", renewBefore, now, &result)
            } else {
                result.faults.append("the certificate is not signed by a CA in \(SecretItem.authority)")
            }
        }
        return result
    }

    private static func judge(
        _ certificate: CertificateSummary, _ name: String, _ renewBefore: Int64?, _ now: Int64,
        _ result: inout Findings
    ) {
        if certificate.notAfter < now {
            result.faults.append("\(name) has expired")
        } else if certificate.notBefore > now + IssuingPolicy.clockSkewSeconds {
            result.faults.append("\(name) is not valid yet")
        } else if Renewal.isDue(certificate, renewBefore: renewBefore, now: now) {
            result.dues.append("\(name) expires in \(certificate.daysLeft(now: now)) days")
        }
    }
}

/// When a certificate is to be replaced.
enum Renewal {
    /// - Parameter renewBefore: seconds before the end; nil: a third of the certificate's life. At most nine tenths of the life,
    ///   else a new certificate would be due at once.
    static func isDue(_ certificate: CertificateSummary, renewBefore: Int64?, now: Int64) -> Bool {
        let life = certificate.notAfter - certificate.notBefore
        let margin = renewBefore.map { min($0, life / 10 * 9) } ?? life / 3
        return certificate.notAfter - now < margin
    }
}
