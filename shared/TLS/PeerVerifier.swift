// Verification of the peer's certificate: OpenSSL's chain check, and two things on top.
//
// 1. Several CAs with one subject. While a CA is replaced, the old and the new one are trusted together, and the
//    published procedure gives both the same subject and leaves without key identifiers. OpenSSL then takes the first CA
//    of that name, finds the signature wrong and gives up. So where a subject occurs more than once, we keep alternative
//    stores, each with another member of every such group, and try them after a failed signature.
// 2. The name that a client connects to is checked only if the certificate has alternative names: the published
//    procedure issues certificates with subject CN=Server for every host and without any.
import COpenSSL

final class PeerVerifier: @unchecked Sendable {
    // @unchecked Sendable: constants after init; X509_STORE is shared under its own lock.
    private let alternatives: [OpaquePointer]
    private let purpose: String

    /// More CAs of one name than this are not tried one by one.
    private static let maximumAlternatives = 8

    init(role: TLSSettings.Role, authorities: [Certificate]) {
        purpose = role == .server ? "ssl_client" : "ssl_server"
        var groups: [[UInt8]: [Certificate]] = [:]
        for authority in authorities { groups[Self.encodedSubject(authority), default: []].append(authority) }
        let largest = min(groups.values.map(\.count).max() ?? 0, Self.maximumAlternatives)
        guard largest > 1 else {
            alternatives = []
            return
        }
        alternatives = (0..<largest).compactMap { index in
            guard let store = X509_STORE_new() else { return nil }
            for group in groups.values { X509_STORE_add_cert(store, group[index % group.count].x509) }
            return store
        }
    }

    deinit { for store in alternatives { X509_STORE_free(store) } }

    private static func encodedSubject(_ certificate: Certificate) -> [UInt8] {
        var bytes: UnsafePointer<UInt8>?
        var count = 0
        guard X509_NAME_get0_der(X509_get_subject_name(certificate.x509), &bytes, &count) == 1, let bytes
        else { return [] }
        return [UInt8](UnsafeBufferPointer(start: bytes, count: count))
    }

    static let callback: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { check, argument in
        guard let check, let argument else { return 0 }
        return Unmanaged<PeerVerifier>.fromOpaque(argument).takeUnretainedValue().verify(check) ? 1 : 0
    }

    private func verify(_ check: OpaquePointer) -> Bool {
        var isGood = X509_verify_cert(check) == 1
        if !isGood && X509_STORE_CTX_get_error(check) == X509_V_ERR_CERT_SIGNATURE_FAILURE {
            isGood = tryAlternatives(check)
        }
        ErrorQueue.clear()
        let session = Self.session(check)
        if isGood, let name = session?.state.pointee.serverName, !Self.isNameAcceptable(name, check) {
            X509_STORE_CTX_set_error(check, X509_V_ERR_HOSTNAME_MISMATCH)
            isGood = false
        }
        if !isGood {
            let culprit = X509_STORE_CTX_get_current_cert(check) ?? X509_STORE_CTX_get0_cert(check)
            session?.state.pointee.refusedSubject = culprit.map { certificate in
                String(CertificateSummary.oneLine(X509_get_subject_name(certificate)).prefix(200))
            }
        }
        ErrorQueue.clear()
        return isGood
    }

    private func tryAlternatives(_ check: OpaquePointer) -> Bool {
        let level = X509_VERIFY_PARAM_get_auth_level(X509_STORE_CTX_get0_param(check))
        for store in alternatives {
            guard let retry = X509_STORE_CTX_new() else { return false }
            defer { X509_STORE_CTX_free(retry) }
            let leaf = X509_STORE_CTX_get0_cert(check)
            guard X509_STORE_CTX_init(retry, store, leaf, X509_STORE_CTX_get0_untrusted(check)) == 1,
                X509_STORE_CTX_set_default(retry, purpose) == 1
            else { return false }
            X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(retry), level)
            if X509_verify_cert(retry) == 1 {
                X509_STORE_CTX_set_error(check, X509_V_OK)
                return true
            }
            // Another CA's verdict (an expired certificate, say) tells more than "the signature is wrong".
            let error = X509_STORE_CTX_get_error(retry)
            if error != X509_V_ERR_CERT_SIGNATURE_FAILURE { X509_STORE_CTX_set_error(check, error) }
        }
        return false
    }

    private static func session(_ check: OpaquePointer) -> TLSSession? {
        let index = SSL_get_ex_data_X509_STORE_CTX_idx()
        guard let ssl = X509_STORE_CTX_get_ex_data(check, index) else { return nil }
        return MemoryBIO.session(SSL_get_rbio(OpaquePointer(ssl)))
    }

    private static func isNameAcceptable(_ name: String, _ check: OpaquePointer) -> Bool {
        guard let leaf = X509_STORE_CTX_get0_cert(check) else { return false }
        if CertificateSummary.alternativeNames(leaf).isEmpty { return true }
        if CertificateTemplate.isAddress(name) { return X509_check_ip_asc(leaf, name, 0) == 1 }
        let flags = UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)
        return X509_check_host(leaf, name, name.utf8.count, flags, nil) == 1
    }
}
