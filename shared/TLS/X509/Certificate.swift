import COpenSSL

/// An X.509 certificate. Immutable once made.
public final class Certificate: @unchecked Sendable {
    // @unchecked Sendable: never changed after init; OpenSSL fills its caches inside an X509 under its own lock.
    let x509: OpaquePointer

    /// Takes ownership of `x509`.
    init(owning x509: OpaquePointer) { self.x509 = x509 }

    deinit { X509_free(x509) }

    public var summary: CertificateSummary { CertificateSummary(x509) }

    /// Reads all certificates of a PEM file, in its order. A file without any is an error.
    public static func loadAll(_ path: String) throws(TLSError) -> [Certificate] {
        let bytes = try PEMFile.read(path)
        return try parseAll(pem: bytes, name: path)
    }

    /// Reads all certificates of `pem`; `name` stands for it in errors.
    public static func parseAll(pem: [UInt8], name: String) throws(TLSError) -> [Certificate] {
        let result = try PEMFile.withBIO(pem) { (bio) throws(TLSError) -> [Certificate] in
            var result: [Certificate] = []
            while let x509 = PEM_read_bio_X509_AUX(bio, nil, nil, nil) { result.append(Certificate(owning: x509)) }
            return result
        }
        let last = ERR_peek_last_error()
        let ended = co_err_library(last) == ERR_LIB_PEM && co_err_reason(last) == PEM_R_NO_START_LINE
        let reason = ErrorQueue.take(or: "no start line")
        if result.isEmpty && ended { throw TLSError(.badFile, "\(name): holds no certificate in PEM", file: name) }
        guard ended else {
            throw TLSError(.badFile, "\(name): certificate \(result.count + 1) is damaged: \(reason)", file: name)
        }
        return result
    }

    /// SHA-256 of the certificate's DER form, in lower-case hexadecimal; equal for equal certificates only.
    public var fingerprint: String { Self.fingerprint(x509) }

    static func fingerprint(_ x509: OpaquePointer) -> String {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(x509, EVP_sha256(), &digest, &count) == 1 else {
            ErrorQueue.clear()
            return ""
        }
        let digits = Array("0123456789abcdef".utf8)
        let text = digest.prefix(Int(count)).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    public func pem() -> [UInt8] { PEMFile.collect { PEM_write_bio_X509($0, x509) == 1 } ?? [] }

    public func matches(_ key: PrivateKey) -> Bool {
        defer { ErrorQueue.clear() }
        return X509_check_private_key(x509, key.key) == 1
    }

    /// Whether `authority`'s key signed this certificate.
    public func isSigned(by authority: Certificate) -> Bool {
        defer { ErrorQueue.clear() }
        guard let key = X509_get0_pubkey(authority.x509) else { return false }
        return X509_verify(x509, key) == 1
    }
}
