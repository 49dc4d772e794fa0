import ByteStorage
import CLinux
import Testing

@testable import LogForwarding

/// Values as an independent codec (Python's msgpack) packs them; tests/integration holds that codec against the same file.
struct Vector {
    let packed: [UInt8]
    let text: String

    static func all() throws -> [Vector] {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        let bytes = try SmallFile.read("/\(folder)/MessagePackVectors.txt", limit: 1 << 20).get()
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
            let parts = line.split(separator: "\t")
            return Vector(packed: bytesOfHexadecimal(parts[0]), text: String(parts[1]))
        }
    }
}

func bytesOfHexadecimal(_ text: some StringProtocol) -> [UInt8] {
    let digits = Array(text.utf8).map { $0 < 58 ? $0 - 48 : $0 - 87 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

extension MessagePackValue {
    /// One text for each value, as the file of vectors has it.
    var canonical: String {
        switch self {
        case .null: return "nil"
        case .bool(let flag): return flag ? "true" : "false"
        case .integer(let number): return "i\(number)"
        case .unsigned(let number): return "i\(number)"
        case .double(let number):
            let text = String(number.bitPattern, radix: 16)
            return "f" + String(repeating: "0", count: 16 - text.count) + text
        case .string(let bytes): return "s" + LogForwardingTests.hexadecimal(bytes)
        case .binary(let bytes): return "b" + LogForwardingTests.hexadecimal(bytes)
        case .extended(let type, let bytes): return "x\(type):" + LogForwardingTests.hexadecimal(bytes)
        case .array(let items): return "[" + items.map(\.canonical).joined(separator: " ") + "]"
        case .map(let pairs):
            return "{" + pairs.map { "\($0.key.canonical)=\($0.value.canonical)" }.joined(separator: " ") + "}"
        }
    }

    /// Packs it with the writer under test; nil where the writer has no such form.
    func pack(into output: OutputBuffer) -> Bool {
        switch self {
        case .null: output.packNil()
        case .bool(let flag): output.pack(flag)
        case .integer(let number): output.pack(number)
        case .unsigned(let number): output.pack(number)
        case .double(let number): output.pack(number)
        case .string(let bytes): bytes.withView { output.packString($0) }
        case .binary(let bytes):
            output.packBinaryHeader(bytes.count)
            output.append(bytes)
        case .extended:
            guard let time = eventTime else { return false }
            output.pack(time)
        case .array(let items):
            output.packArrayHeader(items.count)
            return items.allSatisfy { $0.pack(into: output) }
        case .map(let pairs):
            output.packMapHeader(pairs.count)
            return pairs.allSatisfy { $0.key.pack(into: output) && $0.value.pack(into: output) }
        }
        return true
    }
}

/// All values in `bytes`, which must be whole.
func values(_ bytes: [UInt8]) throws -> [MessagePackValue] {
    try bytes.withView { view in
        var result: [MessagePackValue] = []
        var position = 0
        while position < view.count {
            let (value, consumed) = try #require(try MessagePackReader.read(view.slice(position, view.count)))
            result.append(value)
            position += consumed
        }
        return result
    }
}

func packed(_ body: (OutputBuffer) -> Void) -> [UInt8] {
    let output = OutputBuffer.create()
    defer { output.destroy() }
    body(output)
    return output.view.array
}

@Suite struct MessagePackTests {
    @Test("What an independent codec packs is read as the same value")
    func readsVectors() throws {
        let vectors = try Vector.all()
        #expect(vectors.count > 60)
        for vector in vectors { #expect(try values(vector.packed).map(\.canonical) == [vector.text]) }
    }

    @Test("Values are packed byte for byte as an independent codec packs them")
    func writesVectors() throws {
        var written = 0
        for vector in try Vector.all() {
            let value = try values(vector.packed)[0]
            var isComplete = false
            let bytes = packed { isComplete = value.pack(into: $0) }
            guard isComplete else { continue }
            #expect(hexadecimal(bytes) == hexadecimal(vector.packed))
            written += 1
        }
        #expect(written > 50)
    }

    @Test("Every prefix of a value is incomplete, not an error, and what follows a value is left alone")
    func prefixes() throws {
        for vector in try Vector.all() {
            for count in 0..<vector.packed.count {
                let result = try Array(vector.packed[..<count]).withView { try MessagePackReader.read($0) }
                #expect(result == nil)
            }
            let result = try (vector.packed + [0xc1, 0xff]).withView { try MessagePackReader.read($0) }
            #expect(result?.consumed == vector.packed.count)
        }
    }

    @Test("Sizes that cannot be right are refused before anything is allocated")
    func hostileSizes() throws {
        func error(_ bytes: [UInt8]) -> MessagePackError? {
            bytes.withView { view in
                do throws(MessagePackError) {
                    _ = try MessagePackReader.read(view)
                    return nil
                } catch { return error }
            }
        }
        #expect(error([0xdb, 0xff, 0xff, 0xff, 0xff]) == .tooLong)
        #expect(error([0xc6, 0x7f, 0xff, 0xff, 0xff]) == .tooLong)
        #expect(error([0xdd, 0xff, 0xff, 0xff, 0xff]) == .tooManyValues)
        #expect(error([0xdf, 0xff, 0xff, 0xff, 0xff]) == .tooManyValues)
        #expect(error([0xc1]) == .neverUsed)
        #expect(error([UInt8](repeating: 0x91, count: 40)) == .tooDeep)
        #expect(error([UInt8](repeating: 0x91, count: 20)) == nil)
    }

    @Test("Random bytes never trap")
    func randomBytes() {
        let seed = UInt64.random(in: 1 ... .max)
        print("seed \(seed)")
        var random = TestRandom(seed)
        for _ in 0..<20_000 {
            let bytes = (0..<Int(random.next() % 40)).map { _ in UInt8(truncatingIfNeeded: random.next() >> 20) }
            bytes.withView { _ = try? MessagePackReader.read($0) }
        }
    }

    @Test("Ill-formed UTF-8 becomes replacement characters in a str")
    func repairsUTF8() throws {
        let bytes = Array("fine ä".utf8) + [0xff, 0x41, 0xe2, 0x82]
        let value = try values(packed { output in bytes.withView { output.packString($0) } })[0]
        #expect(value.text == "fine ä\u{fffd}A\u{fffd}")
    }
}

/// xorshift64*.
struct TestRandom {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed | 1 }
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
