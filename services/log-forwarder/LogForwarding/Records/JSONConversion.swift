// JSON values that `JSONMembers` has checked, written as MessagePack.
import ByteStorage
import CLinux

enum JSONConversion {
    /// Writes a string of which `content` lies between the quotes.
    static func packString(_ content: ByteView, isPlain: Bool, into output: OutputBuffer) {
        if isPlain { return output.packString(content) }
        if !UTF8Check.isWellFormed(content) {
            var repaired = content.string
            return repaired.withUTF8 { bytes in
                packUnescaped(
                    ByteView(bytes.baseAddress.map { UnsafeRawPointer($0) } ?? emptyByteBase, bytes.count), output)
            }
        }
        packUnescaped(content, output)
    }

    /// Unescaping never makes it longer, so the size of the header is known before.
    private static func packUnescaped(_ content: ByteView, _ output: OutputBuffer) {
        let header = content.count < 256 ? 2 : 5
        let target = output.reserve(content.count + header)
        var written = header
        var position = 0
        func put(_ byte: UInt8) {
            target.storeBytes(of: byte, toByteOffset: written, as: UInt8.self)
            written += 1
        }
        while position < content.count {
            let byte = content[position]
            position += 1
            guard byte == UInt8(ascii: "\\"), position < content.count else {
                put(byte)
                continue
            }
            let escaped = content[position]
            position += 1
            switch escaped {
            case UInt8(ascii: "b"): put(8)
            case UInt8(ascii: "f"): put(12)
            case UInt8(ascii: "n"): put(10)
            case UInt8(ascii: "r"): put(13)
            case UInt8(ascii: "t"): put(9)
            case UInt8(ascii: "u"):
                for byte in UTF8.encode(scalar(content, &position)) ?? UTF8.encodedReplacementCharacter { put(byte) }
            default: put(escaped)
            }
        }
        let count = written - header
        if header == 2 {
            target.storeBytes(of: 0xd9, as: UInt8.self)
            target.storeBytes(of: UInt8(truncatingIfNeeded: count), toByteOffset: 1, as: UInt8.self)
        } else {
            target.storeBytes(of: 0xdb, as: UInt8.self)
            target.storeBytes(of: UInt32(clamping: count).bigEndian, toByteOffset: 1, as: UInt32.self)
        }
        output.commit(written)
    }

    /// The scalar of `XXXX` at `position`, with the low half that a high surrogate needs; half a pair is U+FFFD.
    private static func scalar(_ content: ByteView, _ position: inout Int) -> Unicode.Scalar {
        let replacement = Unicode.Scalar(0xfffd as UInt16) ?? " "
        guard let first = JSONMembers.hexadecimal(content, position) else { return replacement }
        position += 4
        guard first & 0xfc00 == 0xd800 else { return Unicode.Scalar(first) ?? replacement }
        guard position + 6 <= content.count, content[position] == UInt8(ascii: "\\"),
            content[position + 1] == UInt8(ascii: "u"),
            let second = JSONMembers.hexadecimal(content, position + 2), second & 0xfc00 == 0xdc00
        else { return replacement }
        position += 6
        return Unicode.Scalar(0x10000 + (first & 0x3ff) << 10 + (second & 0x3ff)) ?? replacement
    }

    /// Writes any value.
    static func pack(_ value: ByteView, into output: OutputBuffer) {
        var scanner = JSONMembers.Scanner(value)
        pack(&scanner, output)
    }

    private static func pack(_ scanner: inout JSONMembers.Scanner, _ output: OutputBuffer) {
        scanner.skipBlanks()
        guard scanner.position < scanner.line.count else { return output.packNil() }
        switch scanner.line[scanner.position] {
        case UInt8(ascii: "\""): packString(&scanner, output)
        case UInt8(ascii: "{"): packElements(&scanner, output, isObject: true)
        case UInt8(ascii: "["): packElements(&scanner, output, isObject: false)
        case UInt8(ascii: "t"):
            scanner.position += 4
            output.pack(true)
        case UInt8(ascii: "f"):
            scanner.position += 5
            output.pack(false)
        case UInt8(ascii: "n"):
            scanner.position += 4
            output.packNil()
        default:
            let start = scanner.position
            guard scanner.value(depth: 0), scanner.position > start else { return output.packNil() }
            packNumber(scanner.line.slice(start, scanner.position), output)
        }
    }

    private static func packString(_ scanner: inout JSONMembers.Scanner, _ output: OutputBuffer) {
        let start = scanner.position + 1
        guard let isPlain = scanner.string() else { return output.packNil() }
        packString(scanner.line.slice(start, scanner.position - 1), isPlain: isPlain, into: output)
    }

    /// Elements, under a header of 32 bits whose count is filled in at the end.
    private static func packElements(_ scanner: inout JSONMembers.Scanner, _ output: OutputBuffer, isObject: Bool) {
        scanner.position += 1
        let header = output.count
        output.packBytes(isObject ? 0xdf : 0xdd, UInt32(0))
        var count: UInt32 = 0
        let end = UInt8(ascii: isObject ? "}" : "]")
        scanner.skipBlanks()
        while !scanner.isAtEnd, scanner.line[scanner.position] != end {
            if isObject {
                packString(&scanner, output)
                scanner.skipBlanks()
                _ = scanner.take(UInt8(ascii: ":"))
            }
            pack(&scanner, output)
            count += 1
            scanner.skipBlanks()
            _ = scanner.take(UInt8(ascii: ","))
            scanner.skipBlanks()
        }
        _ = scanner.take(end)
        // SAFETY: the header's five bytes are within what is readable.
        UnsafeMutableRawPointer(mutating: output.readable).storeBytes(
            of: count.bigEndian, toByteOffset: header + 1, as: UInt32.self)
    }

    private static func packNumber(_ text: ByteView, _ output: OutputBuffer) {
        if let integer = parseInteger(text) { return output.pack(integer) }
        output.pack(Double(text.string) ?? 0)
    }
}

extension UTF8 {
    static var encodedReplacementCharacter: EncodedScalar { UTF8.encodedReplacement }
    private static var encodedReplacement: EncodedScalar { UTF8.encode("\u{fffd}") ?? EncodedScalar() }
}
