// The OpenSSL library context that contexts and sessions use: the default provider, reduced to what TLS needs.
//
// The problem: OpenSSL 3.0 and 3.1 decode the key of every peer certificate by asking each known decoder whether it
// fits, after they have listed every algorithm of the library context: a fifth to a third of a mutual handshake's CPU
// time, more than the signatures. The work grows with the number of algorithms, and TLS needs few of them. So sessions
// get a library context of their own, whose only provider passes on those algorithms of the default provider that are
// named below, and nothing else: the implementations are the same.
//
// Cipher suites and groups of OpenSSL's default build stay, and RSA, RSA-PSS, ECDSA and EdDSA certificates. Refused are
// certificates with DSA or SM2 keys, which no default cipher suite takes, and those signed over a hash that is not named
// below (RIPEMD-160, SM3, SHA-512/224, SHA3-224).
// From 3.2 on OpenSSL caches its decoders and asks providers for more kinds of things; and whoever has configured other
// providers (FIPS, a hardware token) wants exactly those. In both cases the default library context is used.
import COpenSSL

enum HandshakeLibrary {
    /// For functions that take a library context; nil: OpenSSL's default one.
    static var context: OpaquePointer? { shared.context }

    private struct Shared: @unchecked Sendable {
        // @unchecked Sendable: a library context is shared by threads under OpenSSL's own locks; never freed.
        let context: OpaquePointer?
    }

    private static let shared: Shared = {
        defer { ErrorQueue.clear() }
        guard isWanted, filter.source != nil, let context = OSSL_LIB_CTX_new() else { return Shared(context: nil) }
        guard OSSL_PROVIDER_add_builtin(context, "dssm", startProvider) == 1,
            OSSL_PROVIDER_load(context, "dssm") != nil
        else {
            OSSL_LIB_CTX_free(context)
            return Shared(context: nil)
        }
        return Shared(context: context)
    }()

    /// Whether OpenSSL is one that gains, and set up as usual.
    static var isWanted: Bool {
        guard OPENSSL_version_major() == 3, OPENSSL_version_minor() < 2 else { return false }
        guard EVP_default_properties_is_fips_enabled(nil) == 0 else { return false }
        var names: [String] = []
        withUnsafeMutablePointer(to: &names) { names in
            _ = OSSL_PROVIDER_do_all(
                nil,
                { provider, names in
                    let name = OSSL_PROVIDER_get0_name(provider).map { String(cString: $0) } ?? ""
                    names?.assumingMemoryBound(to: [String].self).pointee.append(name)
                    return 1
                }, names)
        }
        return names == ["default"]
    }

    // MARK: What passes

    /// Primary names by operation. An operation that is not listed passes whole, one with an empty list not at all.
    private static let passing: [Int32: Set<String>] = [
        OSSL_OP_DIGEST: [
            "SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512", "SHA2-512/256", "SHA3-256", "SHA3-384", "SHA3-512",
            "MD5", "MD5-SHA1",
        ],
        OSSL_OP_CIPHER: [
            "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305", "AES-128-CCM", "AES-256-CCM", "AES-128-CBC",
            "AES-256-CBC",
            "AES-128-CBC-HMAC-SHA1", "AES-256-CBC-HMAC-SHA1", "AES-128-CBC-HMAC-SHA256", "AES-256-CBC-HMAC-SHA256",
            "ARIA-128-GCM", "ARIA-256-GCM", "CAMELLIA-128-CBC", "CAMELLIA-256-CBC",
        ],
        OSSL_OP_MAC: ["HMAC"],
        OSSL_OP_KDF: ["HKDF", "TLS13-KDF", "TLS1-PRF"],
        OSSL_OP_KEYMGMT: ["RSA", "RSA-PSS", "EC", "ED25519", "ED448", "X25519", "X448", "DH", "DHX", "HMAC"],
        OSSL_OP_KEYEXCH: ["DH", "ECDH", "X25519", "X448"],
        OSSL_OP_SIGNATURE: ["RSA", "ECDSA", "ED25519", "ED448", "HMAC"],
        OSSL_OP_DECODER: ["RSA", "RSA-PSS", "EC", "ED25519", "ED448"],
        OSSL_OP_ENCODER: [],
        OSSL_OP_STORE: [],
    ]

    private struct Filter: @unchecked Sendable {
        // @unchecked Sendable: constant tables, never freed.
        /// The default provider of the default library context.
        let source: OpaquePointer?
        /// Tables of algorithms that pass, each ended by an empty entry.
        let tables: [Int32: UnsafePointer<OSSL_ALGORITHM>]
        let functions: UnsafePointer<OSSL_DISPATCH>

        init() {
            let source = OSSL_PROVIDER_load(nil, "default")
            self.source = source
            var tables: [Int32: UnsafePointer<OSSL_ALGORITHM>] = [:]
            for (operation, names) in source == nil ? [:] : HandshakeLibrary.passing {
                let kept = HandshakeLibrary.algorithms(of: source, operation).filter { algorithm in
                    HandshakeLibrary.passes(algorithm, operation, names)
                }
                let table = UnsafeMutablePointer<OSSL_ALGORITHM>.allocate(capacity: kept.count + 1)
                table.initialize(repeating: OSSL_ALGORITHM(), count: kept.count + 1)
                for (index, algorithm) in kept.enumerated() { table[index] = algorithm }
                tables[operation] = UnsafePointer(table)
            }
            self.tables = tables
            functions = HandshakeLibrary.makeFunctions()
        }
    }

    private static let filter = Filter()

    private static func algorithms(of provider: OpaquePointer?, _ operation: Int32) -> [OSSL_ALGORITHM] {
        var mayNotCache: Int32 = 0
        guard var next = OSSL_PROVIDER_query_operation(provider, operation, &mayNotCache) else { return [] }
        var result: [OSSL_ALGORITHM] = []
        while next.pointee.algorithm_names != nil {
            result.append(next.pointee)
            next += 1
        }
        return result
    }

    private static func passes(_ algorithm: OSSL_ALGORITHM, _ operation: Int32, _ names: Set<String>) -> Bool {
        guard let list = algorithm.algorithm_names else { return false }
        // The primary name, then aliases, separated by colons.
        let name = String(cString: list).split(separator: ":").first.map { String($0) } ?? ""
        guard names.contains(name) else { return false }
        guard operation == OSSL_OP_DECODER else { return true }
        // Keys are decoded only as part of a peer's certificate.
        let properties = algorithm.property_definition.map { String(cString: $0) } ?? ""
        let parts = properties.split(separator: ",")
        return parts.contains("input=der") && parts.contains("structure=SubjectPublicKeyInfo")
    }

    // MARK: The provider

    private typealias Function = @convention(c) () -> Void
    private typealias Query =
        @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafeMutablePointer<Int32>?) ->
        UnsafePointer<OSSL_ALGORITHM>?
    private typealias Capabilities =
        @convention(c) (
            UnsafeMutableRawPointer?, UnsafePointer<CChar>?, co_param_callback?, UnsafeMutableRawPointer?
        ) -> Int32

    private static func makeFunctions() -> UnsafePointer<OSSL_DISPATCH> {
        let query: Query = { _, operation, mayNotCache in
            mayNotCache?.pointee = 0
            if let table = HandshakeLibrary.filter.tables[operation] { return table }
            return OSSL_PROVIDER_query_operation(HandshakeLibrary.filter.source, operation, mayNotCache)
        }
        let capabilities: Capabilities = { _, name, callback, argument in
            OSSL_PROVIDER_get_capabilities(HandshakeLibrary.filter.source, name, callback, argument)
        }
        let table = UnsafeMutablePointer<OSSL_DISPATCH>.allocate(capacity: 3)
        // SAFETY: OpenSSL casts each function back to the type that belongs to its number.
        table[0] = OSSL_DISPATCH(
            function_id: OSSL_FUNC_PROVIDER_QUERY_OPERATION, function: unsafeBitCast(query, to: Function.self))
        table[1] = OSSL_DISPATCH(
            function_id: OSSL_FUNC_PROVIDER_GET_CAPABILITIES, function: unsafeBitCast(capabilities, to: Function.self))
        table[2] = OSSL_DISPATCH()
        return UnsafePointer(table)
    }

    /// The implementations are the source's, so they get the source's context.
    private static let startProvider:
        @convention(c) (
            OpaquePointer?, UnsafePointer<OSSL_DISPATCH>?, UnsafeMutablePointer<UnsafePointer<OSSL_DISPATCH>?>?,
            UnsafeMutablePointer<UnsafeMutableRawPointer?>?
        ) -> Int32 = { _, _, functions, context in
            functions?.pointee = HandshakeLibrary.filter.functions
            context?.pointee = OSSL_PROVIDER_get0_provider_ctx(HandshakeLibrary.filter.source)
            return 1
        }
}

// MARK: Moving in

extension HandshakeLibrary {
    /// `certificate` for use in sessions; nil if its kind of key does not pass, or it is out of memory.
    static func adopt(_ certificate: Certificate) -> Certificate? {
        guard let context else { return certificate }
        defer { ErrorQueue.clear() }
        // With the trust settings that a certificate can carry in PEM.
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = i2d_X509_AUX(certificate.x509, &bytes)
        guard count > 0, let bytes, let copy = X509_new_ex(context, nil) else { return nil }
        defer { co_free(bytes) }
        let result = Certificate(owning: copy)
        var target: OpaquePointer? = copy
        var position: UnsafePointer<UInt8>? = UnsafePointer(bytes)
        guard d2i_X509_AUX(&target, &position, Int(count)) == copy, X509_get0_pubkey(copy) != nil else { return nil }
        return result
    }

    /// A key pair, or parameters, for use in sessions. The caller owns the result and frees it.
    static func adopt(key: OpaquePointer, isPair: Bool) -> OpaquePointer? {
        defer { ErrorQueue.clear() }
        guard let context else { return EVP_PKEY_up_ref(key) == 1 ? key : nil }
        return co_copy_key(context, key, isPair ? 1 : 0)
    }
}
