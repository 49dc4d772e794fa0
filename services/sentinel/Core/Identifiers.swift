/// A point in time on a monotonic clock, or a length of time, in milliseconds. The core never reads a clock.
public typealias Milliseconds = Int64

/// A number that grows with every election; the higher one wins.
public typealias Epoch = UInt64

/// Names one connection attempt. Never used twice, so that a late report about an old link cannot be mistaken for news.
public struct LinkID: Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Names one command sent on a link.
public struct RequestID: Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Names whoever sent a command to this sentinel; chosen by the caller, echoed in `Action.respond`.
public struct RequesterID: Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A host, by name or by address, and a port.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: Int

    public init(_ host: String, _ port: Int) {
        self.host = host
        self.port = port
    }

    public var description: String { "\(host):\(port)" }
}

/// A deterministic generator of pseudo-random numbers (the SplitMix64 sequence).
///
/// The core takes every random choice from it, so that a run can be repeated from its seed.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A new run identifier: 40 lower-case hexadecimal digits.
    public mutating func runID() -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        while text.count < 40 { text.append(digits[Int(truncatingIfNeeded: next() & 15)]) }
        return String(decoding: text, as: UTF8.self)
    }
}

/// Whether `text` is a numeric IPv4 or IPv6 address rather than a name.
public func isNumericAddress(_ text: String) -> Bool {
    var dots = 0
    var digits = 0
    var value = 0
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: ":"): return true
        case UInt8(ascii: "."):
            guard digits > 0 else { return false }
            dots += 1
            digits = 0
            value = 0
        case 48...57:
            digits += 1
            value = value * 10 + Int(byte - 48)
            guard digits <= 3, value <= 255 else { return text.utf8.contains(UInt8(ascii: ":")) }
        default:
            // A colon further on can still make it IPv6.
            return text.utf8.contains(UInt8(ascii: ":"))
        }
    }
    return dots == 3 && digits > 0
}

/// Whether `text` can be a host: a numeric address or a DNS name (letters, digits, hyphens, underscores, dots).
public func isPlausibleHost(_ text: String) -> Bool {
    guard !text.isEmpty, text.utf8.count <= 253 else { return false }
    if isNumericAddress(text) { return true }
    return text.utf8.allSatisfy { byte in
        (byte >= 48 && byte <= 57) || (byte | 0x20 >= 97 && byte | 0x20 <= 122) || byte == 45 || byte == 46
            || byte == 95
    }
}

func isRunID(_ text: String) -> Bool {
    text.utf8.count == 40 && text.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || ($0 >= 97 && $0 <= 102) }
}

/// Shell-style matching as Redis's patterns do it: `*`, `?`, `[set]`, `[^set]` and `\` for the next byte literally.
///
/// Backtracks to the last star only, so its time is bounded by the product of the two lengths.
public func matchesGlob(_ pattern: String, _ text: String, ignoringCase: Bool = false) -> Bool {
    let pattern = Array(ignoringCase ? pattern.lowercased().utf8 : pattern.utf8)
    let text = Array(ignoringCase ? text.lowercased().utf8 : text.utf8)
    var position = 0
    var index = 0
    var star: (pattern: Int, text: Int)?
    while index < text.count {
        if position < pattern.count, pattern[position] == UInt8(ascii: "*") {
            star = (position + 1, index)
            position += 1
            continue
        }
        if let next = matchOne(pattern, position, text[index]) {
            position = next
            index += 1
            continue
        }
        guard let last = star else { return false }
        star = (last.pattern, last.text + 1)
        position = last.pattern
        index = last.text + 1
    }
    while position < pattern.count, pattern[position] == UInt8(ascii: "*") { position += 1 }
    return position == pattern.count
}

/// The position after the pattern element at `position` if it matches `byte`.
private func matchOne(_ pattern: [UInt8], _ position: Int, _ byte: UInt8) -> Int? {
    guard position < pattern.count else { return nil }
    switch pattern[position] {
    case UInt8(ascii: "?"):
        return position + 1
    case UInt8(ascii: "\\") where position + 1 < pattern.count:
        return pattern[position + 1] == byte ? position + 2 : nil
    case UInt8(ascii: "["):
        var index = position + 1
        var negated = false
        if index < pattern.count, pattern[index] == UInt8(ascii: "^") {
            negated = true
            index += 1
        }
        var found = false
        while index < pattern.count, pattern[index] != UInt8(ascii: "]") {
            if index + 2 < pattern.count, pattern[index + 1] == UInt8(ascii: "-"),
                pattern[index + 2] != UInt8(ascii: "]")
            {
                let low = min(pattern[index], pattern[index + 2])
                let high = max(pattern[index], pattern[index + 2])
                if byte >= low && byte <= high { found = true }
                index += 3
            } else {
                if pattern[index] == byte { found = true }
                index += 1
            }
        }
        return found != negated ? min(index + 1, pattern.count) : nil
    default:
        return pattern[position] == byte ? position + 1 : nil
    }
}
