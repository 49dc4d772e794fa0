import ByteStorage

/// Splits a line into words as Redis does for inline requests: blanks separate; `"..."` knows \n \r \t \b \a, \xHH and
/// backslash before any other byte; `'...'` knows only \'. A closing quote must be followed by a blank or the end.
///
/// - Returns: the words, or nil when a quote is not closed or is followed by another byte.
public func splitInlineArguments(_ line: ByteView) -> [[UInt8]]? {
    var words: [[UInt8]] = []
    var index = 0
    while true {
        while index < line.count, isBlank(line[index]) { index += 1 }
        if index == line.count { return words }
        var word: [UInt8] = []
        while index < line.count, !isBlank(line[index]) {
            let byte = line[index]
            index += 1
            guard byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") else {
                word.append(byte)
                continue
            }
            guard appendQuoted(line, &index, byte, &word) else { return nil }
            if index < line.count, !isBlank(line[index]) { return nil }
        }
        words.append(word)
    }
}

private func appendQuoted(_ line: ByteView, _ index: inout Int, _ quote: UInt8, _ word: inout [UInt8]) -> Bool {
    let double = quote == UInt8(ascii: "\"")
    while index < line.count {
        let byte = line[index]
        index += 1
        if byte == quote { return true }
        guard byte == UInt8(ascii: "\\"), index < line.count else {
            word.append(byte)
            continue
        }
        let escaped = line[index]
        if !double {
            if escaped == quote {
                word.append(quote)
                index += 1
            } else {
                word.append(byte)
            }
            continue
        }
        index += 1
        if escaped == UInt8(ascii: "x"), index + 1 < line.count, let high = hexDigit(line[index]),
            let low = hexDigit(line[index + 1])
        {
            word.append(high << 4 | low)
            index += 2
            continue
        }
        switch escaped {
        case UInt8(ascii: "n"): word.append(10)
        case UInt8(ascii: "r"): word.append(13)
        case UInt8(ascii: "t"): word.append(9)
        case UInt8(ascii: "b"): word.append(8)
        case UInt8(ascii: "a"): word.append(7)
        default: word.append(escaped)
        }
    }
    return false
}

private func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte >= 9 && byte <= 13 || byte == 0 }

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
}
