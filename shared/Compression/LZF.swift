import ByteStorage

// LZF, the compression of strings inside RDB files.
//
// The format is a sequence of two kinds of items:
//   000lllll                      a literal run: lllll + 1 bytes follow
//   lllooooo [llllllll] oooooooo  a copy of length lll + 2 (lll = 7: a length byte follows and is added) from
//                                 distance ooooo:oooooooo + 1 back in the output
// The decoder trusts nothing: each item is checked against both ends before a byte moves. The encoder is greedy with
// one candidate per three-byte hash, like any LZF encoder; it is off by default, since snapshots are compressed whole.

public enum LZF {
    static let longestLiteral = 32
    static let longestCopy = 264
    static let longestDistance = 8192

    /// The most bytes that `count` compressed bytes can stand for: a three-byte item makes at most 264.
    /// A stated length above it is a lie, and nothing needs to be allocated to know that.
    public static func longestExpansion(of count: Int) -> Int {
        let (product, overflow) = count.multipliedReportingOverflow(by: 88)
        return overflow ? Int.max : product
    }

    /// Decompresses `input` into exactly `count` bytes at `output`.
    ///
    /// - Returns: false when the input is malformed or does not make exactly `count` bytes; what is at `output` is
    ///   undefined then.
    public static func decompress(_ input: ByteView, into output: UnsafeMutableRawPointer, count: Int) -> Bool {
        var source = 0
        var target = 0
        while source < input.count {
            let control = Int(input[source])
            source &+= 1
            if control < 32 {
                let length = control &+ 1
                guard length <= input.count &- source, length <= count &- target else { return false }
                // SAFETY: both ranges were checked on the line above; input and output are separate buffers.
                (output + target).copyMemory(from: input.base + source, byteCount: length)
                source &+= length
                target &+= length
                continue
            }
            var length = control >> 5
            if length == 7 {
                guard source < input.count else { return false }
                length &+= Int(input[source])
                source &+= 1
            }
            length &+= 2
            guard source < input.count else { return false }
            let distance = (control & 0x1f) << 8 | Int(input[source])
            source &+= 1
            let start = target &- distance &- 1
            guard start >= 0, length <= count &- target else { return false }
            copyOverlapping(in: output, from: start, to: target, count: length)
            target &+= length
        }
        return target == count
    }

    /// Copies forward within one buffer; source and target may overlap, and then repeat the bytes between them.
    @inline(__always)
    private static func copyOverlapping(in base: UnsafeMutableRawPointer, from: Int, to: Int, count: Int) {
        if to &- from >= count {
            (base + to).copyMemory(from: base + from, byteCount: count)
            return
        }
        for index in 0..<count {
            base.storeBytes(
                of: base.load(fromByteOffset: from &+ index, as: UInt8.self), toByteOffset: to &+ index, as: UInt8.self)
        }
    }
}

/// The encoder and its table of positions (32 KiB), reused from string to string.
public struct LZFCompressor: ~Copyable {
    private static let tableBits = 13
    private let table: UnsafeMutablePointer<Int32>

    public init() {
        table = .allocate(capacity: 1 << LZFCompressor.tableBits)
    }

    deinit { table.deallocate() }

    /// Appends the compressed form of `input` to `output` when it is smaller than `limit` bytes.
    ///
    /// - Returns: the number of bytes appended; nil, with nothing appended, when it would not be below `limit`, or when
    ///   the input is too short (4 bytes) or too long (1 GiB) to be worth it.
    public func compress(_ input: ByteView, into output: OutputBuffer, limit: Int) -> Int? {
        guard input.count > 4, input.count <= 1 << 30, limit > 0 else { return nil }
        table.initialize(repeating: -1, count: 1 << LZFCompressor.tableBits)
        // SAFETY: a literal run of n bytes takes n + 1 bytes and items are emitted only while `written + room` stays
        // below `limit`, so nothing is stored past the reserved `limit` bytes.
        let target = output.reserve(limit)
        var written = 0
        var literalStart = 0
        var position = 0
        let lastHashable = input.count &- 3

        func emitLiterals(upTo end: Int) -> Bool {
            var start = literalStart
            while start < end {
                let length = min(end &- start, LZF.longestLiteral)
                guard written &+ length &+ 1 < limit else { return false }
                target.storeBytes(of: UInt8(length &- 1), toByteOffset: written, as: UInt8.self)
                (target + (written &+ 1)).copyMemory(from: input.base + start, byteCount: length)
                written &+= length &+ 1
                start &+= length
            }
            return true
        }

        while position <= lastHashable {
            let slot = hash(input, position)
            let candidate = Int(table[slot])
            table[slot] = Int32(truncatingIfNeeded: position)
            guard candidate >= 0, position &- candidate <= LZF.longestDistance,
                input[candidate] == input[position], input[candidate &+ 1] == input[position &+ 1],
                input[candidate &+ 2] == input[position &+ 2]
            else {
                position &+= 1
                continue
            }
            let longest = min(LZF.longestCopy, input.count &- position)
            var length = 3
            while length < longest, input[candidate &+ length] == input[position &+ length] { length &+= 1 }
            guard emitLiterals(upTo: position), written &+ 3 < limit else { return nil }
            let distance = position &- candidate &- 1
            let stored = length &- 2
            let high = UInt8(truncatingIfNeeded: distance >> 8)
            if stored < 7 {
                target.storeBytes(of: UInt8(stored) << 5 | high, toByteOffset: written, as: UInt8.self)
                written &+= 1
            } else {
                target.storeBytes(of: 7 << 5 | high, toByteOffset: written, as: UInt8.self)
                target.storeBytes(of: UInt8(stored &- 7), toByteOffset: written &+ 1, as: UInt8.self)
                written &+= 2
            }
            target.storeBytes(of: UInt8(truncatingIfNeeded: distance), toByteOffset: written, as: UInt8.self)
            written &+= 1
            // Two positions inside the match keep later matches findable; hashing all of them costs more than it gains.
            let end = position &+ length
            if end <= lastHashable {
                table[hash(input, end &- 1)] = Int32(truncatingIfNeeded: end &- 1)
            }
            position = end
            literalStart = end
        }
        guard emitLiterals(upTo: input.count), written < limit else { return nil }
        output.commit(written)
        return written
    }

    @inline(__always) private func hash(_ input: ByteView, _ position: Int) -> Int {
        let word =
            UInt32(input[position]) | UInt32(input[position &+ 1]) << 8 | UInt32(input[position &+ 2]) << 16
        return Int((word &* 2_654_435_761) >> (32 - UInt32(LZFCompressor.tableBits)))
    }
}
