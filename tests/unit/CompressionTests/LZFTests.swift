import ByteStorage
import Compression
import TestSupport
import Testing

@Suite struct LZFTests {
    func decompress(_ input: [UInt8], count: Int) -> [UInt8]? {
        var output = [UInt8](repeating: 0xaa, count: count + 8)
        let whole = output.withUnsafeMutableBytes { target in
            input.withView { view in
                target.baseAddress.map { LZF.decompress(view, into: $0, count: count) } ?? false
            }
        }
        #expect(output.suffix(8).allSatisfy { $0 == 0xaa }, "wrote past its end")
        return whole ? [UInt8](output.prefix(count)) : nil
    }

    @Test("A hand-made stream with a literal, a near copy and a long overlapping copy decompresses")
    func handMade() {
        // "abc", copy of 3 from distance 3, then 'z' and 300 more of it (264 + 36) by overlapping copies.
        let input: [UInt8] = [2, 97, 98, 99, 1 << 5, 2, 0, 122, 7 << 5, 255, 0, 7 << 5, 27, 0]
        let expected = [UInt8]("abcabcz".utf8) + [UInt8](repeating: 122, count: 300)
        #expect(decompress(input, count: expected.count) == expected)
        #expect(decompress(input, count: expected.count - 1) == nil)
        #expect(decompress(input, count: expected.count + 1) == nil)
    }

    @Test("A copy from before the start is refused") func beforeStart() {
        #expect(decompress([0, 97, 1 << 5, 1], count: 4) == nil)
        #expect(decompress([0, 97, 1 << 5, 0], count: 4) == [97, 97, 97, 97])
    }

    @Test("What is compressed comes back", arguments: [1, 2, 3, 4] as [UInt64]) func roundTrip(seed: UInt64) {
        print("seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        let compressor = LZFCompressor()
        var compressedOnce = false
        for _ in 0..<60 {
            let count = Int.random(in: 0...5000, using: &generator)
            let bytes = mixedBytes(count, using: &generator)
            let buffer = OutputBuffer.create()
            defer { buffer.destroy() }
            buffer.append("front")
            guard let size = bytes.withView({ compressor.compress($0, into: buffer, limit: $0.count) }) else {
                #expect(buffer.count == 5)
                continue
            }
            compressedOnce = true
            #expect(size < count && buffer.count == 5 + size)
            #expect(size * 88 >= count && LZF.longestExpansion(of: size) >= count)
            let packed = buffer.view.slice(5, buffer.count).array
            #expect(decompress(packed, count: count) == bytes)
        }
        #expect(compressedOnce)
    }

    @Test("Far matches at the longest distance survive, and farther ones are not used") func distances() {
        let compressor = LZFCompressor()
        for gap in [8185, 8186, 8187, 8188, 8189, 8190, 8191, 8192] {
            var generator = SeededGenerator(seed: 9)
            var bytes = [UInt8]("needle".utf8)
            for _ in 0..<gap { bytes.append(UInt8.random(in: 128...255, using: &generator)) }
            bytes += [UInt8]("needle".utf8) + [UInt8](repeating: 7, count: 1000)
            let packed = collect { buffer in
                _ = bytes.withView { compressor.compress($0, into: buffer, limit: $0.count) }
            }
            #expect(!packed.isEmpty)
            #expect(decompress(packed, count: bytes.count) == bytes)
        }
    }

    @Test("Noise and tiny inputs are left alone") func incompressible() {
        var generator = SeededGenerator(seed: 5)
        let compressor = LZFCompressor()
        let noise = (0..<500).map { _ in UInt8.random(in: 0...255, using: &generator) }
        for bytes in [noise, [1, 1, 1, 1], []] {
            let packed = collect { buffer in
                #expect(bytes.withView { compressor.compress($0, into: buffer, limit: $0.count - 4) } == nil)
            }
            #expect(packed.isEmpty)
        }
    }

    @Test("Damage of any byte, and every truncation, is an error or other bytes, never a trap") func damage() {
        var generator = SeededGenerator(seed: 6)
        let bytes = mixedBytes(600, using: &generator)
        let compressor = LZFCompressor()
        let packed = collect { buffer in
            _ = bytes.withView { compressor.compress($0, into: buffer, limit: $0.count) }
        }
        for index in packed.indices {
            #expect(decompress([UInt8](packed.prefix(index)), count: bytes.count) == nil)
            for value in [0, 31, 32, 224, 255, packed[index] ^ 1] as [UInt8] {
                var damaged = packed
                damaged[index] = value
                _ = decompress(damaged, count: bytes.count)
            }
        }
    }
}
