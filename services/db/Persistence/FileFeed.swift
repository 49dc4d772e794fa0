import ByteStorage
import CLinux
import Compression

// A file as the refill of a byte source: as it is, or through the LZ4 decoder when it starts with a frame's magic.

/// How far a load is, in bytes of files on disk.
public struct LoadProgress: Sendable, Equatable {
    public var file: String
    public var bytesDone: Int64
    public var bytesTotal: Int64
}

/// An open file that is read once from front to back. Owned by one thread.
final class FileFeed {
    let path: String
    private(set) var size: Int64 = 0
    private let descriptor: Int32
    private(set) var bytesRead: Int64 = 0
    private var decoder: LZ4FrameReader?
    /// Undecoded input, when there is a decoder.
    private let packed: OutputBuffer
    private var ended = false

    private static let readBytes = 256 << 10

    init(path: String) throws(PersistenceError) {
        self.path = path
        descriptor = try Files.open(path, O_RDONLY)
        packed = .create(capacity: 64)
        size = try Files.size(descriptor, path)
        posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_SEQUENTIAL))
        packed.commit(try Files.read(descriptor, packed.reserve(4), 4, path))
        bytesRead = Int64(packed.count)
        if packed.view.array == LZ4Frame.magic {
            do throws(LZ4FrameError) { decoder = try LZ4FrameReader() } catch {
                throw PersistenceError(.system, error.description)
            }
        }
    }

    deinit {
        close(descriptor)
        packed.destroy()
    }

    var isCompressed: Bool { decoder != nil }

    /// The refill of a byte source.
    func read(_ target: UnsafeMutableRawPointer, _ room: Int) throws(PersistenceError) -> Int {
        if decoder != nil { return try decode(target, room) }
        if !packed.isEmpty {
            let count = min(room, packed.count)
            target.copyMemory(from: packed.readable, byteCount: count)
            packed.consume(count)
            return count
        }
        let count = try Files.read(descriptor, target, room, path)
        bytesRead += Int64(count)
        return count
    }

    private func decode(_ target: UnsafeMutableRawPointer, _ room: Int) throws(PersistenceError) -> Int {
        while true {
            do throws(LZ4FrameError) {
                let step = try decoder?.decompress(packed.view, into: target, room: room)
                guard let step else { return 0 }
                packed.consume(step.consumed)
                if step.produced > 0 { return step.produced }
            } catch {
                let code: PersistenceError.Code = error.code == .contentChecksum ? .checksum : .damaged
                var failure = PersistenceError(
                    code, "\(error.description), in the compressed file before byte \(bytesRead)")
                failure.file = path
                throw failure
            }
            if ended {
                guard packed.isEmpty, decoder?.isAtFrameBoundary ?? true else {
                    var failure = PersistenceError(
                        .truncated, "the compressed file ends inside an LZ4 frame, after \(bytesRead) bytes")
                    failure.file = path
                    throw failure
                }
                return 0
            }
            let count = try Files.read(
                descriptor, packed.reserve(FileFeed.readBytes), FileFeed.readBytes, path)
            packed.commit(count)
            bytesRead += Int64(count)
            ended = count == 0
        }
    }
}

extension ByteSource {
    /// - Parameter progress: called about every megabyte of the stream.
    init(feed: FileFeed, progress: (() -> Void)? = nil) {
        self.init { (target, room) throws(PersistenceError) in try feed.read(target, room) }
        if let progress { onProgress = { _ in progress() } }
    }
}

/// Loads a snapshot file, plain or in LZ4 frames.
public enum SnapshotLoader {
    /// - Parameter progress: called about every megabyte.
    /// - Throws: errors with the file's path; offsets are those of the decompressed stream.
    public static func load<Sink: RDBSink>(
        _ path: String, into sink: inout Sink, maximumStringBytes: Int = 512 << 20, verifyChecksum: Bool = true,
        progress: ((LoadProgress) -> Void)? = nil
    ) throws(PersistenceError) -> RDBSummary {
        do throws(PersistenceError) {
            let feed = try FileFeed(path: path)
            var source = ByteSource(feed: feed) {
                progress?(LoadProgress(file: path, bytesDone: feed.bytesRead, bytesTotal: feed.size))
            }
            var reader = RDBReader()
            reader.maximumStringBytes = maximumStringBytes
            reader.verifiesChecksum = verifyChecksum
            let summary = try reader.load(from: &source, into: &sink)
            // Also brings the LZ4 decoder to the end of its frame, where its checksum is.
            guard try !source.ensure(1) else {
                throw PersistenceError(.damaged, "expected the end of the file", offset: source.offset)
            }
            return summary
        } catch {
            var error = error
            if error.file.isEmpty { error.file = path }
            throw error
        }
    }
}
