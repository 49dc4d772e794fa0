import ByteStorage
import TestSupport

/// Bytes that compress to a degree: runs, repeats and noise in random order.
func mixedBytes(_ count: Int, using generator: inout SeededGenerator) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
        let length = Int.random(in: 1...300, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes += [UInt8](repeating: UInt8.random(in: 0...255, using: &generator), count: length)
        case 1 where !bytes.isEmpty:
            let start = Int.random(in: 0..<bytes.count, using: &generator)
            bytes += bytes[start..<min(bytes.count, start + length)]
        default: for _ in 0..<length { bytes.append(UInt8.random(in: 0...255, using: &generator)) }
        }
    }
    return [UInt8](bytes.prefix(count))
}

func collect(_ body: (OutputBuffer) throws -> Void) rethrows -> [UInt8] {
    let buffer = OutputBuffer.create()
    defer { buffer.destroy() }
    try body(buffer)
    return buffer.view.array
}
