// The log's file: appended to, opened again on request, rotated at a size.
//
// A file that nobody rotates fills its volume: in a pod nobody does. So the service does it itself when it is told a size. The
// file becomes `<path>.1`, the one before `.2`, as logrotate names them: whoever follows files by identity, as the log forwarder
// does, reads the rest under the new name. Copy-and-truncate was rejected, because a reader can lose what lies between the two.
import Glibc

/// How far a log file may grow.
public struct LogFileLimits: Sendable, Equatable {
    /// Bytes at which the file is rotated; 0: never. It can be one line longer.
    public var maximumBytes: Int
    /// Rotated files that are kept, 1 or more.
    public var keptFiles: Int

    /// Most rotated files that may be kept: each rotation renames them all.
    public static let mostKeptFiles = 99

    public init(maximumBytes: Int = 0, keptFiles: Int = 1) {
        self.maximumBytes = maximumBytes
        self.keptFiles = keptFiles
    }
}

struct LogFile: ~Copyable {
    private(set) var path = ""
    var limits = LogFileLimits()
    private var descriptor: Int32 = -1
    /// The last write was cut short: the next line begins on a new one.
    private var isTorn = false
    private var size = 0
    /// The size at which rotation is tried again after it failed.
    private var retryAt = 0

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Writes to this file from now on, in place of an earlier one; empty: to none. False, and the earlier one stays, if it cannot
    /// be opened.
    mutating func open(_ path: String) -> Bool {
        guard !path.isEmpty else {
            replace(-1, "")
            return true
        }
        let opened = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard opened >= 0 else { return false }
        replace(opened, path)
        return true
    }

    private mutating func replace(_ opened: Int32, _ path: String) {
        if descriptor >= 0 { close(descriptor) }
        descriptor = opened
        self.path = path
        isTorn = false
        retryAt = 0
        var status = stat()
        size = opened >= 0 && fstat(opened, &status) == 0 ? Int(status.st_size) : 0
    }

    /// Appends one line. False if a write or a rotation failed; after a failed rotation the line is in the old file.
    mutating func write(_ line: [UInt8]) -> Bool {
        guard descriptor >= 0 else { return true }
        var isWell = true
        if limits.maximumBytes > 0, size > 0, size + line.count > max(limits.maximumBytes, retryAt) {
            isWell = rotate()
        }
        var rest = isTorn ? [UInt8(ascii: "\n")] + line[...] : line[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                isTorn = isTorn || rest.count < line.count
                return false
            }
            size += count
            rest = rest.dropFirst(count)
        }
        isTorn = false
        return isWell
    }

    /// Names the files anew and begins one. When that fails the old file goes on, until it is larger by the limit again.
    private mutating func rotate() -> Bool {
        for number in stride(from: limits.keptFiles - 1, through: 1, by: -1) {
            guard rename("\(path).\(number)", "\(path).\(number + 1)") == 0 || errno == ENOENT else {
                return postpone()
            }
        }
        guard rename(path, "\(path).1") == 0 || errno == ENOENT, open(path) else { return postpone() }
        return true
    }

    private mutating func postpone() -> Bool {
        retryAt = size + limits.maximumBytes
        return false
    }
}
