import ByteStorage
import CLinux

/// Who gets the lines of followed files.
public protocol LineReceiver: AnyObject {
    func take(_ line: ByteView, input: Int)
    /// No more now: the buffer's disk is full.
    var isPaused: Bool { get }
}

/// One open file and how far it has been read. It is known by device and inode; its name may change.
final class FollowedFile {
    let input: Int
    let device: UInt64
    let inode: UInt64
    var path: String
    private let fd: Int32
    /// Read so far.
    private(set) var offset: Int
    private(set) var fingerprint: Fingerprint
    private var lines: LineAssembler
    private var joiner: MultilineJoiner?
    /// Since when no name of the input's patterns leads to it, monotonic milliseconds.
    var missingSince: Int64?
    private(set) var lastData: Int64
    /// Restarted from the beginning since somebody asked.
    var truncations = 0
    private(set) var size: Int

    static let pieceBytes = 64 << 10

    /// Takes over `fd`.
    init(
        input: Int, fd: Int32, status: stat, path: String, offset: Int, now: Int64, maximumLineBytes: Int,
        joiner: MultilineJoiner?
    ) {
        self.input = input
        self.fd = fd
        self.path = path
        self.offset = offset
        self.joiner = joiner
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int(status.st_size)
        lines = LineAssembler(maximumBytes: maximumLineBytes)
        fingerprint = Fingerprint.of(fd) ?? Fingerprint()
        lastData = now
    }

    deinit { close(fd) }

    /// What has been passed on completely: the next record begins here.
    var committableOffset: Int { offset - lines.pendingBytes - (joiner?.pendingBytes ?? 0) }
    var lag: Int { max(0, size - offset) }

    func position(now: Int64) -> FilePosition {
        FilePosition(
            device: device, inode: inode, offset: committableOffset, fingerprint: fingerprint, lastSeen: now, path: path
        )
    }

    private func deliver(_ line: ByteView, _ sourceBytes: Int, _ receiver: any LineReceiver) {
        if joiner != nil {
            joiner?.add(line, sourceBytes) { receiver.take($0, input: input) }
        } else if !line.isEmpty {
            receiver.take(line, input: input)
        }
    }

    /// Passes on what is there, `budget` bytes at most. Returns the bytes read; less than the budget means the end of the file.
    func read(budget: Int, buffer: UnsafeMutableRawPointer, now: Int64, to receiver: any LineReceiver) -> Int {
        var status = stat()
        guard fstat(fd, &status) == 0 else { return 0 }
        size = Int(status.st_size)
        if size == offset && fingerprint.length >= min(size, Fingerprint.bytes) {
            flushJoinerIfIdle(now, receiver)
            return 0
        }
        // Copy-truncate: shorter than what was read, or already longer again with another beginning.
        if size < offset || !fingerprint.matches(fd) {
            finishRecords(receiver)
            offset = 0
            truncations += 1
            fingerprint = Fingerprint()
        }
        if fingerprint.length < Fingerprint.bytes { fingerprint = Fingerprint.of(fd) ?? fingerprint }
        var total = 0
        while total < budget, !receiver.isPaused {
            let count = pread(fd, buffer, Self.pieceBytes, off_t(offset))
            if count < 0 && cl_errno() == EINTR { continue }
            guard count > 0 else { break }
            offset += count
            total += count
            if joiner == nil {
                // The common case without the closure's detour.
                lines.feed(ByteView(buffer, count)) { line, _ in
                    if !line.isEmpty { receiver.take(line, input: input) }
                }
            } else {
                lines.feed(ByteView(buffer, count)) { deliver($0, $1, receiver) }
            }
            if count < Self.pieceBytes { break }
        }
        if total > 0 { lastData = now } else { flushJoinerIfIdle(now, receiver) }
        return total
    }

    private func flushJoinerIfIdle(_ now: Int64, _ receiver: any LineReceiver) {
        guard let limit = joiner?.limits.flushMilliseconds, now - lastData >= limit, lines.pendingBytes == 0 else {
            return
        }
        joiner?.flush { receiver.take($0, input: input) }
    }

    /// What is unfinished becomes records: nothing more will come.
    func finishRecords(_ receiver: any LineReceiver) {
        lines.flush { deliver($0, $1, receiver) }
        joiner?.flush { receiver.take($0, input: input) }
    }
}
