// Where log lines go: standard output, and optionally a file.
//
// A log must never stop the service. Standard output is often a pipe whose reader may stall, and its O_NONBLOCK flag is
// not ours to set (it belongs to the open file description, which others share). So each write to it is preceded by a
// poll and is no longer than PIPE_BUF: a pipe that polls writable takes that much without blocking. What does not go out
// waits in a bounded buffer for the next line or `flush`; beyond the bound lines are dropped and counted. Errors of
// writing are counted, never raised. A writer thread was rejected: it loses the last lines of a crash.
import Glibc
import Synchronization

public final class LogSink: Sendable {
    private struct Output: ~Copyable {
        var file = LogFile()
        var standardOutput: Int32 = -1
        var pending: [UInt8] = []
        var clock: @Sendable () -> (seconds: Int64, milliseconds: Int)
    }

    private let output: Mutex<Output>
    private let currentLevel: Atomic<Int>
    private let currentRole: Atomic<UInt8>
    private let currentFormat: Atomic<Bool>
    private let dropped = Atomic<UInt64>(0)
    private let failed = Atomic<UInt64>(0)
    public let service: String

    /// Bytes that may wait for standard output.
    public static let maximumPendingBytes = 256 << 10
    private static let pipeAtom = 4096

    /// A sink for `service`. Call `open(file:)` for a log file. Makes the process ignore SIGPIPE.
    ///
    /// - Parameter standardOutput: the descriptor to write to; -1 for none.
    public init(
        service: String, role: LogRole, level: LogLevel = .notice, format: LogFormat = .text,
        standardOutput: Int32 = 1, clock: (@Sendable () -> (seconds: Int64, milliseconds: Int))? = nil
    ) {
        self.service = service
        currentLevel = Atomic(level.rawValue)
        currentRole = Atomic(role.rawValue)
        currentFormat = Atomic(format == .json)
        output = Mutex(Output(standardOutput: standardOutput, clock: clock ?? Self.systemClock))
        signal(SIGPIPE, SIG_IGN)
    }

    public var level: LogLevel {
        get { LogLevel(rawValue: currentLevel.load(ordering: .relaxed)) ?? .notice }
        set { currentLevel.store(newValue.rawValue, ordering: .relaxed) }
    }

    public var role: LogRole {
        get { LogRole(rawValue: currentRole.load(ordering: .relaxed)) ?? .primary }
        set { currentRole.store(newValue.rawValue, ordering: .relaxed) }
    }

    public var format: LogFormat {
        get { currentFormat.load(ordering: .relaxed) ? .json : .text }
        set { currentFormat.store(newValue == .json, ordering: .relaxed) }
    }

    /// Lines lost because standard output did not take them in time.
    public var droppedLines: UInt64 { dropped.load(ordering: .relaxed) }
    /// Writes that failed, to the file or to standard output, and failed attempts to reopen or rotate the file.
    public var failedWrites: UInt64 { failed.load(ordering: .relaxed) }

    /// Also writes to `file`, in place of an earlier one; empty: to none. False, and the earlier one stays, if it
    /// cannot be opened.
    public func open(file path: String) -> Bool {
        output.withLock { output in
            if output.file.open(path) { return true }
            failed.add(1, ordering: .relaxed)
            return false
        }
    }

    /// How far the file may grow; without this, as far as there is room.
    public var fileLimits: LogFileLimits {
        get { output.withLock { $0.file.limits } }
        set { output.withLock { $0.file.limits = newValue } }
    }

    /// Opens the file again under its name, after it was rotated away. For SIGHUP, not from within the signal handler.
    public func reopen() {
        let path = output.withLock { $0.file.path }
        if !path.isEmpty { _ = open(file: path) }
    }

    /// Writes one line if its level passes.
    public func log(
        _ level: LogLevel, event: String, _ message: String, _ fields: [(name: String, value: String)] = []
    ) {
        guard level.rawValue >= currentLevel.load(ordering: .relaxed) else { return }
        output.withLock { output in
            let now = output.clock()
            let format = format
            let line = LogLine(
                seconds: now.seconds, milliseconds: now.milliseconds,
                utcOffsetSeconds: format == .text ? Self.utcOffset(now.seconds) : 0, processIdentifier: getpid(),
                role: role, level: level, service: service, event: event, message: message, fields: fields
            ).bytes(format)
            if !output.file.write(line) { failed.add(1, ordering: .relaxed) }
            writeStandardOutput(line, &output)
        }
    }

    /// Tries again to write what waits for standard output. Cheap when nothing does; for a timer of the loop.
    public func flush() {
        output.withLock { output in
            if !output.pending.isEmpty { drain(&output, timeoutMilliseconds: 0) }
        }
    }

    /// Waits up to the given time for standard output to take what waits. For the end of the process.
    public func finish(timeoutMilliseconds: Int32 = 200) {
        output.withLock { output in
            if !output.pending.isEmpty { drain(&output, timeoutMilliseconds: timeoutMilliseconds) }
        }
    }

    private func writeStandardOutput(_ line: [UInt8], _ output: inout Output) {
        guard output.standardOutput >= 0 else { return }
        guard output.pending.count + line.count <= Self.maximumPendingBytes else {
            drain(&output, timeoutMilliseconds: 0)
            guard output.pending.count + line.count <= Self.maximumPendingBytes else {
                dropped.add(1, ordering: .relaxed)
                return
            }
            output.pending += line
            return
        }
        output.pending += line
        drain(&output, timeoutMilliseconds: 0)
    }

    /// Writes pending bytes as long as the descriptor takes them at once, or within the timeout of each step.
    private func drain(_ output: inout Output, timeoutMilliseconds: Int32) {
        var written = 0
        defer { output.pending.removeFirst(written) }
        while written < output.pending.count {
            var request = pollfd(fd: output.standardOutput, events: Int16(POLLOUT), revents: 0)
            guard poll(&request, 1, timeoutMilliseconds) > 0 else { return }
            let count = output.pending.withUnsafeBytes { bytes -> Int in
                let piece = min(bytes.count - written, Self.pipeAtom)
                guard let base = bytes.baseAddress else { return 0 }
                return write(output.standardOutput, base + written, piece)
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN { return }
            guard count > 0 else {
                failed.add(1, ordering: .relaxed)
                // Nobody reads any more: keeping the bytes would only delay the loss.
                written = output.pending.count
                return
            }
            written += count
        }
    }

    private static let systemClock: @Sendable () -> (seconds: Int64, milliseconds: Int) = {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return (Int64(now.tv_sec), now.tv_nsec / 1_000_000)
    }

    private static func utcOffset(_ seconds: Int64) -> Int64 {
        var time = time_t(seconds)
        var parts = tm()
        guard localtime_r(&time, &parts) != nil else { return 0 }
        return Int64(parts.tm_gmtoff)
    }
}
