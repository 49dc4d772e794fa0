// Pieces of a stream into lines.
//
// A line that lies wholly inside a piece is passed on where it lies; only the unfinished rest of a piece is copied. A line over
// the limit is kept up to the limit, the rest is counted and skipped as it comes, so a stream without newlines costs no memory.
import ByteStorage
import CLinux

public struct LineAssembler {
    public static let terminator = UInt8(ascii: "\n")

    private let maximumBytes: Int
    private var carry: [UInt8] = []
    /// Bytes of the unfinished line that were not kept.
    private var skipped = 0

    public init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    /// Bytes of the source that belong to the unfinished line.
    public var pendingBytes: Int { carry.count + skipped }

    /// Takes the next piece; `emit` gets each line, without its end, and the bytes of the source that it took.
    @inline(__always)
    public mutating func feed(_ piece: ByteView, _ emit: (_ line: ByteView, _ sourceBytes: Int) -> Void) {
        var position = 0
        while position < piece.count {
            guard let found = memchr(piece.base + position, Int32(Self.terminator), piece.count &- position) else {
                return keep(piece.slice(position, piece.count))
            }
            let end = UnsafeRawPointer(found) - piece.base
            let part = piece.slice(position, end)
            position = end &+ 1
            if carry.isEmpty, part.count <= maximumBytes {
                emit(Self.withoutReturn(part), part.count &+ 1)
            } else {
                keep(part)
                finish(1, emit)
            }
        }
    }

    /// The unfinished line becomes a line: no more will come.
    public mutating func flush(_ emit: (_ line: ByteView, _ sourceBytes: Int) -> Void) {
        if pendingBytes > 0 { finish(0, emit) }
    }

    /// Forgets the unfinished line.
    public mutating func reset() {
        carry.removeAll(keepingCapacity: carry.capacity <= 65536)
        skipped = 0
    }

    private mutating func keep(_ part: ByteView) {
        let room = min(part.count, maximumBytes - carry.count)
        carry.append(contentsOf: part.slice(0, room).buffer)
        skipped += part.count - room
    }

    private mutating func finish(_ terminatorBytes: Int, _ emit: (ByteView, Int) -> Void) {
        let sourceBytes = pendingBytes + terminatorBytes
        if skipped > 0 {
            // Not in the middle of a character.
            var end = carry.count
            while end > 0, end > carry.count - 4, carry[end - 1] & 0xc0 == 0x80 { end -= 1 }
            if end > 0, carry[end - 1] >= 0xc0 { end -= 1 } else { end = carry.count }
            let lost = skipped + carry.count - end
            carry.removeSubrange(end...)
            carry += Array(" ... [\(lost) bytes cut]".utf8)
        }
        carry.withView { emit(Self.withoutReturn($0), sourceBytes) }
        reset()
    }

    @inline(__always) private static func withoutReturn(_ line: ByteView) -> ByteView {
        line.count > 0 && line[line.count &- 1] == 13 ? line.slice(0, line.count &- 1) : line
    }
}
