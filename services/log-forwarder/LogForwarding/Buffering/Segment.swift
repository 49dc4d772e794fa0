import ByteStorage
import CLinux

/// One file of the buffer. Blocks follow one another; damaged stretches between them are passed over.
final class Segment {
    let number: UInt64
    let path: String
    let fd: Int32
    var size: Int
    /// Blocks and records that have not been acknowledged.
    var liveBlocks = 0
    var liveRecords = 0
    /// Written to since the last sync.
    var isDirty = false

    init(number: UInt64, path: String, fd: Int32, size: Int) {
        self.number = number
        self.path = path
        self.fd = fd
        self.size = size
    }

    deinit { close(fd) }

    static func name(_ number: UInt64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text + ".blocks"
    }

    static func number(ofName name: String) -> UInt64? {
        guard name.hasSuffix(".blocks"), name.utf8.count == 23 else { return nil }
        return UInt64(name.dropLast(7), radix: 16)
    }

    func read(_ count: Int, at offset: Int, into target: UnsafeMutableRawPointer) -> Bool {
        var done = 0
        while done < count {
            let result = pread(fd, target + done, count - done, off_t(offset + done))
            if result < 0 && cl_errno() == EINTR { continue }
            guard result > 0 else { return false }
            done += result
        }
        return true
    }

    /// Writes at the end. On failure the file is what it was before.
    func append(_ view: ByteView) throws(FileFailure) {
        var done = 0
        while done < view.count {
            let result = pwrite(fd, view.base + done, view.count - done, off_t(size + done))
            if result < 0 && cl_errno() == EINTR { continue }
            guard result > 0 else {
                let failure = FileFailure("write \(path)", result == 0 ? ENOSPC : cl_errno())
                ftruncate(fd, off_t(size))
                throw failure
            }
            done += result
        }
        size += view.count
    }

    /// The first block at or after `offset` whose header is good and whose content lies wholly in the file.
    ///
    /// - Parameter scratch: for the search through a damaged stretch.
    func block(from offset: Int, scratch: OutputBuffer) -> (offset: Int, header: BlockHeader)? {
        if let header = header(at: offset) { return (offset, header) }
        // Look for the magic number byte by byte, a piece at a time; pieces overlap by three bytes.
        var position = offset + 1
        let pieceBytes = 64 << 10
        while position + BlockHeader.bytes <= size {
            let count = min(pieceBytes, size - position)
            scratch.removeAll()
            guard read(count, at: position, into: scratch.reserve(count)) else { return nil }
            scratch.commit(count)
            let view = scratch.view
            var index = 0
            while index + 4 <= count {
                if view.base.loadUnaligned(fromByteOffset: index, as: UInt32.self) == BlockHeader.magic.littleEndian,
                    let header = header(at: position + index)
                {
                    return (position + index, header)
                }
                index += 1
            }
            if count < pieceBytes { return nil }
            position += count - 3
        }
        return nil
    }

    private func header(at offset: Int) -> BlockHeader? {
        guard offset >= 0, offset + BlockHeader.bytes <= size else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: BlockHeader.bytes, alignment: 8) { buffer in
            guard let base = buffer.baseAddress, read(BlockHeader.bytes, at: offset, into: base),
                let header = BlockHeader(ByteView(base, BlockHeader.bytes)), offset + header.totalLength <= size
            else { return nil }
            return header
        }
    }
}
