import ByteStorage
import CLinux
import Compression

// A buffered, pulled stream of bytes for the readers of snapshots and logs.
//
// The readers want contiguous views without copies, so the source keeps unread bytes in one buffer and refills it from
// a closure (a file, a decompressor, a socket). It grows by doubling as bytes arrive: a length found in the data is
// asked for, never allocated for, so a damaged length costs nothing but an error. The checksum over what was consumed
// is computed lazily, in large runs, when the buffer is compacted.
//
// Layout: `[... checksummed ... start)[start ... end) unread [end ... capacity) free`; `baseOffset` is the stream's
// offset of the buffer's first byte.

public struct ByteSource: ~Copyable {
    /// Puts up to `room` (at least 1) bytes at `target` and returns their number, 0 at the end. May block.
    public typealias Refill = (_ target: UnsafeMutableRawPointer, _ room: Int) throws(PersistenceError) -> Int

    /// Called with the stream's offset about every `progressStepBytes`, between two refills.
    public var onProgress: ((UInt64) -> Void)?
    public static let progressStepBytes: UInt64 = 1 << 20

    static let usualCapacity = 256 << 10

    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private let ownsBase: Bool
    private var start = 0
    private var end: Int
    private var ended: Bool
    private let refill: Refill
    private var baseOffset: UInt64 = 0
    private var nextProgress = ByteSource.progressStepBytes

    private var checksummed = 0
    private var crc = CRC64()
    /// Whether consumed bytes go into the checksum.
    private var checksumming = false

    public init(refill: @escaping Refill) {
        base = allocateBytes(ByteSource.usualCapacity)
        capacity = ByteSource.usualCapacity
        ownsBase = true
        end = 0
        ended = false
        self.refill = refill
    }

    /// A source over bytes in memory, which must outlive it and stay unchanged.
    public init(borrowing view: ByteView) {
        // SAFETY: never written to: compaction and growth are for owned buffers, and `ended` stops both before them.
        base = UnsafeMutableRawPointer(mutating: view.base)
        capacity = view.count
        ownsBase = false
        end = view.count
        ended = true
        refill = { (_, _) throws(PersistenceError) in 0 }
    }

    deinit { if ownsBase { free(base) } }

    /// Offset in the stream of the next unread byte.
    public var offset: UInt64 { baseOffset &+ UInt64(start) }
    /// Unread bytes in the buffer.
    public var buffered: Int { end &- start }
    /// The unread bytes in the buffer; valid until the next call of a mutating method that may refill.
    public var unread: ByteView { ByteView(base + start, end &- start) }

    /// Makes at least `count` unread bytes contiguous in the buffer, or all that are left.
    ///
    /// - Returns: whether there are `count` bytes.
    @inline(__always) public mutating func ensure(_ count: Int) throws(PersistenceError) -> Bool {
        if end &- start >= count { return true }
        return try fill(count)
    }

    private mutating func fill(_ count: Int) throws(PersistenceError) -> Bool {
        if ended { return false }
        compact(expecting: count)
        while end &- start < count {
            if end == capacity { grow() }
            let got = try refill(base + end, capacity &- end)
            guard got > 0 else {
                ended = true
                return false
            }
            end &+= min(got, capacity &- end)
            let total = baseOffset &+ UInt64(end)
            if total >= nextProgress {
                nextProgress = total &+ ByteSource.progressStepBytes
                onProgress?(total)
            }
        }
        return true
    }

    private mutating func compact(expecting count: Int) {
        guard start > 0 else { return }
        updateChecksum()
        memmove(base, base + start, end &- start)
        baseOffset &+= UInt64(start)
        end &-= start
        start = 0
        checksummed = 0
        if capacity > 16 &* ByteSource.usualCapacity && count < ByteSource.usualCapacity
            && end < ByteSource.usualCapacity
        {
            base = reallocate(ByteSource.usualCapacity)
        }
    }

    private mutating func grow() {
        base = reallocate(capacity &* 2)
    }

    private mutating func reallocate(_ size: Int) -> UnsafeMutableRawPointer {
        guard let moved = realloc(base, size) else { outOfMemory(size) }
        capacity = size
        return moved
    }

    /// Moves past `count` bytes, which must be in the buffer.
    @inline(__always) public mutating func consume(_ count: Int) {
        precondition(count <= end &- start)
        start &+= count
    }

    /// The next `count` bytes, consumed. The view is valid until the next call.
    @inline(__always)
    public mutating func take(_ count: Int, _ expected: StaticString) throws(PersistenceError) -> ByteView {
        guard try ensure(count) else { throw truncated(count, expected) }
        let view = ByteView(base + start, count)
        start &+= count
        return view
    }

    @inline(__always) public mutating func byte(_ expected: StaticString) throws(PersistenceError) -> UInt8 {
        guard try ensure(1) else { throw truncated(1, expected) }
        let value = base.load(fromByteOffset: start, as: UInt8.self)
        start &+= 1
        return value
    }

    @inline(__always)
    public mutating func integer<Value: FixedWidthInteger>(
        _ type: Value.Type, _ expected: StaticString
    ) throws(PersistenceError) -> Value {
        let size = MemoryLayout<Value>.size
        guard try ensure(size) else { throw truncated(size, expected) }
        let value = base.loadUnaligned(fromByteOffset: start, as: Value.self)
        start &+= size
        return value
    }

    @inline(never) private func truncated(_ count: Int, _ expected: StaticString) -> PersistenceError {
        PersistenceError(
            .truncated, "expected \(expected) of \(count) bytes, the data ends after \(end &- start)", offset: offset)
    }

    // MARK: Checksum

    /// From here on consumed bytes are summed, starting at 0.
    public mutating func beginChecksum() {
        checksumming = true
        checksummed = start
        crc = CRC64()
    }

    /// The checksum of what was consumed since `beginChecksum`; ends the summing.
    public mutating func endChecksum() -> UInt64 {
        updateChecksum()
        checksumming = false
        return crc.value
    }

    private mutating func updateChecksum() {
        guard checksumming, start > checksummed else { return }
        crc.update(ByteView(base + checksummed, start &- checksummed))
        checksummed = start
    }
}
