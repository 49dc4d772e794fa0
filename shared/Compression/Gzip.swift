import ByteStorage
import CZlib

public struct GzipError: Error, Equatable, CustomStringConvertible {
    public let code: Int32
    public var description: String { "gzip: error \(code) of zlib" }
}

/// Compresses whole pieces into gzip members, one after the other. Not thread-safe; keeps its memory (some 256 KiB) between them.
/// - Spec: RFC 1952.
public final class GzipWriter {
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Parameter level: 1 (fast) to 9.
    public init(level: Int = 1) throws(GzipError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = cz_deflate_init_gzip(stream, Int32(clamping: level))
        guard result == Z_OK else {
            stream.deallocate()
            throw GzipError(code: result)
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Appends one member that holds all of `input`, which must be shorter than 4 GiB.
    public func compress(_ input: ByteView, into output: OutputBuffer) throws(GzipError) {
        deflateReset(stream)
        let room = Int(deflateBound(stream, UInt(input.count))) + 64
        // SAFETY: zlib reads `input` only and writes at most `room` bytes, which `reserve` provides.
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.base.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(clamping: input.count)
        stream.pointee.next_out = output.reserve(room).assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(clamping: room)
        let result = deflate(stream, Z_FINISH)
        guard result == Z_STREAM_END else { throw GzipError(code: result) }
        output.commit(room - Int(stream.pointee.avail_out))
    }
}

public enum Gzip {
    /// The content of a gzip member of at most `limit` bytes.
    public static func decompress(_ input: ByteView, limit: Int) throws(GzipError) -> [UInt8] {
        var stream = z_stream()
        var result = cz_inflate_init_gzip(&stream)
        guard result == Z_OK else { throw GzipError(code: result) }
        defer { inflateEnd(&stream) }
        let output = OutputBuffer.create(capacity: 4096)
        defer { output.destroy() }
        stream.next_in = UnsafeMutablePointer(mutating: input.base.assumingMemoryBound(to: UInt8.self))
        stream.avail_in = UInt32(clamping: input.count)
        repeat {
            let room = min(64 << 10, limit - output.count)
            guard room > 0 else { throw GzipError(code: Z_BUF_ERROR) }
            stream.next_out = output.reserve(room).assumingMemoryBound(to: UInt8.self)
            stream.avail_out = UInt32(room)
            result = inflate(&stream, Z_NO_FLUSH)
            guard result == Z_OK || result == Z_STREAM_END else { throw GzipError(code: result) }
            output.commit(room - Int(stream.avail_out))
        } while result != Z_STREAM_END
        return output.view.array
    }
}
