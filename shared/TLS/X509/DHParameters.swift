import COpenSSL
import Glibc

/// Diffie-Hellman parameters in PEM, for `dhparam2048.pem`.
public enum DHParameters {
    /// The group ffdhe2048, at once.
    /// - Spec: RFC 7919, appendix A.1.
    public static func standard() throws(TLSError) -> [UInt8] {
        try make { context in
            EVP_PKEY_paramgen_init(context) == 1 && EVP_PKEY_CTX_set_dh_nid(context, NID_ffdhe2048) == 1
        }
    }

    /// A fresh safe prime, as `openssl dhparam` makes it: takes from seconds to minutes, and shows with dots on standard
    /// error that it goes on.
    public static func generate(bits: Int32 = 2048, showsProgress: Bool = false) throws(TLSError) -> [UInt8] {
        try make { context in
            if showsProgress {
                EVP_PKEY_CTX_set_cb(context) { _ in
                    _ = write(2, ".", 1)
                    return 1
                }
            }
            return EVP_PKEY_paramgen_init(context) == 1 && EVP_PKEY_CTX_set_dh_paramgen_prime_len(context, bits) == 1
        }
    }

    /// Parameters of a PEM file, checked to be some; `body` gets them and does not keep them.
    static func load(_ path: String) throws(TLSError) -> OpaquePointer {
        let bytes = try PEMFile.read(path)
        let parameters = try PEMFile.withBIO(bytes) { (bio) throws(TLSError) -> OpaquePointer? in
            PEM_read_bio_Parameters(bio, nil)
        }
        guard let parameters else {
            ErrorQueue.clear()
            throw TLSError(.badFile, "\(path): holds no Diffie-Hellman parameters in PEM", file: path)
        }
        ErrorQueue.clear()
        return parameters
    }

    /// Size in bits of the parameters in `path`.
    public static func bits(of path: String) throws(TLSError) -> Int {
        let parameters = try load(path)
        defer { EVP_PKEY_free(parameters) }
        return Int(EVP_PKEY_get_bits(parameters))
    }

    private static func make(_ setUp: (OpaquePointer) -> Bool) throws(TLSError) -> [UInt8] {
        guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_DH, nil) else { throw refused() }
        defer { EVP_PKEY_CTX_free(context) }
        var parameters: OpaquePointer?
        guard setUp(context), EVP_PKEY_paramgen(context, &parameters) == 1, let parameters else { throw refused() }
        defer { EVP_PKEY_free(parameters) }
        guard let pem = PEMFile.collect({ PEM_write_bio_Parameters($0, parameters) == 1 }) else { throw refused() }
        return pem
    }

    private static func refused() -> TLSError {
        TLSError(.library, "cannot make Diffie-Hellman parameters: \(ErrorQueue.take(or: "unknown reason"))")
    }
}
