// A TLS context: certificate, key, CAs and options, loaded and cross-checked once, then shared by all sessions.
//
// A context never changes. A reload builds a new one and swaps it in for new connections; sessions keep the context that
// they were made with alive. Files are read through our own code rather than OpenSSL's *_file functions, so that an error
// names the file and says what is wrong with it.
import COpenSSL
import Glibc

public final class TLSContext: @unchecked Sendable {
    // @unchecked Sendable: every field is a constant; an SSL_CTX that nobody changes is shared by threads under
    // OpenSSL's own locks (session cache, reference counts).
    let context: OpaquePointer
    private let verifier: PeerVerifier
    public let role: TLSSettings.Role
    public let settings: TLSSettings
    /// The own certificate; nil for a client that presents none.
    public let certificate: CertificateSummary?
    /// The CAs of `caFile`, in its order.
    public let authorities: [CertificateSummary]
    private let isSignedByAuthority: Bool

    /// Loads and checks everything that `settings` names.
    public init(settings: TLSSettings, role: TLSSettings.Role) throws(TLSError) {
        let authorities: [Certificate] = settings.caFile.isEmpty ? [] : try Self.loadCertificates(settings.caFile)
        let identity = try Self.loadIdentity(settings, role)
        let method = role == .server ? TLS_server_method() : TLS_client_method()
        guard let context = SSL_CTX_new_ex(HandshakeLibrary.context, nil, method) else {
            throw TLSError(.library, "cannot make a TLS context: \(ErrorQueue.take(or: "out of memory"))")
        }
        let verifier = PeerVerifier(role: role, authorities: authorities)
        do throws(TLSError) {
            try Self.configure(context, settings, role)
            try Self.use(identity, context)
            try Self.trust(authorities, settings, context)
            // Else OpenSSL looks for issuers, and verifies them, in every handshake. Errors are for `warnings`.
            if identity != nil { _ = co_ctx_build_chain(context) }
            if role == .server { try Self.useDHParameters(settings, context) }
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        // SAFETY: the verifier lives as long as this object, which every session retains.
        SSL_CTX_set_cert_verify_callback(context, PeerVerifier.callback, Unmanaged.passUnretained(verifier).toOpaque())
        ErrorQueue.clear()
        self.context = context
        self.verifier = verifier
        self.role = role
        self.settings = settings
        self.certificate = identity?.chain[0].summary
        self.authorities = authorities.map { $0.summary }
        self.isSignedByAuthority =
            identity.map { identity in
                authorities.contains { authority in identity.chain.contains { $0.isSigned(by: authority) } }
            } ?? true
    }

    deinit { SSL_CTX_free(context) }

    /// What an operator should be told although the context works: an expired or foreign certificate, an expired CA.
    public func warnings(now: Int64) -> [String] {
        var result: [String] = []
        if let certificate {
            let file = settings.identity(role).certificate
            if certificate.notAfter < now { result.append("\(file): the certificate has expired") }
            if certificate.notBefore > now { result.append("\(file): the certificate is not yet valid") }
            if !isSignedByAuthority && !authorities.isEmpty && settings.caDirectory.isEmpty {
                result.append("\(file): not signed by any CA of \(settings.caFile), peers with the same CAs refuse it")
            }
        }
        for authority in authorities where !authority.isValid(at: now) {
            result.append("\(settings.caFile): the CA '\(authority.subject)' has expired or is not yet valid")
        }
        return result
    }
}

extension TLSContext {
    private typealias Identity = (chain: [Certificate], key: PrivateKey, certificateFile: String)

    private static func loadIdentity(_ settings: TLSSettings, _ role: TLSSettings.Role) throws(TLSError) -> Identity? {
        let files = settings.identity(role)
        if files.certificate.isEmpty && files.key.isEmpty {
            if role == .client { return nil }
            throw TLSError(.badSetting, "TLS needs a certificate: tls-cert-file is not set")
        }
        guard !files.certificate.isEmpty else {
            throw TLSError(.badSetting, "a key is set (\(files.key)) but no certificate for it")
        }
        let chain = try loadCertificates(files.certificate)
        // A certificate file may hold its key too.
        let keyFile = files.key.isEmpty ? files.certificate : files.key
        let key = try PrivateKey.load(keyFile, password: files.password)
        guard chain[0].matches(key) else {
            throw TLSError(
                .keyMismatch, "\(keyFile): the key does not belong to the certificate in \(files.certificate)",
                file: keyFile)
        }
        return (chain, key, files.certificate)
    }

    /// A CA whose kind of key TLS does not take stays as it is: it matters only to peers that it signed.
    private static func loadCertificates(_ path: String) throws(TLSError) -> [Certificate] {
        try Certificate.loadAll(path).map { HandshakeLibrary.adopt($0) ?? $0 }
    }

    private static func configure(
        _ context: OpaquePointer, _ settings: TLSSettings, _ role: TLSSettings.Role
    ) throws(TLSError) {
        co_ctx_modes(context)
        let versions = try settings.versions()
        guard co_ctx_versions(context, versions.low, versions.high) == 1 else {
            throw TLSError(.badSetting, "tls-protocols: \(ErrorQueue.take(or: "refused"))")
        }
        co_ctx_server_preference(context, settings.preferServerCiphers ? 1 : 0)
        if !settings.ciphers.isEmpty, SSL_CTX_set_cipher_list(context, settings.ciphers) != 1 {
            throw TLSError(.badSetting, "tls-ciphers: \(ErrorQueue.take(or: "refused"))")
        }
        if !settings.ciphersuites.isEmpty, SSL_CTX_set_ciphersuites(context, settings.ciphersuites) != 1 {
            throw TLSError(.badSetting, "tls-ciphersuites: \(ErrorQueue.take(or: "refused"))")
        }
        let caching = role == .server && settings.sessionCaching
        co_ctx_cache(context, caching ? 1 : 0)
        SSL_CTX_set_num_tickets(context, caching ? max(0, min(settings.sessionTickets, 4)) : 0)
        if caching {
            co_ctx_cache_size(context, max(0, settings.sessionCacheSize))
            SSL_CTX_set_timeout(context, max(1, settings.sessionCacheTimeoutSeconds))
            SSL_CTX_set_session_id_context(context, "dssm", 4)
        } else {
            co_ctx_no_ticket(context)
        }
        SSL_CTX_set_verify(context, verifyMode(settings, role), nil)
    }

    private static func verifyMode(_ settings: TLSSettings, _ role: TLSSettings.Role) -> Int32 {
        if role == .client { return SSL_VERIFY_PEER }
        switch settings.authClients {
        case .yes: return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        case .optional: return SSL_VERIFY_PEER
        case .no: return SSL_VERIFY_NONE
        }
    }

    private static func use(_ identity: Identity?, _ context: OpaquePointer) throws(TLSError) {
        guard let identity else { return }
        let file = identity.certificateFile
        guard let key = HandshakeLibrary.adopt(key: identity.key.key, isPair: true) else {
            throw TLSError(.badFile, "\(file): this kind of key is not supported", file: file)
        }
        defer { EVP_PKEY_free(key) }
        guard SSL_CTX_use_certificate(context, identity.chain[0].x509) == 1,
            SSL_CTX_use_PrivateKey(context, key) == 1
        else { throw TLSError(.badFile, "\(file): \(ErrorQueue.take(or: "refused"))", file: file) }
        for link in identity.chain.dropFirst() where co_ctx_add_chain(context, link.x509) != 1 {
            throw TLSError(.badFile, "\(file): chain: \(ErrorQueue.take(or: "refused"))", file: file)
        }
    }

    private static func trust(
        _ authorities: [Certificate], _ settings: TLSSettings, _ context: OpaquePointer
    ) throws(TLSError) {
        if authorities.isEmpty && settings.caDirectory.isEmpty && SSL_CTX_get_verify_mode(context) != SSL_VERIFY_NONE {
            throw TLSError(
                .badSetting, "peers cannot be verified: neither tls-ca-cert-file nor tls-ca-cert-dir is set")
        }
        let store = SSL_CTX_get_cert_store(context)
        for authority in authorities where X509_STORE_add_cert(store, authority.x509) != 1 {
            throw TLSError(.badFile, "\(settings.caFile): \(ErrorQueue.take(or: "refused"))", file: settings.caFile)
        }
        guard !settings.caDirectory.isEmpty else { return }
        let directory = settings.caDirectory
        var status = stat()
        guard stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw TLSError(.unreadableFile, "\(directory): not a readable folder", file: directory)
        }
        guard SSL_CTX_load_verify_dir(context, directory) == 1 else {
            throw TLSError(.badFile, "\(directory): \(ErrorQueue.take(or: "refused"))", file: directory)
        }
    }

    private static func useDHParameters(_ settings: TLSSettings, _ context: OpaquePointer) throws(TLSError) {
        let file = settings.dhParamsFile
        guard !file.isEmpty else { return co_ctx_dh_auto(context) }
        let loaded = try DHParameters.load(file)
        defer { EVP_PKEY_free(loaded) }
        guard let parameters = HandshakeLibrary.adopt(key: loaded, isPair: false) else {
            throw TLSError(.badFile, "\(file): the parameters are of a kind that is not supported", file: file)
        }
        guard SSL_CTX_set0_tmp_dh_pkey(context, parameters) == 1 else {
            EVP_PKEY_free(parameters)
            throw TLSError(.badFile, "\(file): \(ErrorQueue.take(or: "refused"))", file: file)
        }
    }
}
