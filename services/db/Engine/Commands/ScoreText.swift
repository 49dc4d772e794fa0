// Floating-point numbers as text, in Redis's forms.
//
// Output is the shortest decimal that reads back to the same number: integers up to 2^62 without a point or exponent;
// otherwise plain digits while they are short, and `1e+20` style beyond. Input is what strtod takes, as a whole.
//
// - Spec: Redis 7.2, replies of ZSCORE and its kin; when an exponent is used is the rule of its shortest-digits printer.
import ByteStorage
import CLinux
import RESP

/// Room that `formatDouble` needs.
let doubleTextBytes = 40

/// Writes `value` at `target`, which has room for `doubleTextBytes`, and returns the number of bytes.
func formatDouble(_ value: Double, _ target: UnsafeMutableRawPointer) -> Int {
    func copy(_ text: StaticString) -> Int {
        memcpy(target, text.utf8Start, text.utf8CodeUnitCount)
        return text.utf8CodeUnitCount
    }
    if value.isNaN { return copy("nan") }
    if value.isInfinite { return value < 0 ? copy("-inf") : copy("inf") }
    if value == 0 { return value.sign == .minus ? copy("-0") : copy("0") }
    if value.magnitude <= 0x1p62, let integer = Int64(exactly: value) { return formatInteger(integer, target) }
    return formatFraction(value, target)
}

/// The digits of a number and the power of ten of the last one.
private struct ShortestDigits {
    private var storage: (UInt64, UInt64, UInt64) = (0, 0, 0)
    private(set) var count = 0
    private(set) var exponent = 0

    /// Reads them from the standard library's description, which has the shortest digits.
    init(_ magnitude: Double) {
        var text = magnitude.description
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        var count = 0
        var exponent = 0
        text.withUTF8 { text in
            withUnsafeMutableBytes(of: &digits) { digits in
                var index = 0
                var isPastPoint = false
                while index < text.count, text[index] != UInt8(ascii: "e") {
                    let byte = text[index]
                    index += 1
                    if byte == UInt8(ascii: ".") {
                        isPastPoint = true
                        continue
                    }
                    if isPastPoint { exponent -= 1 }
                    if count == 0 && byte == UInt8(ascii: "0") || count == digits.count { continue }
                    digits[count] = byte
                    count += 1
                }
                if index < text.count {
                    exponent += Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
                }
                while count > 1, digits[count - 1] == UInt8(ascii: "0") {
                    count -= 1
                    exponent += 1
                }
            }
        }
        storage = digits
        self.count = count
        self.exponent = exponent
    }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: storage) { body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
}

private func formatFraction(_ value: Double, _ target: UnsafeMutableRawPointer) -> Int {
    let digits = ShortestDigits(value.magnitude)
    var length = 0
    func put(_ byte: UInt8) {
        target.storeBytes(of: byte, toByteOffset: length, as: UInt8.self)
        length += 1
    }
    let scientific = digits.exponent + digits.count - 1
    if value < 0 { put(UInt8(ascii: "-")) }
    digits.withBytes { bytes in
        if digits.exponent >= 0, scientific < digits.count + 7 {
            for byte in bytes { put(byte) }
            for _ in 0..<digits.exponent { put(UInt8(ascii: "0")) }
        } else if digits.exponent < 0, digits.exponent > -7 || abs(scientific) < 4 {
            let point = digits.count + digits.exponent
            if point <= 0 {
                put(UInt8(ascii: "0"))
                put(UInt8(ascii: "."))
                for _ in 0..<(-point) { put(UInt8(ascii: "0")) }
            }
            for (index, byte) in bytes.enumerated() {
                if index == point, point > 0 { put(UInt8(ascii: ".")) }
                put(byte)
            }
        } else {
            for (index, byte) in bytes.enumerated() {
                if index == 1 { put(UInt8(ascii: ".")) }
                put(byte)
            }
            put(UInt8(ascii: "e"))
            put(scientific < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
            length += formatInteger(Int64(abs(scientific)), target + length)
        }
    }
    return length
}

/// Calls `body` with the text of `value`.
func withDoubleText<Result>(_ value: Double, _ body: (ByteView) -> Result) -> Result {
    withUnsafeTemporaryAllocation(byteCount: doubleTextBytes, alignment: 8) { memory in
        guard let base = memory.baseAddress else { return body(ByteView("0")) }
        return body(ByteView(base, formatDouble(value, base)))
    }
}

/// The number that the whole of `text` stands for; nil when it is none, not a number, or beyond the range of a double.
func parseDouble(_ text: ByteView) -> Double? {
    // Most scores are small integers.
    if text.count <= 15, let integer = parseInteger(text) { return Double(integer) }
    guard text.count > 0, !(text[0] == 32 || text[0] >= 9 && text[0] <= 13) else { return nil }
    guard let (value, isInRange) = scanDouble(text), isInRange else { return nil }
    return value
}

/// The bound of a score range: as `parseDouble`, but blanks before the number, an empty text (0) and numbers beyond the
/// range of a double (infinite) are taken, as Redis takes them.
func parseBound(_ text: ByteView) -> Double? { scanDouble(text)?.0 }

/// What strtod makes of the whole of `text`, and whether that is within its range.
private func scanDouble(_ text: ByteView) -> (Double, isInRange: Bool)? {
    guard text.count <= 4096 else { return nil }
    return withUnsafeTemporaryAllocation(byteCount: text.count + 1, alignment: 1) { copy in
        guard let base = copy.baseAddress else { return nil }
        base.copyMemory(from: text.base, byteCount: text.count)
        base.storeBytes(of: 0, toByteOffset: text.count, as: UInt8.self)
        let characters = base.assumingMemoryBound(to: CChar.self)
        var end: UnsafeMutablePointer<CChar>?
        cl_set_errno(0)
        let value = strtod(characters, &end)
        guard let end, end == characters + text.count, !value.isNaN else { return nil }
        return (value, !(cl_errno() == ERANGE && (value.isInfinite || value == 0)))
    }
}

extension ReplyWriter {
    /// A score: RESP3 a double, RESP2 a bulk string.
    func score(_ value: Double) { withDoubleText(value) { double(formatted: $0) } }
}
