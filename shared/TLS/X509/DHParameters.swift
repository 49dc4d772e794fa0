import COpenSSL
import Glibc

/// Diffie-Hellman parameters in PEM, for `dhparam2048.pem`.
public enum DHParameters {
    /// The groups of a standard.
    /// - Spec: RFC 7919, appendix A.1 and A.2.
    public enum Group: Int, CaseIterable, Sendable {
        case ffdhe2048 = 2048
        case ffdhe3072 = 3072
    }

    /// A standard group, at once.
    public static func standard(_ group: Group = .ffdhe2048) throws(TLSError) -> [UInt8] {
        let identifier = group == .ffdhe2048 ? NID_ffdhe2048 : NID_ffdhe3072
        return try make { context in
            EVP_PKEY_paramgen_init(context) == 1 && EVP_PKEY_CTX_set_dh_nid(context, identifier) == 1
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
        try parse(pem: try PEMFile.read(path), name: path)
    }

    private static func parse(pem: [UInt8], name: String) throws(TLSError) -> OpaquePointer {
        let parameters = try PEMFile.withBIO(pem) { (bio) throws(TLSError) -> OpaquePointer? in
            PEM_read_bio_Parameters(bio, nil)
        }
        guard let parameters else {
            ErrorQueue.clear()
            throw TLSError(.badFile, "\(name): holds no Diffie-Hellman parameters in PEM", file: name)
        }
        ErrorQueue.clear()
        return parameters
    }

    /// Size in bits of the parameters in `path`.
    public static func bits(of path: String) throws(TLSError) -> Int {
        try bits(pem: try PEMFile.read(path), name: path)
    }

    /// Size in bits of the parameters in `pem`; `name` stands for it in errors. Other parameters, such as a curve's, are an
    /// error.
    public static func bits(pem: [UInt8], name: String) throws(TLSError) -> Int {
        let parameters = try parse(pem: pem, name: name)
        defer { EVP_PKEY_free(parameters) }
        guard EVP_PKEY_is_a(parameters, "DH") == 1 || EVP_PKEY_is_a(parameters, "DHX") == 1 else {
            throw TLSError(.badFile, "\(name): holds parameters that are not Diffie-Hellman's", file: name)
        }
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
