// Finds the files of the inputs' patterns and reads what is written to them.
//
// A file is known by device and inode, and by the beginning of its content, never by its name: a rotated file is read to its end
// under whatever name it has got, and a new file under the old name begins at its beginning. Names are looked up once a scan by
// glob(3); between scans open files are asked by fstat. inotify was rejected: it does not work on every volume, needs a scan as
// a fallback anyway, and asking a handful of files five times a second costs nothing.
import ByteStorage
import CLinux
import Glibc

/// What to follow.
public struct FollowSettings: Sendable {
    public var patterns: [String]
    /// fnmatch(3) patterns on the whole path.
    public var excluded: [String] = []
    /// A file that is found at the start and has no position is read from its beginning, else from its end.
    public var startsAtBeginning = true
    public var maximumLineBytes = 64 << 10
    /// POSIX extended; nil: each line is a record.
    public var multilineStart: String?
    public var multilineLimits = MultilineJoiner.Limits()

    public init(patterns: [String]) { self.patterns = patterns }
}

public final class FileFollower {
    public enum Event: Equatable, Sendable {
        case opened(String, offset: Int)
        case truncated(String)
        case closed(String)
        case failed(String)
        case tooMany(String)
    }

    public static let mostFiles = 256
    /// Positions of files that were not seen for this long are forgotten.
    public static let forgetSeconds: Int64 = 24 * 3600
    /// A file whose name is gone is read this long after its last byte, for writers that have it open.
    public var rotateWaitMilliseconds: Int64 = 5000
    public var onEvent: (Event) -> Void = { _ in }

    private struct Key: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    private let inputs: [(index: Int, settings: FollowSettings)]
    private let patterns: [LinePattern?]
    private var files: [Key: FollowedFile] = [:]
    /// Positions from disk whose files have not been seen in this run.
    private var remembered: [FilePosition]
    private var isFirstScan = true
    private var problems: Set<String> = []
    private let buffer: UnsafeMutableRawPointer
    private var nextFile = 0
    public private(set) var bytesRead: UInt64 = 0

    /// - Parameter inputs: with the number by which the receiver knows each.
    public init(inputs: [(index: Int, settings: FollowSettings)], positions: [FilePosition]) {
        self.inputs = inputs
        patterns = inputs.map { input in
            var problem = ""
            return input.settings.multilineStart.flatMap { LinePattern($0, problem: &problem) }
        }
        remembered = positions
        buffer = .allocate(byteCount: FollowedFile.pieceBytes, alignment: 16)
    }

    deinit { buffer.deallocate() }

    public var fileCount: Int { files.count }
    /// Bytes that are written and not read yet, by path.
    public var lags: [(path: String, bytes: Int)] {
        files.values.map { ($0.path, $0.lag) }.sorted { $0.path < $1.path }
    }

    // MARK: Scan

    /// Looks for new, renamed and vanished files.
    ///
    /// - Parameters:
    ///   - now: monotonic milliseconds.
    ///   - wallSeconds: since 1970.
    public func scan(now: Int64, wallSeconds: Int64, receiver: any LineReceiver) {
        var seen: Set<Key> = []
        for (position, input) in inputs.enumerated() {
            for path in Self.paths(input.settings) { look(path, position, now, &seen) }
        }
        for (key, file) in files where !seen.contains(key) {
            let since = file.missingSince ?? now
            file.missingSince = since
            guard now - max(since, file.lastData) >= rotateWaitMilliseconds, file.lag == 0, !receiver.isPaused else {
                continue
            }
            file.finishRecords(receiver)
            onEvent(.closed(file.path))
            files[key] = nil
        }
        isFirstScan = false
        remembered.removeAll { wallSeconds - $0.lastSeen > Self.forgetSeconds }
    }

    static func paths(_ settings: FollowSettings) -> [String] {
        var found: [String] = []
        for pattern in settings.patterns {
            var result = glob_t()
            defer { globfree(&result) }
            guard glob(pattern, 0, nil, &result) == 0 else { continue }
            for index in 0..<Int(result.gl_pathc) {
                guard let path = result.gl_pathv[index].map({ String(cString: $0) }), !found.contains(path),
                    !settings.excluded.contains(where: { fnmatch($0, path, 0) == 0 })
                else { continue }
                found.append(path)
            }
        }
        return found
    }

    private func look(_ path: String, _ input: Int, _ now: Int64, _ seen: inout Set<Key>) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & 0o170000 == 0o100000 else { return }
        let key = Key(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        guard seen.insert(key).inserted else { return }
        if let file = files[key] {
            file.path = path
            file.missingSince = nil
            return
        }
        guard files.count < Self.mostFiles else { return report(.tooMany(path), path) }
        let fd = cl_open(path, O_RDONLY, 0)
        guard fd >= 0, fstat(fd, &status) == 0 else {
            report(.failed("\(FileFailure("open \(path)"))"), path)
            if fd >= 0 { close(fd) }
            return
        }
        // Another file may have come under the name since `stat`: the open one counts.
        let opened = Key(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        guard files[opened] == nil else {
            close(fd)
            return
        }
        seen.insert(opened)
        problems.remove(path)
        let settings = inputs[input].settings
        let offset = startOffset(fd, status, path, settings)
        files[opened] = FollowedFile(
            input: inputs[input].index, fd: fd, status: status, path: path, offset: offset, now: now,
            maximumLineBytes: settings.maximumLineBytes,
            joiner: patterns[input].map { MultilineJoiner(start: $0, limits: settings.multilineLimits) })
        onEvent(.opened(path, offset: offset))
    }

    /// Once for each path, until it works.
    private func report(_ event: Event, _ path: String) {
        if problems.insert(path).inserted { onEvent(event) }
    }

    private func startOffset(_ fd: Int32, _ status: stat, _ path: String, _ settings: FollowSettings) -> Int {
        let inode = UInt64(status.st_ino)
        let size = Int(status.st_size)
        // Device numbers of some volumes change with each mount: then the name and a good part of the content must agree.
        let match = remembered.firstIndex { position in
            position.inode == inode && position.offset <= size
                && (position.device == UInt64(status.st_dev)
                    || position.path == path && position.fingerprint.length >= 64)
                && position.fingerprint.matches(fd)
        }
        if let match { return remembered.remove(at: match).offset }
        return isFirstScan && !settings.startsAtBeginning ? size : 0
    }

    // MARK: Reading

    /// Reads from all files in turn, `budget` bytes at most. Returns whether there may be more at once.
    public func read(budget: Int, now: Int64, receiver: any LineReceiver) -> Bool {
        let all = files.values.sorted { $0.inode < $1.inode }
        guard !all.isEmpty else { return false }
        var left = budget
        var mayHaveMore = false
        let share = max(FollowedFile.pieceBytes, budget / all.count)
        for step in 0..<all.count where left > 0 && !receiver.isPaused {
            let file = all[(nextFile + step) % all.count]
            let wanted = min(left, share)
            let count = file.read(budget: wanted, buffer: buffer, now: now, to: receiver)
            if file.truncations > 0 {
                file.truncations = 0
                onEvent(.truncated(file.path))
            }
            bytesRead += UInt64(count)
            left -= count
            if count >= wanted { mayHaveMore = true }
        }
        nextFile += 1
        return mayHaveMore || left <= 0
    }

    /// What to write to disk once all that was passed on is there.
    public func positions(wallSeconds: Int64) -> [FilePosition] {
        files.values.map { $0.position(now: wallSeconds) }.sorted { ($0.path, $0.inode) < ($1.path, $1.inode) }
            + remembered
    }
}
