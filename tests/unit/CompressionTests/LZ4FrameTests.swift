import ByteStorage
import Compression
import Glibc
import TestSupport
import Testing

@Suite struct LZ4FrameTests {
    func frame(_ bytes: [UInt8], pieces: Int = 1, level: Int = 0) throws -> [UInt8] {
        var writer = try LZ4FrameWriter(level: level)
        let buffer = OutputBuffer.create()
        defer { buffer.destroy() }
        try writer.begin(into: buffer)
        let step = max(1, bytes.count / pieces)
        var position = 0
        while position < bytes.count {
            let end = min(bytes.count, position + step)
            let piece = [UInt8](bytes[position..<end])
            let base = buffer
            try piece.withUnsafeBytes { raw in
                if let start = raw.baseAddress { try writer.append(ByteView(start, raw.count), into: base) }
            }
            position = end
        }
        try writer.finish(into: buffer)
        return buffer.view.array
    }

    /// Reads in steps of `step` input bytes; nil when the input ends inside a frame.
    func unframe(_ bytes: [UInt8], step: Int = .max, room: Int = .max) throws -> [UInt8]? {
        var reader = try LZ4FrameReader()
        let buffer = OutputBuffer.create()
        defer { buffer.destroy() }
        var position = 0
        while position < bytes.count {
            let end = step > bytes.count - position ? bytes.count : position + step
            var piece = [UInt8](bytes[position..<end])
            while !piece.isEmpty {
                let before = buffer.count
                let taken = try piece.withUnsafeBytes { raw -> Int in
                    guard let start = raw.baseAddress else { return 0 }
                    return try reader.decompress(ByteView(start, raw.count), into: buffer, limit: room)
                }
                #expect(buffer.count - before <= room)
                if taken == 0 && buffer.count == before { break }
                piece.removeFirst(taken)
            }
            position = end
        }
        // Bytes that liblz4 still holds come out without more input.
        var held = 1
        while held > 0 {
            let before = buffer.count
            _ = try reader.decompress(ByteView(""), into: buffer, limit: room)
            held = buffer.count - before
        }
        return reader.isAtFrameBoundary ? buffer.view.array : nil
    }

    @Test("Any piece size on either side gives the same bytes") func pieces() throws {
        var generator = SeededGenerator(seed: 1)
        let bytes = mixedBytes(700_000, using: &generator)
        for pieces in [1, 3, 100] {
            let packed = try frame(bytes, pieces: pieces)
            #expect(packed.count < bytes.count)
            #expect([UInt8](packed.prefix(4)) == LZ4Frame.magic)
            #expect(try unframe(packed) == bytes)
            #expect(try unframe(packed, step: 1009, room: 4096) == bytes)
        }
        let small = mixedBytes(900, using: &generator)
        #expect(try unframe(frame(small), step: 1, room: 1) == small)
        #expect(try unframe(frame([])) == [])
    }

    @Test("Frames that follow one another are one stream") func concatenated() throws {
        let first = [UInt8]("hello ".utf8)
        let second = [UInt8](repeating: 120, count: 5000)
        let both = try frame(first) + frame(second)
        for step in [1, 7, 64, Int.max] { #expect(try unframe(both, step: step) == first + second) }
    }

    @Test("A flush makes everything so far readable") func flush() throws {
        var writer = try LZ4FrameWriter()
        var reader = try LZ4FrameReader()
        let packed = OutputBuffer.create()
        let plain = OutputBuffer.create()
        defer {
            packed.destroy()
            plain.destroy()
        }
        try writer.begin(into: packed)
        for count in 1...3 {
            try writer.append(ByteView("abcdefgh"), into: packed)
            try writer.flush(into: packed)
            let taken = try reader.decompress(packed.view, into: plain, limit: 1000)
            packed.consume(taken)
            #expect(packed.isEmpty && plain.count == 8 * count)
            let isWhole = reader.isAtFrameBoundary
            #expect(!isWhole)
        }
    }

    @Test("Every truncation is seen, and never makes wrong bytes") func truncation() throws {
        let bytes = [UInt8]("some text, some text, some other text".utf8)
        let packed = try frame(bytes)
        for count in 1..<packed.count {
            #expect(try unframe([UInt8](packed.prefix(count))) == nil, "cut at \(count)")
        }
    }

    @Test("Damage of any byte is an error, or gives the same bytes") func damage() throws {
        var generator = SeededGenerator(seed: 3)
        let bytes = mixedBytes(500, using: &generator)
        let packed = try frame(bytes)
        var codes: Set<LZ4FrameError.Code> = []
        for index in packed.indices {
            for flip in [0x01, 0x80, 0xff] as [UInt8] {
                var damaged = packed
                damaged[index] ^= flip
                do {
                    let result = try unframe(damaged)
                    #expect(result == nil || result == bytes, "byte \(index)")
                } catch let error as LZ4FrameError {
                    codes.insert(error.code)
                }
            }
        }
        #expect(codes.isSuperset(of: [.notAFrame, .corrupt, .contentChecksum]))
    }

    @Test("The lz4 tool reads what we write, and we read what it writes") func tool() throws {
        guard access("/usr/bin/lz4", X_OK) == 0 else { return }
        var template = [CChar]("/tmp/dssm-lz4-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { _ = system("rm -rf \(folder)") }
        var generator = SeededGenerator(seed: 4)
        let bytes = mixedBytes(300_000, using: &generator)
        func write(_ bytes: [UInt8], _ path: String) throws {
            let file = try #require(fopen(path, "w"))
            #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
            fclose(file)
        }
        func read(_ path: String) throws -> [UInt8] {
            let file = try #require(fopen(path, "r"))
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            let count = fread(&bytes, 1, bytes.count, file)
            return [UInt8](bytes.prefix(count))
        }
        try write(frame(bytes) + frame(bytes, level: 9), "\(folder)/ours.lz4")
        #expect(system("lz4 -dcq \(folder)/ours.lz4 > \(folder)/plain") == 0)
        #expect(try read("\(folder)/plain") == bytes + bytes)
        #expect(system("lz4 -zcq9 \(folder)/plain > \(folder)/theirs.lz4") == 0)
        #expect(try unframe(read("\(folder)/theirs.lz4")) == bytes + bytes)
    }
}
