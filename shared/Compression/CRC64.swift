import ByteStorage

// The 64-bit checksum of RDB files and DUMP payloads, eight bytes a step.
//
// Eight tables of 256 words (16 KiB) let one step fold eight input bytes with eight independent look-ups; a byte-wise
// loop has a load-to-use chain on every byte and is five times slower. Carry-less multiplication would be faster still,
// but needs per-architecture code for a checksum that a worker thread computes next to LZ4 and fsync.

/// A running CRC-64 with the polynomial of Jones (`0xad93d23594c935a9`, reflected, initial value and final xor 0).
///
/// - Spec: RDB file format, end-of-file checksum. The check value of "123456789" is `0xe9c6d914c4b8d9ca`.
public struct CRC64: Equatable, Sendable {
    public private(set) var value: UInt64

    public init(_ value: UInt64 = 0) { self.value = value }

    public mutating func update(_ view: ByteView) {
        let table = CRC64Tables.shared.words
        var crc = value
        var position = view.base
        var rest = view.count
        while rest >= 8 {
            let word = crc ^ UInt64(littleEndian: position.loadUnaligned(as: UInt64.self))
            // SAFETY: each index is one byte plus a table offset, below the 2048 words of the tables.
            let low =
                table[1792 &+ Int(truncatingIfNeeded: word & 0xff)]
                ^ table[1536 &+ Int(truncatingIfNeeded: (word >> 8) & 0xff)]
                ^ table[1280 &+ Int(truncatingIfNeeded: (word >> 16) & 0xff)]
                ^ table[1024 &+ Int(truncatingIfNeeded: (word >> 24) & 0xff)]
            let high =
                table[768 &+ Int(truncatingIfNeeded: (word >> 32) & 0xff)]
                ^ table[512 &+ Int(truncatingIfNeeded: (word >> 40) & 0xff)]
                ^ table[256 &+ Int(truncatingIfNeeded: (word >> 48) & 0xff)]
                ^ table[Int(truncatingIfNeeded: word >> 56)]
            crc = low ^ high
            position += 8
            rest &-= 8
        }
        while rest > 0 {
            let index = (crc ^ UInt64(position.load(as: UInt8.self))) & 0xff
            crc = table[Int(truncatingIfNeeded: index)] ^ (crc >> 8)
            position += 1
            rest &-= 1
        }
        value = crc
    }

    public static func of(_ view: ByteView) -> UInt64 {
        var crc = CRC64()
        crc.update(view)
        return crc.value
    }
}

/// `words[256 * n + b]` is the checksum of byte `b` followed by `n` zero bytes.
///
/// `@unchecked Sendable`: written once before the first use (a global's initialiser), read only after that.
private struct CRC64Tables: @unchecked Sendable {
    let words: UnsafePointer<UInt64>

    static let shared = CRC64Tables()

    init() {
        let reflectedPolynomial: UInt64 = 0x95ac_9329_ac4b_c9b5
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 2048)
        for byte in 0..<256 {
            var crc = UInt64(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ reflectedPolynomial : crc >> 1 }
            words[byte] = crc
        }
        for index in 256..<2048 {
            let previous = words[index - 256]
            words[index] = words[Int(previous & 0xff)] ^ (previous >> 8)
        }
        self.words = UnsafePointer(words)
    }
}
