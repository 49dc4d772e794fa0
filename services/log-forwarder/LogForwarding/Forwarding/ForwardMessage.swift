import ByteStorage
import Compression

/// How entries are put into a message.
public enum MessageMode: String, CaseIterable, Sendable {
    /// An array of entries.
    case forward
    /// Entries one after the other in a bin.
    case packed
    /// The same, gzipped.
    case compressed
}

/// Messages of the forward protocol, from entries that are packed already.
/// - Spec: Fluentd Forward Protocol v1, "Forward Mode", "PackedForward Mode", "CompressedPackedForward Mode", "Option".
public struct ForwardMessageWriter {
    private let mode: MessageMode
    private let gzip: GzipWriter?
    private let compressed = OutputBuffer.create()

    public init(mode: MessageMode) throws(GzipError) {
        self.mode = mode
        gzip = mode == .compressed ? try GzipWriter() : nil
    }

    /// Ends the writer's memory.
    public func destroy() { compressed.destroy() }

    /// Appends a message that asks for an ack of `chunkID`.
    public func append(
        tag: String, entries: ByteView, records: Int, chunkID: String, into output: OutputBuffer
    ) throws(GzipError) {
        output.packArrayHeader(3)
        output.packString(tag)
        switch mode {
        case .forward:
            output.packArrayHeader(records)
            output.append(entries)
        case .packed:
            output.packBinaryHeader(entries.count)
            output.append(entries)
        case .compressed:
            compressed.removeAll()
            try gzip?.compress(entries, into: compressed)
            output.packBinaryHeader(compressed.count)
            output.append(compressed.view)
        }
        output.packMapHeader(mode == .compressed ? 3 : 2)
        output.packString("size")
        output.pack(UInt64(records))
        output.packString("chunk")
        output.packString(chunkID)
        if mode == .compressed {
            output.packString("compressed")
            output.packString("gzip")
        }
    }
}
