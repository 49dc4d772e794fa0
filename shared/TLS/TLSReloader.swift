import Glibc

/// Notices that a certificate, key, CA or parameter file has changed, and builds a new context from them.
///
/// Changes are found by `stat`, which follows symbolic links: a Kubernetes Secret volume swaps a link to a new folder.
/// Certificate and key may lie in two Secrets that change one after the other; the pair in between is refused, the old
/// context stays in use, and the next change makes the next attempt. A value type without a clock: the owner polls.
public struct TLSReloader: Sendable {
    public enum Outcome: Sendable {
        case unchanged
        case reloaded(server: TLSContext, client: TLSContext)
        /// The files have changed, but cannot be used: keep the old contexts. Reported once for each change.
        case failed(TLSError)
    }

    struct Stamp: Equatable, Sendable {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var size: Int64 = -1
        var modified: [Int] = []
        /// Of the inode: owner, mode and links too.
        var changed: [Int] = []

        init(path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modified = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
            changed = [status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
        }

        func hasSameContent(as other: Stamp) -> Bool {
            device == other.device && inode == other.inode && size == other.size && modified == other.modified
        }
    }

    public private(set) var settings: TLSSettings
    private var stamps: [Stamp]
    /// The files cannot be used as they are; other rights may be all that they need.
    private var hasFailed = false

    /// Remembers the files as they are now. Make it before the first contexts, so that no change goes unnoticed.
    public init(settings: TLSSettings) {
        self.settings = settings
        stamps = settings.watchedPaths.map(Stamp.init(path:))
    }

    /// Looks at the files, and loads them if one has changed since the last look.
    ///
    /// New owners or modes are no change of what is loaded: a kubelet sets them again each time that it looks at a pod.
    public mutating func poll() -> Outcome {
        let current = settings.watchedPaths.map(Stamp.init(path:))
        if current == stamps { return .unchanged }
        if !hasFailed, current.count == stamps.count, zip(current, stamps).allSatisfy({ $0.hasSameContent(as: $1) }) {
            stamps = current
            return .unchanged
        }
        return load(stamps: current)
    }

    /// Loads `settings` in any case, for `CONFIG SET`. When it fails, the previous settings stay.
    public mutating func apply(_ settings: TLSSettings) -> Outcome {
        let previous = self
        self.settings = settings
        let outcome = load(stamps: settings.watchedPaths.map(Stamp.init(path:)))
        if case .failed = outcome { self = previous }
        return outcome
    }

    private mutating func load(stamps current: [Stamp]) -> Outcome {
        stamps = current
        do throws(TLSError) {
            let server = try TLSContext(settings: settings, role: .server)
            let client = try TLSContext(settings: settings, role: .client)
            hasFailed = false
            return .reloaded(server: server, client: client)
        } catch {
            hasFailed = true
            return .failed(error)
        }
    }
}
