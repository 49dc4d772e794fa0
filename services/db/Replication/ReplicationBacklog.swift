// The last bytes of the replication stream, kept so that a replica that was away can go on where it stopped.
//
// - Spec: Redis replication documentation, "partial resynchronization"; PSYNC2 (secondary replication ID).
import ByteStorage

/// A ring of the newest bytes of a stream. Offsets count from the stream's beginning and start at 1: the first byte has
/// offset 1, as on the wire.
public final class ReplicationBacklog {
    private var memory: UnsafeMutableRawPointer
    public private(set) var capacity: Int
    /// Bytes of history that are there.
    public private(set) var count = 0
    private var writeIndex = 0
    /// Offset of the last byte that was appended; 0 before the first.
    public private(set) var endOffset: Int64

    public init(capacity: Int, endOffset: Int64) {
        self.capacity = max(capacity, 16 << 10)
        memory = allocateBytes(self.capacity)
        self.endOffset = endOffset
    }

    deinit { memory.deallocateFromMalloc() }

    /// Offset of the oldest byte that is there.
    public var firstOffset: Int64 { endOffset - Int64(count) + 1 }

    public func append(_ bytes: ByteView) {
        endOffset += Int64(bytes.count)
        var source = bytes
        // Only the end of something larger than the ring survives.
        if source.count > capacity { source = source.slice(source.count - capacity, source.count) }
        let first = min(source.count, capacity - writeIndex)
        (memory + writeIndex).copyMemory(from: source.base, byteCount: first)
        memory.copyMemory(from: source.base + first, byteCount: source.count - first)
        writeIndex = (writeIndex + source.count) % capacity
        count = min(capacity, count + source.count)
    }

    /// Can a replica that wants the stream from `offset` on be served from here?
    public func covers(_ offset: Int64) -> Bool { offset >= firstOffset && offset <= endOffset + 1 }

    /// Appends everything from `offset` on to `output`.
    ///
    /// - Precondition: `covers(offset)`.
    public func copy(from offset: Int64, to output: OutputBuffer) {
        precondition(covers(offset), "the backlog does not reach that far back")
        let length = Int(endOffset - offset + 1)
        let start = (writeIndex - length + 2 * capacity) % capacity
        let first = min(length, capacity - start)
        output.append(UnsafeRawPointer(memory + start), first)
        output.append(UnsafeRawPointer(memory), length - first)
    }

    /// Changes the capacity and keeps as much history as fits.
    public func resize(_ newCapacity: Int) {
        let size = max(newCapacity, 16 << 10)
        guard size != capacity else { return }
        let history = OutputBuffer.create(capacity: count)
        defer { history.destroy() }
        copy(from: firstOffset, to: history)
        memory.deallocateFromMalloc()
        memory = allocateBytes(size)
        capacity = size
        let end = endOffset
        count = 0
        writeIndex = 0
        append(history.view)
        endOffset = end
    }

    /// Begins a new history at `offset`: what was there belongs to another stream.
    public func restart(endOffset: Int64) {
        count = 0
        writeIndex = 0
        self.endOffset = endOffset
    }
}
