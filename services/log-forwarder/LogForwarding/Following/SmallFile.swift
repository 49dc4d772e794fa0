import ByteStorage
import CLinux

/// An operation on a file that the system refused.
public struct FileFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public let operation: String
    /// `errno`.
    public let code: Int32

    public init(_ operation: String, _ code: Int32 = cl_errno()) {
        self.operation = operation
        self.code = code
    }

    public var description: String { "\(operation): \(String(cString: strerror(code)))" }

    /// No room: waiting may help.
    public var isFull: Bool { code == ENOSPC || code == EDQUOT }
}

/// Whole files of modest size.
public enum SmallFile {
    public static func read(_ path: String, limit: Int) -> Result<[UInt8], FileFailure> {
        let fd = cl_open(path, O_RDONLY, 0)
        guard fd >= 0 else { return .failure(FileFailure("open \(path)")) }
        defer { close(fd) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = CLinux.read(fd, &buffer, buffer.count)
            if count < 0 && cl_errno() == EINTR { continue }
            guard count >= 0 else { return .failure(FileFailure("read \(path)")) }
            if count == 0 { return .success(bytes) }
            bytes += buffer[..<count]
            guard bytes.count <= limit else { return .failure(FileFailure("read \(path)", EFBIG)) }
        }
    }

    /// Writes beside the file, syncs, renames, and syncs the folder.
    public static func replace(_ path: String, with bytes: [UInt8]) throws(FileFailure) {
        let temporary = path + ".new"
        let fd = cl_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard fd >= 0 else { throw FileFailure("open \(temporary)") }
        var failure: FileFailure?
        if !writeAll(fd, bytes) { failure = FileFailure("write \(temporary)") }
        if failure == nil, fsync(fd) != 0 { failure = FileFailure("fsync \(temporary)") }
        close(fd)
        if failure == nil, rename(temporary, path) != 0 { failure = FileFailure("rename \(temporary)") }
        if let failure {
            unlink(temporary)
            throw failure
        }
        syncFolder(of: path)
    }

    static func writeAll(_ fd: Int32, _ bytes: [UInt8]) -> Bool {
        bytes.withView { view in
            var written = 0
            while written < view.count {
                let count = write(fd, view.base + written, view.count - written)
                if count < 0 && cl_errno() == EINTR { continue }
                guard count > 0 else { return false }
                written += count
            }
            return true
        }
    }

    static func syncFolder(of path: String) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let fd = cl_open(folder, O_RDONLY | Int32(O_DIRECTORY), 0)
        guard fd >= 0 else { return }
        _ = fsync(fd)
        close(fd)
    }
}
