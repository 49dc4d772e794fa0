import ByteStorage
import CLZ4

// LZ4 frames as a stream, over liblz4's frame interface.
//
// Writer: linked blocks of 256 KiB and a content checksum, so that `lz4 -dc` reads and verifies what we write.
// Reader: takes input in pieces of any size and gives output in pieces of at most the asked size, so that a frame that
// expands 255-fold cannot make us allocate more than the caller wants. Frames that follow one another (and skippable
// frames) are one stream, as the lz4 tool has it. The end of the input inside a frame is the caller's to find, by
// `isAtFrameBoundary`.

public struct LZ4FrameError: Error, Equatable, CustomStringConvertible {
    public enum Code: Sendable { case outOfMemory, notAFrame, corrupt, contentChecksum }

    public let code: Code
    /// liblz4's name of the error.
    public let name: String

    public var description: String { "lz4 frame: \(name)" }

    init(_ result: Int) {
        name = String(cString: LZ4F_getErrorName(result))
        switch name {
        case "ERROR_contentChecksum_invalid": code = .contentChecksum
        case "ERROR_frameType_unknown": code = .notAFrame
        case "ERROR_allocation_failed": code = .outOfMemory
        default: code = .corrupt
        }
    }
}

public enum LZ4Frame {
    /// The first four bytes of a frame.
    /// - Spec: LZ4 Frame Format 1.6, "Magic Number" (0x184D2204, little endian).
    public static let magic: [UInt8] = [0x04, 0x22, 0x4d, 0x18]

    /// Input is fed to liblz4 in steps of at most this size, which bounds the room that one step reserves.
    static let stepBytes = 256 << 10
}

/// Compresses a stream into one or more LZ4 frames. Not thread-safe; may move between threads.
public struct LZ4FrameWriter: ~Copyable {
    private let context: OpaquePointer
    private var preferences: LZ4F_preferences_t

    /// - Parameter level: 0 or less is the fast compressor, 3 to 12 the high-compression one.
    public init(level: Int = 0) throws(LZ4FrameError) {
        var context: OpaquePointer?
        let result = LZ4F_createCompressionContext(&context, UInt32(LZ4F_VERSION))
        guard LZ4F_isError(result) == 0, let context else { throw LZ4FrameError(result) }
        self.context = context
        preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = LZ4F_max256KB
        preferences.frameInfo.blockMode = LZ4F_blockLinked
        preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled
        preferences.compressionLevel = Int32(clamping: level)
    }

    deinit { LZ4F_freeCompressionContext(context) }

    /// Appends a frame header. Must come before `append`, once for each frame.
    public mutating func begin(into output: OutputBuffer) throws(LZ4FrameError) {
        let room = 19  // LZ4F_HEADER_SIZE_MAX
        let result = LZ4F_compressBegin(context, output.reserve(room), room, &preferences)
        guard LZ4F_isError(result) == 0 else { throw LZ4FrameError(result) }
        output.commit(result)
    }

    /// Compresses `input`. liblz4 may hold back up to one block until the next call.
    public mutating func append(_ input: ByteView, into output: OutputBuffer) throws(LZ4FrameError) {
        var position = 0
        while position < input.count {
            let step = min(LZ4Frame.stepBytes, input.count - position)
            let room = LZ4F_compressBound(step, &preferences)
            // SAFETY: `reserve` gives at least `room` bytes, which is liblz4's stated bound for this step.
            let result = LZ4F_compressUpdate(
                context, output.reserve(room), room, input.base + position, step, nil)
            guard LZ4F_isError(result) == 0 else { throw LZ4FrameError(result) }
            output.commit(result)
            position += step
        }
    }

    /// Emits what was held back, so that a reader at the other end of a link can see all input so far.
    public mutating func flush(into output: OutputBuffer) throws(LZ4FrameError) {
        let room = LZ4F_compressBound(0, &preferences)
        let result = LZ4F_flush(context, output.reserve(room), room, nil)
        guard LZ4F_isError(result) == 0 else { throw LZ4FrameError(result) }
        output.commit(result)
    }

    /// Ends the frame: held-back bytes, end mark and content checksum. `begin` may start another one.
    public mutating func finish(into output: OutputBuffer) throws(LZ4FrameError) {
        let room = LZ4F_compressBound(0, &preferences)
        let result = LZ4F_compressEnd(context, output.reserve(room), room, nil)
        guard LZ4F_isError(result) == 0 else { throw LZ4FrameError(result) }
        output.commit(result)
    }
}

/// Decompresses a stream of LZ4 frames. Not thread-safe; may move between threads. After an error it is of no more use.
public struct LZ4FrameReader: ~Copyable {
    private let context: OpaquePointer
    private var insideFrame = false

    public init() throws(LZ4FrameError) {
        var context: OpaquePointer?
        let result = LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))
        guard LZ4F_isError(result) == 0, let context else { throw LZ4FrameError(result) }
        self.context = context
    }

    deinit { LZ4F_freeDecompressionContext(context) }

    /// True before the first byte and after the last byte of a frame: an input that ends here is whole.
    public var isAtFrameBoundary: Bool { !insideFrame }

    /// Decompresses from the front of `input`, writing at most `room` bytes at `target`.
    ///
    /// - Returns: bytes taken from the input and bytes written. Both are 0 only when the input is empty or `room` is 0
    ///   (an empty input can still give bytes that liblz4 holds). When not all input was taken, call again with the
    ///   rest.
    public mutating func decompress(
        _ input: ByteView, into target: UnsafeMutableRawPointer, room: Int
    ) throws(LZ4FrameError) -> (consumed: Int, produced: Int) {
        var consumed = 0
        var produced = 0
        repeat {
            var inputCount = input.count - consumed
            var outputCount = room - produced
            let atBoundary = !insideFrame
            if atBoundary && inputCount == 0 { break }
            let hint = LZ4F_decompress(
                context, target + produced, &outputCount, input.base + consumed, &inputCount, nil)
            guard LZ4F_isError(hint) == 0 else { throw LZ4FrameError(hint) }
            consumed += inputCount
            produced += outputCount
            insideFrame = hint != 0
            if inputCount == 0 && outputCount == 0 { break }
        } while consumed < input.count && produced < room
        return (consumed, produced)
    }

    /// Decompresses all of `input`, growing `output` as needed but by no more than `limit` bytes.
    ///
    /// - Returns: bytes taken from the input; fewer than given when the limit was reached.
    public mutating func decompress(
        _ input: ByteView, into output: OutputBuffer, limit: Int
    ) throws(LZ4FrameError) -> Int {
        var consumed = 0
        var left = limit
        while left > 0 {
            let room = min(left, LZ4Frame.stepBytes)
            let step = try decompress(
                input.slice(consumed, input.count), into: output.reserve(room), room: room)
            output.commit(step.produced)
            consumed += step.consumed
            left -= step.produced
            if step.produced < room { break }
        }
        return consumed
    }
}
