import ByteStorage

/// Matches glob patterns as KEYS, SCAN and PSUBSCRIBE know them: `*`, `?`, `[a-z]`, `[^a]`, backslash.
///
/// Iterative, with one point to come back to, so that hostile patterns of many stars cost at most pattern x text steps
/// and no stack.
///
/// - Spec: Redis command reference, KEYS.
public func matchesGlob(_ pattern: ByteView, _ text: ByteView, ignoringCase: Bool = false) -> Bool {
    var patternIndex = 0
    var textIndex = 0
    var starPattern = -1
    var starText = 0
    while textIndex < text.count {
        if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "*") {
            starPattern = patternIndex
            starText = textIndex
            patternIndex += 1
            continue
        }
        if patternIndex < pattern.count,
            let next = matchOne(pattern, patternIndex, text[textIndex], ignoringCase)
        {
            patternIndex = next
            textIndex += 1
            continue
        }
        guard starPattern >= 0 else { return false }
        starText += 1
        textIndex = starText
        patternIndex = starPattern + 1
    }
    while patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "*") { patternIndex += 1 }
    return patternIndex == pattern.count
}

/// Matches one byte against the pattern's element at `index` and returns where the next element starts; nil: no match.
private func matchOne(_ pattern: ByteView, _ index: Int, _ byte: UInt8, _ ignoringCase: Bool) -> Int? {
    func fold(_ byte: UInt8) -> UInt8 { ignoringCase ? asciiLowercased(byte) : byte }
    let element = pattern[index]
    switch element {
    case UInt8(ascii: "?"): return index + 1
    case UInt8(ascii: "["): return matchClass(pattern, index + 1, fold(byte), fold)
    case UInt8(ascii: "\\") where index + 1 < pattern.count:
        return fold(pattern[index + 1]) == fold(byte) ? index + 2 : nil
    default: return fold(element) == fold(byte) ? index + 1 : nil
    }
}

private func matchClass(_ pattern: ByteView, _ start: Int, _ byte: UInt8, _ fold: (UInt8) -> UInt8) -> Int? {
    var index = start
    var isNegated = false
    if index < pattern.count, pattern[index] == UInt8(ascii: "^") {
        isNegated = true
        index += 1
    }
    var isMatch = false
    while index < pattern.count {
        let element = pattern[index]
        if element == UInt8(ascii: "\\"), index + 1 < pattern.count {
            if fold(pattern[index + 1]) == byte { isMatch = true }
            index += 2
        } else if element == UInt8(ascii: "]") {
            return isMatch != isNegated ? index + 1 : nil
        } else if index + 2 < pattern.count, pattern[index + 1] == UInt8(ascii: "-") {
            let low = min(fold(element), fold(pattern[index + 2]))
            let high = max(fold(element), fold(pattern[index + 2]))
            if byte >= low && byte <= high { isMatch = true }
            index += 3
        } else {
            if fold(element) == byte { isMatch = true }
            index += 1
        }
    }
    // A class without its closing bracket ends with the pattern.
    return isMatch != isNegated ? index : nil
}
