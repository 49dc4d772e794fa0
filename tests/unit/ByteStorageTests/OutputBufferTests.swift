import Testing

@testable import ByteStorage

@Suite("Output buffer") struct OutputBufferTests {
    @Test("Any mix of appending and consuming keeps the bytes in order")
    func model() {
        let seed = UInt64.random(in: .min ... .max)
        print("seed \(seed)")
        var state = seed
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let buffer = OutputBuffer.create(capacity: 1)
        defer { buffer.destroy() }
        var model: [UInt8] = []
        var counter: UInt8 = 0
        for step in 0..<4000 {
            switch next(6) {
            case 0, 1, 2:
                let piece = (0..<next(200)).map { _ in
                    counter &+= 1
                    return counter
                }
                buffer.append(piece)
                model += piece
            case 3, 4:
                let count = next(model.count + 1)
                buffer.consume(count)
                model.removeFirst(count)
            default:
                if next(20) == 0 {
                    buffer.consume(model.count)
                    model = []
                    buffer.shrink(to: 64)
                    #expect(buffer.capacity == 64)
                } else {
                    buffer.append(byte: 7)
                    model.append(7)
                }
            }
            #expect(buffer.count == model.count && buffer.isEmpty == model.isEmpty)
            if step % 16 == 0 { #expect(buffer.view.array == model) }
        }
        #expect(buffer.view.array == model)
    }

    @Test("Shrinking leaves a buffer alone that holds bytes")
    func shrinkKeepsBytes() {
        let buffer = OutputBuffer.create(capacity: 1000)
        defer { buffer.destroy() }
        buffer.append(byte: 1)
        buffer.shrink(to: 64)
        #expect(buffer.view.array == [1] && buffer.capacity >= 1000)
    }

    @Test("A buffer that is nearly full and consumed in small pieces is not moved with each of them")
    func compactionIsAmortised() {
        let buffer = OutputBuffer.create(capacity: 64 << 10)
        defer { buffer.destroy() }
        let piece = [UInt8](repeating: 5, count: 64)
        while buffer.count + 64 <= buffer.capacity { buffer.append(piece) }
        var moves = 0
        for _ in 0..<4096 {
            buffer.consume(64)
            let start = buffer.state.pointee.start
            buffer.append(piece)
            if buffer.state.pointee.start < start { moves += 1 }
        }
        #expect(moves < 64, "\(moves) moves of about 64 KB each")
    }
}
