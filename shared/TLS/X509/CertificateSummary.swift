import COpenSSL
import Glibc

/// What a person or a metric wants to know of a certificate.
public struct CertificateSummary: Equatable, Sendable {
    /// RFC 2253 order as OpenSSL prints it in one line: `O=Redis Test, CN=Server`.
    public let subject: String
    public let issuer: String
    /// The last CN of the subject, or empty.
    public let commonName: String
    /// Alternative names: DNS names and addresses in text form, in the certificate's order. Others are left out.
    public let alternativeNames: [String]
    /// Seconds since 1970.
    public let notBefore: Int64
    public let notAfter: Int64
    /// Upper-case hexadecimal.
    public let serial: String
    public let isAuthority: Bool
    /// For example `RSA 4096` or `EC P-256`.
    public let keyDescription: String
    /// For example `RSA-SHA384`.
    public let signatureAlgorithm: String

    /// Whole days until the certificate expires, rounded down; negative once it has.
    public func daysLeft(now: Int64) -> Int64 {
        let seconds = notAfter - now
        return seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400)
    }

    public func isValid(at now: Int64) -> Bool { notBefore <= now && now <= notAfter }
}

extension CertificateSummary {
    /// Reads the fields of `certificate`, which stays the caller's.
    init(_ certificate: OpaquePointer) {
        subject = Self.oneLine(X509_get_subject_name(certificate))
        issuer = Self.oneLine(X509_get_issuer_name(certificate))
        commonName = Self.commonName(X509_get_subject_name(certificate))
        alternativeNames = Self.alternativeNames(certificate)
        notBefore = Self.unixSeconds(X509_get0_notBefore(certificate))
        notAfter = Self.unixSeconds(X509_get0_notAfter(certificate))
        serial = Self.hexadecimal(X509_get0_serialNumber(certificate))
        isAuthority = X509_check_ca(certificate) == 1
        keyDescription = PrivateKey.describe(X509_get0_pubkey(certificate))
        signatureAlgorithm = OBJ_nid2ln(X509_get_signature_nid(certificate)).map(Self.signatureName) ?? "unknown"
        ErrorQueue.clear()
    }

    private static func signatureName(_ text: UnsafePointer<CChar>) -> String {
        switch String(cString: text) {
        case "sha256WithRSAEncryption": "RSA-SHA256"
        case "sha384WithRSAEncryption": "RSA-SHA384"
        case "sha512WithRSAEncryption": "RSA-SHA512"
        case let other: other.hasPrefix("ecdsa-with-") ? "ECDSA-" + other.dropFirst(11) : other
        }
    }

    static func oneLine(_ name: OpaquePointer?) -> String {
        guard let name else { return "" }
        let flags = UInt(XN_FLAG_SEP_CPLUS_SPC | ASN1_STRFLGS_UTF8_CONVERT | ASN1_STRFLGS_ESC_CTRL)
        let bytes = PEMFile.collect { X509_NAME_print_ex($0, name, 0, flags) >= 0 } ?? []
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func commonName(_ name: OpaquePointer?) -> String {
        var index: Int32 = -1
        var last: Int32 = -1
        while true {
            index = X509_NAME_get_index_by_NID(name, NID_commonName, index)
            if index < 0 { break }
            last = index
        }
        guard last >= 0, let entry = X509_NAME_get_entry(name, last), let data = X509_NAME_ENTRY_get_data(entry)
        else { return "" }
        var text: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&text, data)
        guard count >= 0, let text else { return "" }
        defer { CRYPTO_free(text, "", 0) }
        return String(decoding: UnsafeBufferPointer(start: text, count: Int(count)), as: UTF8.self)
    }

    /// DNS names and addresses of the certificate.
    static func alternativeNames(_ certificate: OpaquePointer) -> [String] {
        guard let names = co_alternative_names(certificate) else { return [] }
        defer { GENERAL_NAMES_free(names) }
        var result: [String] = []
        for index in 0..<co_names_count(names) {
            var bytes: UnsafePointer<UInt8>?
            var count: Int32 = 0
            let type = co_name_at(names, index, &bytes, &count)
            guard let bytes, count >= 0 else { continue }
            if type == GEN_DNS {
                result.append(String(decoding: UnsafeBufferPointer(start: bytes, count: Int(count)), as: UTF8.self))
            } else if type == GEN_IPADD {
                var text = [CChar](repeating: 0, count: 64)
                let family = count == 4 ? AF_INET : AF_INET6
                guard count == 4 || count == 16, inet_ntop(family, bytes, &text, 64) != nil else { continue }
                result.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
        }
        return result
    }

    private static func unixSeconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
        var parts = tm()
        guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
        return Int64(timegm(&parts))
    }

    private static func hexadecimal(_ serial: UnsafePointer<ASN1_INTEGER>?) -> String {
        guard let number = ASN1_INTEGER_to_BN(serial, nil) else { return "" }
        defer { BN_free(number) }
        guard let text = BN_bn2hex(number) else { return "" }
        defer { CRYPTO_free(text, "", 0) }
        return String(cString: text)
    }
}
