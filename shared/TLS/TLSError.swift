import COpenSSL

/// Why a certificate, a key or a TLS context could not be used: one line for a log or a reply.
public struct TLSError: Error, Equatable, CustomStringConvertible, Sendable {
    public enum Code: Equatable, Sendable {
        /// A file cannot be read.
        case unreadableFile
        /// A file is there, but does not hold what it should.
        case badFile
        /// The key does not belong to the certificate.
        case keyMismatch
        /// A setting has a value that cannot be used.
        case badSetting
        /// OpenSSL refused an operation that depends on no file and no setting.
        case library
    }

    public let code: Code
    public let message: String
    /// The file at fault, where there is one. `message` names it too.
    public let file: String?

    public init(_ code: Code, _ message: String, file: String? = nil) {
        self.code = code
        self.message = message
        self.file = file
    }

    public var description: String { message }
}

/// OpenSSL's error queue, one for each thread. Every path of this module that can leave entries in it takes them out
/// again: `SSL_get_error` is only right while the queue holds nothing old.
enum ErrorQueue {
    /// The reason of the oldest entry as text, or `fallback`. Leaves the queue empty.
    static func take(or fallback: String) -> String {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0, let text = ERR_reason_error_string(code) else { return fallback }
        return String(cString: text)
    }

    static func clear() { ERR_clear_error() }
}
