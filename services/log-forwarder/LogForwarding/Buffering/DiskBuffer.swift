// What has been read and not yet acknowledged, on disk.
//
// Blocks of entries, LZ4-compressed and checksummed, in segment files that are only appended to. A block leaves by one byte in its
// header, a segment by unlink when its last block has left. The order of reading is the order of writing; memory holds one
// small object a segment, never one a block, so an hour without a receiver costs no memory. When the bound is reached the oldest
// segment goes, with what is in it.
//
// Rejected: a database (size, dependencies); one file a chunk (a file a second for days); keeping chunks in memory beside the disk.
//
// Invariants (`checkInvariants`): total is the sum of the segments' sizes and within the bound; the cursor is in the first segment
// that may hold blocks not handed out; live counts are those of the blocks whose state byte is live.
import ByteStorage
import CLinux
import Compression
import Glibc

/// A block that was handed out for sending.
public struct BufferedBlock: Equatable, Sendable {
    public let segment: UInt64
    let offset: Int
    public let records: Int
    public let unpackedBytes: Int
    let tagLength: Int
    let payloadLength: Int
    let checksum: UInt64
    /// Random when the block was made, and the same after a restart.
    public let chunkID: String
}

public final class DiskBuffer {
    public struct Settings: Sendable {
        public var folder: String
        public var maximumBytes = 256 << 20
        public var segmentBytes = 4 << 20

        public init(folder: String) { self.folder = folder }
    }

    /// Counts since the start.
    public struct Statistics: Sendable {
        public var appendedBlocks: UInt64 = 0
        public var appendedBytes: UInt64 = 0
        /// Lost because the bound was reached.
        public var droppedRecords: UInt64 = 0
        public var droppedSegments: UInt64 = 0
        /// Blocks whose checksum did not match, and stretches without a readable block.
        public var damagedBlocks: UInt64 = 0
        /// Bytes cut from the ends of segments at the start.
        public var tornBytes: UInt64 = 0
        public var recoveredBlocks: UInt64 = 0
        public var recoveredRecords: UInt64 = 0
    }

    private let settings: Settings
    private let randomNumber: () -> UInt64
    private var segments: [Segment] = []
    private var nextSegment: UInt64 = 1
    private var nextSequence: UInt64 = 1
    private var cursor: (segment: UInt64, offset: Int) = (0, 0)
    private var compressor: LZ4FrameWriter
    private var decompressor: LZ4FrameReader
    private let scratch = OutputBuffer.create(capacity: 4096)
    private var hasNewSegment = false
    public private(set) var totalBytes = 0
    public private(set) var statistics = Statistics()

    /// Opens the buffer in a folder, which is made if needed, and finds what an earlier process left.
    ///
    /// - Parameter randomNumber: for the identifiers of chunks.
    public init(_ settings: Settings, randomNumber: @escaping () -> UInt64) throws(FileFailure) {
        self.settings = settings
        self.randomNumber = randomNumber
        do throws(LZ4FrameError) {
            compressor = try LZ4FrameWriter()
            decompressor = try LZ4FrameReader()
        } catch { throw FileFailure("lz4", ENOMEM) }
        if mkdir(settings.folder, 0o700) != 0, cl_errno() != EEXIST { throw FileFailure("mkdir \(settings.folder)") }
        try recover()
    }

    deinit { scratch.destroy() }

    public var liveRecords: Int { segments.reduce(0) { $0 + $1.liveRecords } }
    public var liveBlocks: Int { segments.reduce(0) { $0 + $1.liveBlocks } }
    public var segmentCount: Int { segments.count }

    // MARK: Recovery

    private func recover() throws(FileFailure) {
        guard let folder = opendir(settings.folder) else { throw FileFailure("open \(settings.folder)") }
        var numbers: [UInt64] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let number = Segment.number(ofName: name) { numbers.append(number) }
        }
        closedir(folder)
        for number in numbers.sorted() {
            nextSegment = max(nextSegment, number &+ 1)
            let segment = try openSegment(number, create: false)
            recover(segment)
            if segment.liveBlocks == 0 {
                unlink(segment.path)
            } else {
                segments.append(segment)
                totalBytes += segment.size
            }
        }
        cursor = (segments.first?.number ?? nextSegment, 0)
        statistics.recoveredRecords = UInt64(liveRecords)
        statistics.recoveredBlocks = UInt64(liveBlocks)
    }

    /// Walks over the headers, counts, and cuts what lies behind the last whole block.
    private func recover(_ segment: Segment) {
        var position = 0
        while let (offset, header) = segment.block(from: position, scratch: scratch) {
            if offset > position { statistics.damagedBlocks += 1 }
            position = offset + header.totalLength
            nextSequence = max(nextSequence, header.sequence &+ 1)
            if !header.isAcknowledged {
                segment.liveBlocks += 1
                segment.liveRecords += header.records
            }
        }
        guard position < segment.size else { return }
        statistics.tornBytes += UInt64(segment.size - position)
        ftruncate(segment.fd, off_t(position))
        segment.size = position
    }

    private func openSegment(_ number: UInt64, create: Bool) throws(FileFailure) -> Segment {
        let path = settings.folder + "/" + Segment.name(number)
        let fd = cl_open(path, O_RDWR | (create ? O_CREAT | O_EXCL : 0), 0o600)
        guard fd >= 0 else { throw FileFailure("open \(path)") }
        var status = stat()
        guard fstat(fd, &status) == 0 else {
            let failure = FileFailure("stat \(path)")
            close(fd)
            throw failure
        }
        return Segment(number: number, path: path, fd: fd, size: Int(status.st_size))
    }

    // MARK: Writing

    /// Adds a block. When this returns, it survives the end of the process; after `sync`, that of the machine.
    ///
    /// - Parameter entries: entries of the forward protocol, one after the other.
    /// - Throws: what the system said; the buffer is as it was before.
    public func append(tag: String, entries: ByteView, records: Int) throws(FileFailure) {
        let tagBytes = Array(tag.utf8)
        scratch.removeAll()
        _ = scratch.reserve(BlockHeader.bytes)
        scratch.commit(BlockHeader.bytes)
        scratch.append(tagBytes)
        let start = BlockHeader.bytes + tagBytes.count
        do throws(LZ4FrameError) {
            try compressor.begin(into: scratch)
            try compressor.append(entries, into: scratch)
            try compressor.finish(into: scratch)
        } catch {
            // No memory for another one either: the next `begin` starts this one anew or fails as this time.
            do throws(LZ4FrameError) { compressor = try LZ4FrameWriter() } catch {}
            throw FileFailure("lz4", ENOMEM)
        }
        guard tagBytes.count <= BlockHeader.longestTag, scratch.count - start <= BlockHeader.largestPayload,
            entries.count <= BlockHeader.largestUnpacked
        else { throw FileFailure("append to \(settings.folder)", EFBIG) }
        let header = BlockHeader(
            tagLength: tagBytes.count, payloadLength: scratch.count - start, unpackedLength: entries.count,
            records: records, sequence: nextSequence, chunkID: (randomNumber(), randomNumber()),
            contentChecksum: CRC64.of(scratch.view.slice(BlockHeader.bytes, scratch.count)))
        // SAFETY: the first 64 readable bytes were reserved for it above.
        header.write(to: UnsafeMutableRawPointer(mutating: scratch.readable))
        let segment = try segmentForWriting(header.totalLength)
        try segment.append(scratch.view)
        nextSequence += 1
        segment.liveBlocks += 1
        segment.liveRecords += records
        totalBytes += header.totalLength
        segment.isDirty = true
        statistics.appendedBlocks += 1
        statistics.appendedBytes += UInt64(header.totalLength)
        scratch.removeAll()
        scratch.shrink(to: 512 << 10)
    }

    /// The last segment, or a new one, with room under the bound.
    private func segmentForWriting(_ bytes: Int) throws(FileFailure) -> Segment {
        let limit = max(settings.maximumBytes, bytes)
        while totalBytes + bytes > limit, let oldest = segments.first {
            statistics.droppedRecords += UInt64(oldest.liveRecords)
            statistics.droppedSegments += 1
            remove(oldest)
        }
        if let last = segments.last, last.size + bytes <= settings.segmentBytes || last.size == 0 { return last }
        if let last = segments.last, last.liveBlocks == 0 { remove(last) }
        let segment = try openSegment(nextSegment, create: true)
        nextSegment += 1
        hasNewSegment = true
        segments.append(segment)
        return segment
    }

    private func remove(_ segment: Segment) {
        unlink(segment.path)
        totalBytes -= segment.size
        segments.removeAll { $0 === segment }
    }

    /// Waits until everything appended is on the disk.
    public func sync() throws(FileFailure) {
        for segment in segments where segment.isDirty {
            guard fdatasync(segment.fd) == 0 else { throw FileFailure("fdatasync \(segment.path)") }
            segment.isDirty = false
        }
        if hasNewSegment { SmallFile.syncFolder(of: settings.folder + "/") }
        hasNewSegment = false
    }

    // MARK: Reading

    /// The next block that has not been handed out since the start; nil: none.
    public func next() -> BufferedBlock? {
        while let index = segments.firstIndex(where: { $0.number >= cursor.segment }) {
            let segment = segments[index]
            if segment.number > cursor.segment { cursor = (segment.number, 0) }
            while cursor.offset < segment.size {
                guard let (offset, header) = segment.block(from: cursor.offset, scratch: scratch) else {
                    statistics.damagedBlocks += 1
                    cursor.offset = segment.size
                    break
                }
                if offset > cursor.offset { statistics.damagedBlocks += 1 }
                cursor.offset = offset + header.totalLength
                if header.isAcknowledged { continue }
                return BufferedBlock(
                    segment: segment.number, offset: offset, records: header.records,
                    unpackedBytes: header.unpackedLength, tagLength: header.tagLength,
                    payloadLength: header.payloadLength, checksum: header.contentChecksum,
                    chunkID: ChunkID.text(header.chunkID))
            }
            // The last segment still grows.
            guard index + 1 < segments.count else { return nil }
            cursor = (segment.number + 1, 0)
        }
        return nil
    }

    /// Reads a block's entries into `output`, which is emptied first.
    ///
    /// - Returns: the tag; nil when the block is gone or damaged. A damaged one counts as lost and leaves.
    public func load(_ block: BufferedBlock, into output: OutputBuffer) -> String? {
        output.removeAll()
        guard let segment = segments.first(where: { $0.number == block.segment }) else { return nil }
        let count = block.tagLength + block.payloadLength
        scratch.removeAll()
        guard segment.read(count, at: block.offset + BlockHeader.bytes, into: scratch.reserve(count)) else {
            return discard(block)
        }
        scratch.commit(count)
        guard CRC64.of(scratch.view) == block.checksum else { return discard(block) }
        let tag = scratch.view.slice(0, block.tagLength).string
        guard decompress(scratch.view.slice(block.tagLength, count), block.unpackedBytes, output) else {
            // No memory for another one: blocks are refused and counted as damaged until there is.
            do throws(LZ4FrameError) { decompressor = try LZ4FrameReader() } catch {}
            return discard(block)
        }
        scratch.removeAll()
        return tag
    }

    private func decompress(_ payload: ByteView, _ expected: Int, _ output: OutputBuffer) -> Bool {
        do throws(LZ4FrameError) {
            // One more than expected: the end mark is only taken when there is room beyond the content.
            let consumed = try decompressor.decompress(payload, into: output, limit: expected + 1)
            return consumed == payload.count && output.count == expected && decompressor.isAtFrameBoundary
        } catch { return false }
    }

    private func discard(_ block: BufferedBlock) -> String? {
        statistics.damagedBlocks += 1
        statistics.droppedRecords += UInt64(block.records)
        acknowledge(block)
        return nil
    }

    /// The receiver has it: it will not be handed out again, also not after a restart.
    public func acknowledge(_ block: BufferedBlock) {
        guard let segment = segments.first(where: { $0.number == block.segment }) else { return }
        var state = BlockHeader.acknowledged
        _ = pwrite(segment.fd, &state, 1, off_t(block.offset + BlockHeader.stateOffset))
        segment.liveBlocks -= 1
        segment.liveRecords -= block.records
        guard segment.liveBlocks <= 0 else { return }
        // The last one is kept while it is small, so that a quiet log does not make and delete a file a second.
        let isLast = segment === segments.last
        if !isLast || segment.size >= settings.segmentBytes / 4 { remove(segment) }
    }

    /// Gives back the disk space of what has been acknowledged, for a disk that is full.
    public func releaseSpace() {
        if let last = segments.last, last.liveBlocks == 0 { remove(last) }
    }

    public func checkInvariants() -> String? {
        if totalBytes != segments.reduce(0, { $0 + $1.size }) { return "total \(totalBytes) is not the sum" }
        if totalBytes > settings.maximumBytes { return "\(totalBytes) bytes are over the bound" }
        if segments.contains(where: { $0.liveBlocks < 0 || $0.liveRecords < 0 }) { return "negative count" }
        return nil
    }
}

/// The name of a chunk on the wire.
enum ChunkID {
    /// Base 64 of 16 bytes, as Fluentd's clients do.
    static func text(_ id: (UInt64, UInt64)) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for word in [id.0, id.1] {
            for shift in stride(from: 56, through: 0, by: -8) {
                bits = bits << 8 | UInt32(truncatingIfNeeded: word >> UInt64(shift) & 0xff)
                count += 8
                while count >= 6 {
                    count -= 6
                    text.append(alphabet[Int(bits >> UInt32(count) & 63)])
                }
            }
        }
        text.append(alphabet[Int(bits << UInt32(6 - count) & 63)])
        return String(decoding: text, as: UTF8.self) + "=="
    }
}
