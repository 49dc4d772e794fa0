import ByteStorage

// The 64-bit checksum of RDB files and DUMP payloads, sixteen bytes a step.
//
// Sixteen tables of 256 words (32 KiB) let one step fold sixteen input bytes with as many independent look-ups; a
// byte-wise loop has a load-to-use chain on every byte, and eight tables have twice the number of chains. Carry-less
// multiplication would be faster still, but needs per-architecture code for a checksum that a worker thread computes
// next to LZ4 and fsync.

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
        // SAFETY: each index is one byte plus the start of a table, below the 4096 words of the tables.
        @inline(__always) func fold(_ word: UInt64, _ last: Int) -> UInt64 {
            @inline(__always) func entry(_ number: Int) -> UInt64 {
                let byte = Int(truncatingIfNeeded: word >> UInt64(8 &* number)) & 0xff
                return table[(last &- number) &* 256 &+ byte]
            }
            return ((entry(0) ^ entry(1)) ^ (entry(2) ^ entry(3))) ^ ((entry(4) ^ entry(5)) ^ (entry(6) ^ entry(7)))
        }
        while rest >= 16 {
            let first = crc ^ UInt64(littleEndian: position.loadUnaligned(as: UInt64.self))
            let second = UInt64(littleEndian: position.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            crc = fold(first, 15) ^ fold(second, 7)
            position += 16
            rest &-= 16
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
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 4096)
        for byte in 0..<256 {
            var crc = UInt64(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ reflectedPolynomial : crc >> 1 }
            words[byte] = crc
        }
        for index in 256..<4096 {
            let previous = words[index - 256]
            words[index] = words[Int(previous & 0xff)] ^ (previous >> 8)
        }
        self.words = UnsafePointer(words)
    }
}
