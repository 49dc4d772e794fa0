/// Splits a line into words as Redis does, and quotes words so that splitting gives them back.
///
/// - `"..."` knows `\n \r \t \b \a \xHH`; a backslash before anything else stands for that character.
/// - `'...'` knows only `\'`.
/// - Quotes may open within a word (`a"b"` is `ab`); after the closing quote the word must end.
public enum Tokeniser {
    /// The words of `line`; nil if its quotes do not match.
    public static func split(_ line: some Collection<UInt8>) -> [[UInt8]]? {
        let bytes = Array(line)
        var words: [[UInt8]] = []
        var index = 0
        while true {
            while index < bytes.count, isBlank(bytes[index]) { index += 1 }
            if index == bytes.count { return words }
            guard let word = word(bytes, &index) else { return nil }
            words.append(word)
        }
    }

    public static func split(_ line: String) -> [[UInt8]]? { split(Array(line.utf8)) }

    private static func word(_ bytes: [UInt8], _ index: inout Int) -> [UInt8]? {
        var word: [UInt8] = []
        while index < bytes.count, !isBlank(bytes[index]), bytes[index] != 0 {
            let byte = bytes[index]
            index += 1
            guard byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") else {
                word.append(byte)
                continue
            }
            guard quoted(bytes, &index, by: byte, into: &word) else { return nil }
            return index == bytes.count || isBlank(bytes[index]) ? word : nil
        }
        // A zero byte ends the line, as it does in C.
        if index < bytes.count, bytes[index] == 0 { index = bytes.count }
        return word
    }

    /// Reads up to the closing `quote` and past it. False: it is missing.
    private static func quoted(_ bytes: [UInt8], _ index: inout Int, by quote: UInt8, into word: inout [UInt8]) -> Bool
    {
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == quote { return true }
            guard byte == UInt8(ascii: "\\"), index < bytes.count else {
                word.append(byte)
                continue
            }
            let next = bytes[index]
            if quote == UInt8(ascii: "'") {
                if next == quote { index += 1 }
                word.append(next == quote ? next : byte)
            } else if next == UInt8(ascii: "x"), index + 2 < bytes.count, let high = hexadecimal(bytes[index + 1]),
                let low = hexadecimal(bytes[index + 2])
            {
                word.append(high << 4 | low)
                index += 3
            } else {
                word.append(escapes[next] ?? next)
                index += 1
            }
        }
        return false
    }

    private static let escapes: [UInt8: UInt8] = [
        UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13, UInt8(ascii: "t"): 9, UInt8(ascii: "b"): 8, UInt8(ascii: "a"): 7,
    ]

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }

    /// `word` as it is, or in double quotes with escapes where splitting would otherwise not give it back.
    public static func quote(_ word: [UInt8]) -> [UInt8] {
        let isPlain =
            !word.isEmpty && word[0] != UInt8(ascii: "#")
            && word.allSatisfy {
                $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "'") && $0 != 92
            }
        if isPlain { return word }
        var result: [UInt8] = [UInt8(ascii: "\"")]
        for byte in word {
            switch byte {
            case UInt8(ascii: "\""), 92: result += [92, byte]
            case 10: result += Array("\\n".utf8)
            case 13: result += Array("\\r".utf8)
            case 9: result += Array("\\t".utf8)
            case 8: result += Array("\\b".utf8)
            case 7: result += Array("\\a".utf8)
            case 32..<127: result.append(byte)
            default:
                let digits = Array("0123456789abcdef".utf8)
                result += [92, UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        result.append(UInt8(ascii: "\""))
        return result
    }
}
