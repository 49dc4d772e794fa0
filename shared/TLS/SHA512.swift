import COpenSSL

/// SHA-512 of small inputs.
/// - Spec: FIPS 180-4.
public enum SHA512 {
    /// The digest in lower-case hexadecimal, 128 characters; nil when OpenSSL refuses, which it does without memory only.
    public static func hexadecimal(_ bytes: [UInt8]) -> String? {
        var digest = [UInt8](repeating: 0, count: 64)
        var count: UInt32 = 64
        guard EVP_Digest(bytes, bytes.count, &digest, &count, EVP_sha512(), nil) == 1, count == 64 else {
            ErrorQueue.clear()
            return nil
        }
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
