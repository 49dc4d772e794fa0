import COpenSSL
import Glibc

/// What a new certificate shall say. Policy (which names, how long) is the caller's.
public struct CertificateTemplate: Sendable {
    public enum Kind: Sendable {
        /// X.509 v1 without any extension, as `openssl x509 -req` makes it without an extension file.
        case bareLeaf
        /// v3 end entity for both server and client authentication.
        case leaf
        /// v3 self-signed authority as `openssl req -x509` makes it: key identifiers and basic constraints only.
        case plainAuthority
        /// v3 authority with key usage and path length 0 besides.
        case authority
    }

    public var kind: Kind
    /// Attribute and value in order, for example `("O", "Redis Test")`.
    public var subject: [(attribute: String, value: String)]
    /// DNS names and addresses; an address is recognised by its form.
    public var alternativeNames: [String]
    /// Seconds since 1970.
    public var notBefore: Int64
    public var notAfter: Int64

    public init(
        kind: Kind, subject: [(attribute: String, value: String)], alternativeNames: [String] = [], notBefore: Int64,
        notAfter: Int64
    ) {
        self.kind = kind
        self.subject = subject
        self.alternativeNames = alternativeNames
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    public static func isAddress(_ name: String) -> Bool {
        var storage = in6_addr()
        return inet_pton(AF_INET, name, &storage) == 1 || inet_pton(AF_INET6, name, &storage) == 1
    }
}

extension Certificate {
    /// Issues a certificate for `key`, signed with SHA-384 by `issuer`, or self-signed without one.
    /// The serial number is random, 159 bits.
    public static func issue(
        _ template: CertificateTemplate, key: PrivateKey, issuer: (certificate: Certificate, key: PrivateKey)? = nil
    ) throws(TLSError) -> Certificate {
        guard let x509 = X509_new() else { throw TLSError(.library, "out of memory") }
        let certificate = Certificate(owning: x509)
        let isVersion1 = template.kind == .bareLeaf
        try check(X509_set_version(x509, isVersion1 ? 0 : 2))
        try setRandomSerial(x509)
        try setSubject(template.subject, of: x509)
        try check(
            X509_set_issuer_name(x509, X509_get_subject_name(issuer.map { $0.certificate.x509 } ?? x509)))
        guard ASN1_TIME_set(X509_getm_notBefore(x509), time_t(template.notBefore)) != nil,
            ASN1_TIME_set(X509_getm_notAfter(x509), time_t(template.notAfter)) != nil
        else { throw TLSError(.badSetting, "a validity that a certificate cannot express") }
        try check(X509_set_pubkey(x509, key.key))
        try addExtensions(template, to: x509, issuer: issuer?.certificate.x509 ?? x509)
        guard X509_sign(x509, issuer?.key.key ?? key.key, EVP_sha384()) > 0 else { throw refused() }
        ErrorQueue.clear()
        return certificate
    }

    private static func refused() -> TLSError {
        TLSError(.library, "cannot issue the certificate: \(ErrorQueue.take(or: "unknown reason"))")
    }

    private static func check(_ result: Int32) throws(TLSError) {
        guard result == 1 else { throw refused() }
    }

    private static func setRandomSerial(_ x509: OpaquePointer) throws(TLSError) {
        guard let number = BN_new() else { throw refused() }
        defer { BN_free(number) }
        try check(BN_rand(number, 159, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY))
        guard BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nil else { throw refused() }
    }

    private static func setSubject(
        _ subject: [(attribute: String, value: String)], of x509: OpaquePointer
    ) throws(TLSError) {
        let name = X509_get_subject_name(x509)
        for (attribute, value) in subject {
            let bytes = Array(value.utf8)
            guard X509_NAME_add_entry_by_txt(name, attribute, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0) == 1
            else {
                let reason = ErrorQueue.take(or: "refused")
                throw TLSError(.badSetting, "subject \(attribute)=\(value): \(reason)")
            }
        }
    }

    private static func addExtensions(
        _ template: CertificateTemplate, to x509: OpaquePointer, issuer: OpaquePointer
    ) throws(TLSError) {
        var extensions: [(Int32, String)] = []
        switch template.kind {
        case .bareLeaf: return
        case .plainAuthority: break
        case .authority:
            extensions.append((NID_basic_constraints, "critical,CA:TRUE,pathlen:0"))
            extensions.append((NID_key_usage, "critical,keyCertSign,cRLSign"))
        case .leaf:
            extensions.append((NID_basic_constraints, "critical,CA:FALSE"))
            extensions.append((NID_key_usage, "critical,digitalSignature,keyEncipherment"))
            extensions.append((NID_ext_key_usage, "serverAuth,clientAuth"))
        }
        if !template.alternativeNames.isEmpty {
            for name in template.alternativeNames where !isPlainName(name) {
                throw TLSError(.badSetting, "'\(name)' is neither a DNS name nor an address")
            }
            let names = template.alternativeNames.map { (CertificateTemplate.isAddress($0) ? "IP:" : "DNS:") + $0 }
            extensions.append((NID_subject_alt_name, names.joined(separator: ",")))
        }
        extensions.append((NID_subject_key_identifier, "hash"))
        extensions.append((NID_authority_key_identifier, "keyid:always"))
        // In the order of OpenSSL's own configuration.
        if template.kind == .plainAuthority { extensions.append((NID_basic_constraints, "critical,CA:TRUE")) }
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, issuer, x509, nil, nil, 0)
        for (nid, value) in extensions {
            guard let item = X509V3_EXT_conf_nid(nil, &context, nid, value) else { throw refused() }
            defer { X509_EXTENSION_free(item) }
            try check(X509_add_ext(x509, item, -1))
        }
    }

    /// Letters, digits and `.-_*:` only: nothing that OpenSSL's extension syntax would read as its own.
    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 253
            && name.utf8.allSatisfy { byte in
                (byte | 0x20) &- 97 < 26 || byte &- 48 < 10 || ".-_*:".utf8.contains(byte)
            }
            && (CertificateTemplate.isAddress(name) || !name.contains(":"))
    }
}
