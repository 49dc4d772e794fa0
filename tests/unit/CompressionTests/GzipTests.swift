import ByteStorage
import Testing

@testable import Compression

@Suite struct GzipTests {
    @Test("Pieces of any size come back, one member each, from one writer")
    func roundTrip() throws {
        let writer = try GzipWriter()
        let output = OutputBuffer.create()
        defer { output.destroy() }
        for count in [0, 1, 1000, 300_000] {
            let piece = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
            output.removeAll()
            try piece.withView { try writer.compress($0, into: output) }
            let result = try Gzip.decompress(output.view, limit: 1 << 20)
            #expect(result == piece)
        }
    }

    @Test("A member that is cut, damaged or over the limit is an error")
    func damage() throws {
        let writer = try GzipWriter()
        let output = OutputBuffer.create()
        defer { output.destroy() }
        try Array("hello, hello, hello".utf8).withView { try writer.compress($0, into: output) }
        let whole = output.view.array
        for count in 0..<whole.count {
            #expect(throws: GzipError.self) {
                _ = try Array(whole[..<count]).withView { view in try Gzip.decompress(view, limit: 100) }
            }
        }
        var damaged = whole
        damaged[whole.count - 6] ^= 1
        #expect(throws: GzipError.self) {
            _ = try damaged.withView { view in try Gzip.decompress(view, limit: 100) }
        }
        #expect(throws: GzipError.self) {
            _ = try whole.withView { view in try Gzip.decompress(view, limit: 5) }
        }
    }
}
