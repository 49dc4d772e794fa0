// One process at a time writes to a data folder: two that do would mix their logs and take each other's files away.
//
// The lock is the kernel's (flock on a small file), so it goes with the process whatever ends it, and a file that is left over
// means nothing. A process that persists nothing takes no lock: it may share a folder, as several with `save ""` in one working
// folder do, or have one that it cannot write to. It takes the lock when it begins to persist: SAVE, CONFIG SET.
// Rejected: a file with a process identifier (wrong in containers, where everybody is number 1), a lock on the folder itself
// (not possible on NFS). Stock Redis ignores the file.
import CLinux

/// The lock on a data folder, as long as this object lives.
final class DirectoryLock {
    static let fileName = ".dssm-lock"

    enum Outcome {
        case locked(DirectoryLock)
        /// Another process has it; `holder` is what that one says of itself.
        case taken(holder: String)
        /// This file system has no locks, or the file cannot be made.
        case unavailable(String)
    }

    let directory: String
    private let file: Int32

    private init(directory: String, file: Int32) {
        self.directory = directory
        self.file = file
    }

    deinit { _ = close(file) }

    static func take(_ directory: String) -> Outcome {
        let file = cl_open("\(directory)/\(fileName)", O_RDWR | O_CREAT, 0o600)
        guard file >= 0 else { return .unavailable(String(cString: strerror(cl_errno()))) }
        while flock(file, LOCK_EX | LOCK_NB) != 0 {
            let code = cl_errno()
            if code == EINTR { continue }
            defer { _ = close(file) }
            return code == EWOULDBLOCK
                ? .taken(holder: holder(file)) : .unavailable(String(cString: strerror(code)))
        }
        let text = Array("process \(getpid()) on \(hostName())\n".utf8)
        _ = ftruncate(file, 0)
        _ = pwrite(file, text, text.count, 0)
        return .locked(DirectoryLock(directory: directory, file: file))
    }

    private static func holder(_ file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 300)
        let count = pread(file, &bytes, bytes.count, 0)
        let printable = bytes.prefix(max(0, count)).prefix { $0 >= 32 && $0 < 127 }
        return printable.isEmpty ? "another process" : String(decoding: printable, as: UTF8.self)
    }

    private static func hostName() -> String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "an unknown host" }
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension Server {
    /// Whether this process writes to its data folder by itself.
    static func persists(_ settings: ServerSettings) -> Bool { settings.appendOnly || !settings.saveRules.isEmpty }

    /// Makes sure that nobody else writes to `directory`. The lock on another folder goes only when this one is had.
    ///
    /// - Returns: why it may not be written to.
    func lockDirectory(_ directory: String) -> String? {
        if persistence.directoryLock?.directory == directory { return nil }
        switch DirectoryLock.take(directory) {
        case .locked(let lock):
            persistence.directoryLock = lock
            return nil
        case .taken(let holder):
            return "data directory '\(directory)' is in use by \(holder) (\(DirectoryLock.fileName) is locked)"
        case .unavailable(let reason):
            log.warning(
                "directory-not-locked",
                "The data directory '\(directory)' cannot be locked, take care that one process only uses it: \(reason)"
            )
            return nil
        }
    }
}
