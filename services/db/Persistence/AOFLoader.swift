import ByteStorage
import CLinux

// Loads an append-only log: the base, then each increment.
//
// What an unclean stop can leave behind is repaired, anything else is an error:
// - The last file may end inside a command, or in zero bytes (a file system may have grown the file before it wrote the
//   data): it is cut at the end of the last whole command.
// - The last file may end inside a transaction: nothing of it has been delivered, and it is cut at its MULTI.
// - A file that is not the last one was synchronised before the next was begun; if it is torn, data is missing.
// The commands of a transaction are gathered and delivered when its EXEC has been seen.

/// Receives what a log holds: the keys of an RDB base, and commands.
public protocol AOFSink: RDBSink {
    /// A command to be executed, MULTI and EXEC excepted. The views are valid during the call only.
    mutating func command(_ arguments: borrowing [ByteView]) throws(SinkRefusal)
}

public struct AOFLoadReport: Sendable, Equatable {
    /// Where the last file was (or would be, see `cutsTornTail`) cut.
    public struct Cut: Sendable, Equatable {
        public var file: String
        public var offset: UInt64
        public var bytes: UInt64
        public var insideTransaction: Bool
    }

    public var files = 0
    public var commands: UInt64 = 0
    public var bytes: Int64 = 0
    public var baseKeys: UInt64 = 0
    public var cut: Cut?

    public init() {}
}

public struct AOFLoader {
    public var directory: AOFDirectory
    /// `aof-load-truncated`: whether a torn tail is cut, or an error.
    public var cutsTornTail = true
    /// `proto-max-bulk-len`
    public var maximumBulkBytes = 512 << 20
    public var verifiesChecksum = true

    public init(directory: AOFDirectory) { self.directory = directory }

    /// Loads all files of the manifest in order.
    ///
    /// - Parameter progress: called about every megabyte, with sums over all files.
    public func load<Sink: AOFSink>(
        _ manifest: AOFManifest, into sink: inout Sink, progress: ((LoadProgress) -> Void)? = nil
    ) throws(PersistenceError) -> AOFLoadReport {
        var report = AOFLoadReport()
        let entries = manifest.loadOrder
        var total: Int64 = 0
        for entry in entries {
            guard let size = Files.size(of: directory.path(of: entry)) else {
                throw .system("a file of the manifest", directory.path(of: entry))
            }
            total += size
        }
        for (index, entry) in entries.enumerated() {
            let path = directory.path(of: entry)
            do throws(PersistenceError) {
                let feed = try FileFeed(path: path)
                let before = report.bytes
                var source = ByteSource(feed: feed) {
                    progress?(LoadProgress(file: path, bytesDone: before + feed.bytesRead, bytesTotal: total))
                }
                try load(&source, feed, isLast: index == entries.count - 1, into: &sink, &report)
                report.files += 1
                report.bytes += feed.size
            } catch {
                var error = error
                if error.file.isEmpty { error.file = path }
                throw error
            }
        }
        return report
    }

    private func load<Sink: AOFSink>(
        _ source: inout ByteSource, _ feed: FileFeed, isLast: Bool, into sink: inout Sink,
        _ report: inout AOFLoadReport
    ) throws(PersistenceError) {
        if try source.ensure(5), source.unread.slice(0, 5) == ByteView(RDBFormat.magic) {
            var reader = RDBReader()
            reader.maximumStringBytes = maximumBulkBytes
            reader.verifiesChecksum = verifiesChecksum
            report.baseKeys += try reader.load(from: &source, into: &sink).keys
        }
        var replay = Replay(maximumBulkBytes: maximumBulkBytes)
        guard let tear = try replay.run(&source, into: &sink, &report.commands) else { return }
        let end = try source.skipToEnd(zerosFrom: tear.kind.damageOffset ?? .max)
        if case .damage(let offset, let expected) = tear.kind {
            guard isLast, !feed.isCompressed, end.onlyZeros else {
                throw PersistenceError(.damaged, "expected \(expected)", offset: offset)
            }
        }
        guard isLast, cutsTornTail, !feed.isCompressed else {
            let what = tear.insideTransaction ? "a transaction without EXEC" : "an unfinished command"
            throw PersistenceError(
                .truncated, "the file ends inside \(what) (\(end.offset - tear.offset) bytes)", offset: tear.offset)
        }
        try cut(feed.path, at: tear.offset)
        report.cut = AOFLoadReport.Cut(
            file: feed.path, offset: tear.offset, bytes: end.offset - tear.offset,
            insideTransaction: tear.insideTransaction)
    }

    private func cut(_ path: String, at offset: UInt64) throws(PersistenceError) {
        let descriptor = try Files.open(path, O_WRONLY)
        defer { close(descriptor) }
        guard directory.calls.truncate(descriptor, Int64(offset)) == 0 else { throw .system("truncate", path) }
        guard directory.calls.synchronize(descriptor) == 0 else { throw .system("fsync", path) }
    }
}

/// Where and why a file stops being replayable.
private struct Tear {
    enum Kind {
        case unfinished
        case damage(at: UInt64, expected: StaticString)

        var damageOffset: UInt64? { if case .damage(let offset, _) = self { offset } else { nil } }
    }

    let kind: Kind
    let insideTransaction: Bool
    /// The end of the last whole command or transaction.
    let offset: UInt64
}

/// Replays one file. Holds the bytes of a transaction from its MULTI on.
private struct Replay: ~Copyable {
    private var reader: AOFCommandReader
    private let transaction: OutputBuffer
    private var transactionOffset: UInt64?
    private let maximumBulkBytes: Int

    init(maximumBulkBytes: Int) {
        reader = AOFCommandReader(maximumBulkBytes: maximumBulkBytes)
        transaction = .create(capacity: 256)
        self.maximumBulkBytes = maximumBulkBytes
    }

    deinit { transaction.destroy() }

    /// - Returns: nil when the file was replayed to its end.
    mutating func run<Sink: AOFSink>(
        _ source: inout ByteSource, into sink: inout Sink, _ commands: inout UInt64
    ) throws(PersistenceError) -> Tear? {
        while true {
            let offset = source.offset
            func tear(_ kind: Tear.Kind) -> Tear {
                Tear(kind: kind, insideTransaction: transactionOffset != nil, offset: transactionOffset ?? offset)
            }
            switch try reader.next(&source) {
            case .end: return transactionOffset == nil ? nil : tear(.unfinished)
            case .torn: return tear(.unfinished)
            case .damaged(let at, let expected):
                return tear(.damage(at: offset + UInt64(at), expected: expected))
            case .annotation(let size):
                if transactionOffset != nil { transaction.append(source.unread.slice(0, size)) }
                source.consume(size)
            case .command(let size):
                let name = reader.arguments[0]
                if reader.arguments.count == 1, name.equalsIgnoringCase("multi") {
                    guard transactionOffset == nil else {
                        throw PersistenceError(.damaged, "expected no MULTI inside a transaction", offset: offset)
                    }
                    transactionOffset = offset
                    transaction.removeAll()
                    transaction.append(source.unread.slice(0, size))
                } else if reader.arguments.count == 1, name.equalsIgnoringCase("exec") {
                    guard let start = transactionOffset else {
                        throw PersistenceError(.damaged, "expected MULTI before EXEC", offset: offset)
                    }
                    try deliverTransaction(from: start, into: &sink, &commands)
                    transactionOffset = nil
                    transaction.removeAll()
                    transaction.shrink(to: 1 << 20)
                } else if transactionOffset != nil {
                    transaction.append(source.unread.slice(0, size))
                } else {
                    try deliver(reader.arguments, offset, into: &sink)
                    commands &+= 1
                }
                source.consume(size)
            }
        }
    }

    private func deliver<Sink: AOFSink>(
        _ arguments: [ByteView], _ offset: UInt64, into sink: inout Sink
    ) throws(PersistenceError) {
        do throws(SinkRefusal) { try sink.command(arguments) } catch {
            throw PersistenceError(
                .refused, "command \(PersistenceError.printable(arguments[0].array)): \(error.reason)", offset: offset)
        }
    }

    private func deliverTransaction<Sink: AOFSink>(
        from start: UInt64, into sink: inout Sink, _ commands: inout UInt64
    ) throws(PersistenceError) {
        var source = ByteSource(borrowing: transaction.view)
        var reader = AOFCommandReader(maximumBulkBytes: maximumBulkBytes)
        var isFirst = true
        while true {
            let offset = source.offset
            switch try reader.next(&source) {
            case .annotation(let size): source.consume(size)
            case .command(let size):
                if !isFirst {
                    try deliver(reader.arguments, start + offset, into: &sink)
                    commands &+= 1
                }
                isFirst = false
                source.consume(size)
            default: return  // The end: each byte has been through the same reader before.
            }
        }
    }
}

extension ByteSource {
    /// Reads and drops what is left.
    ///
    /// - Returns: the offset of the end, and whether every byte from the given offset on is zero.
    fileprivate mutating func skipToEnd(
        zerosFrom: UInt64
    ) throws(PersistenceError) -> (offset: UInt64, onlyZeros: Bool) {
        var onlyZeros = true
        while try ensure(1) {
            let view = unread
            let first = zerosFrom > offset ? Int(min(UInt64(view.count), zerosFrom - offset)) : 0
            for index in first..<view.count where view[index] != 0 { onlyZeros = false }
            consume(view.count)
        }
        return (offset, onlyZeros)
    }
}
