import CLinux

/// What went wrong with a snapshot or a log: which file, where in it, at which key, and what was expected there.
public struct PersistenceError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// A system call failed; `errorNumber` says how.
        case system
        /// The data ends before a record does.
        case truncated
        /// The bytes are not what the format allows.
        case damaged
        /// The bytes are well formed, but their checksum is not the stored one.
        case checksum
        /// Well formed, but of a kind or version that this program does not load.
        case unsupported
        /// A length above a limit that the caller set.
        case limit
        /// The receiver of the data refused it (a duplicate key, no memory left).
        case refused
    }

    public var code: Code
    /// Path or name of the file; empty when the data comes from elsewhere.
    public var file: String = ""
    /// Offset in the (decompressed) stream.
    public var offset: UInt64?
    public var key: [UInt8]?
    public var errorNumber: Int32 = 0
    public var detail: String

    public init(_ code: Code, _ detail: String, offset: UInt64? = nil) {
        self.code = code
        self.detail = detail
        self.offset = offset
    }

    /// The failure of a system call, from the thread's `errno` unless `number` is given.
    public static func system(_ operation: String, _ path: String, _ number: Int32 = cl_errno()) -> PersistenceError {
        var error = PersistenceError(.system, "\(operation): \(String(cString: strerror(number)))")
        error.file = path
        error.errorNumber = number
        return error
    }

    public var description: String {
        var text = ""
        if !file.isEmpty { text += "\(file): " }
        if let offset { text += "offset \(offset): " }
        if let key { text += "key \"\(PersistenceError.printable(key))\": " }
        return text + detail
    }

    /// A key as a log line may show it: printable ASCII, the rest as \xNN, cut at 128 bytes.
    static func printable(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes.prefix(128) {
            switch byte {
            case 0x22, 0x5c: text += "\\" + String(UnicodeScalar(byte))
            case 0x20..<0x7f: text += String(UnicodeScalar(byte))
            default:
                let digits = String(byte, radix: 16)
                text += byte < 16 ? "\\x0\(digits)" : "\\x\(digits)"
            }
        }
        return bytes.count > 128 ? text + "..." : text
    }
}

/// Why the receiver of loaded data does not take it. The reader adds file, offset and key.
public struct SinkRefusal: Error, Sendable {
    public let reason: String

    public init(_ reason: String) { self.reason = reason }
}
