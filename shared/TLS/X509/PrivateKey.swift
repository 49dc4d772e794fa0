import COpenSSL

/// A private key. Immutable once made.
public final class PrivateKey: @unchecked Sendable {
    public enum Algorithm: String, CaseIterable, Sendable {
        case rsa2048
        case rsa4096
        case ecdsaP256 = "ecdsa-p256"
        case ecdsaP384 = "ecdsa-p384"
    }

    // @unchecked Sendable: never changed after init; OpenSSL's key operations are safe on a key that nobody changes.
    let key: OpaquePointer

    /// Takes ownership of `key`.
    private init(owning key: OpaquePointer) { self.key = key }

    deinit { EVP_PKEY_free(key) }

    /// Makes a new key. RSA 4096 takes from tenths of a second to some seconds.
    public static func generate(_ algorithm: Algorithm) throws(TLSError) -> PrivateKey {
        let key =
            switch algorithm {
            case .rsa2048: co_rsa_generate(2048)
            case .rsa4096: co_rsa_generate(4096)
            case .ecdsaP256: co_ec_generate("P-256")
            case .ecdsaP384: co_ec_generate("P-384")
            }
        guard let key else {
            throw TLSError(.library, "cannot make a key: \(ErrorQueue.take(or: "unknown reason"))")
        }
        return PrivateKey(owning: key)
    }

    /// Reads the first private key of a PEM file.
    public static func load(_ path: String, password: String = "") throws(TLSError) -> PrivateKey {
        let bytes = try PEMFile.read(path)
        return try parse(pem: bytes, password: password, name: path)
    }

    /// Reads the first private key of `pem`; `name` stands for it in errors.
    public static func parse(pem: [UInt8], password: String = "", name: String) throws(TLSError) -> PrivateKey {
        let key = try PEMFile.withBIO(pem) { (bio) throws(TLSError) -> OpaquePointer? in
            var password = Array(password.utf8CString)
            // Without a callback OpenSSL takes the pointer as the password, and so never asks on a terminal.
            return PEM_read_bio_PrivateKey(bio, nil, nil, &password)
        }
        guard let key else {
            let reason = ErrorQueue.take(or: "no start line")
            let text = reason == "no start line" || reason == "unsupported" ? "holds no private key in PEM" : reason
            let hint = password.isEmpty && isEncrypted(pem) ? " (it is encrypted: set the password)" : ""
            throw TLSError(.badFile, "\(name): \(text)\(hint)", file: name)
        }
        ErrorQueue.clear()
        return PrivateKey(owning: key)
    }

    private static func isEncrypted(_ pem: [UInt8]) -> Bool {
        String(decoding: pem, as: UTF8.self).contains("ENCRYPTED")
    }

    /// PKCS #8 in PEM, not encrypted: the form of `openssl genrsa`.
    public func pem() -> [UInt8] {
        PEMFile.collect { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) == 1 } ?? []
    }

    public var description: String { Self.describe(key) }

    static func describe(_ key: OpaquePointer?) -> String {
        guard let key else { return "unknown" }
        let bits = EVP_PKEY_get_bits(key)
        switch EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA: return "RSA \(bits)"
        case EVP_PKEY_EC: return "EC P-\(bits)"
        default: return "\(EVP_PKEY_get0_type_name(key).map { String(cString: $0) } ?? "key") \(bits)"
        }
    }
}
