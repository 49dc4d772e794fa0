import ByteStorage

// The list of the files that make up an append-only log.
//
// One line a file: `file NAME seq N type b|i|h`: the base, the increments after it in order, and history: files that
// the current base has made superfluous and that are about to be removed.
//
// - Spec: Redis 7, multi-part AOF. Key and value pairs in any order; unknown keys are passed over; `#` starts a comment
//   line; names with blanks or unprintable bytes are quoted as in the Redis configuration.

public struct AOFManifest: Sendable, Equatable {
    public enum Role: String, Sendable {
        case base = "b"
        case increment = "i"
        case history = "h"
    }

    public struct Entry: Sendable, Equatable {
        public var name: String
        public var sequence: Int64
        public var role: Role

        public init(name: String, sequence: Int64, role: Role) {
            self.name = name
            self.sequence = sequence
            self.role = role
        }
    }

    public enum BaseFormat: String, Sendable {
        case rdb
        case aof
    }

    public var base: Entry?
    public var history: [Entry] = []
    /// In the order of their sequence numbers, which rises.
    public var increments: [Entry] = []

    public init() {}

    public static let maximumBytes = 1 << 20
    static let maximumLineBytes = 1024

    public var isEmpty: Bool { base == nil && increments.isEmpty && history.isEmpty }

    /// The files that hold the data, in the order in which they are loaded.
    public var loadOrder: [Entry] { (base.map { [$0] } ?? []) + increments }

    // MARK: Changes

    public mutating func addIncrement(_ fileName: String) -> Entry {
        let sequence = (increments.last?.sequence ?? 0) + 1
        let entry = Entry(name: "\(fileName).\(sequence).incr.aof", sequence: sequence, role: .increment)
        increments.append(entry)
        return entry
    }

    /// Puts a new base in place; the old one, and the increments before `firstIncrement`, become history.
    public mutating func replaceBase(_ fileName: String, _ format: BaseFormat, firstIncrement: Int64) -> Entry {
        let sequence = (base?.sequence ?? 0) + 1
        let entry = Entry(name: "\(fileName).\(sequence).base.\(format.rawValue)", sequence: sequence, role: .base)
        if let base { history.append(Entry(name: base.name, sequence: base.sequence, role: .history)) }
        base = entry
        for old in increments where old.sequence < firstIncrement {
            history.append(Entry(name: old.name, sequence: old.sequence, role: .history))
        }
        increments.removeAll { $0.sequence < firstIncrement }
        return entry
    }

    // MARK: Text

    public func render() -> [UInt8] {
        var text: [UInt8] = []
        for entry in (base.map { [$0] } ?? []) + history + increments {
            text += [UInt8]("file ".utf8) + AOFManifest.quotedIfNeeded(entry.name)
            text += [UInt8](" seq \(entry.sequence) type \(entry.role.rawValue)\n".utf8)
        }
        return text
    }

    /// - Throws: `.damaged` with the line's number and offset.
    public static func parse(_ text: [UInt8]) throws(PersistenceError) -> AOFManifest {
        var manifest = AOFManifest()
        var start = 0
        var number = 0
        while start < text.count {
            number += 1
            func damaged(_ detail: String) -> PersistenceError {
                PersistenceError(.damaged, "line \(number): \(detail)", offset: UInt64(start))
            }
            guard let end = text[start...].firstIndex(of: 10) else {
                throw damaged("expected a line end, the file seems cut")
            }
            let line = [UInt8](text[start..<end])
            guard line.count <= maximumLineBytes else { throw damaged("longer than \(maximumLineBytes) bytes") }
            if line.first != 35 {
                guard let words = splitWords(line) else { throw damaged("expected balanced quotes") }
                guard let entry = entry(words) else {
                    throw damaged("expected: file NAME seq NUMBER type b|i|h")
                }
                if let problem = manifest.add(entry) { throw damaged(problem) }
            }
            start = end + 1
        }
        guard !manifest.isEmpty else { throw PersistenceError(.damaged, "the manifest lists no file", offset: 0) }
        return manifest
    }

    private static func entry(_ words: [[UInt8]]) -> Entry? {
        guard words.count >= 6, words.count % 2 == 0 else { return nil }
        var name: String?
        var sequence: Int64?
        var role: Role?
        for index in stride(from: 0, to: words.count, by: 2) {
            let value = words[index + 1]
            switch String(decoding: words[index], as: UTF8.self).lowercased() {
            case "file":
                let text = String(decoding: value, as: UTF8.self)
                // A name, never a path: the manifest must not lead out of its folder.
                guard !value.isEmpty, !value.contains(47), !value.contains(0), text != ".", text != "..",
                    [UInt8](text.utf8) == value
                else { return nil }
                name = text
            case "seq": sequence = value.withView { parseInteger($0) }
            case "type": role = Role(rawValue: String(decoding: value, as: UTF8.self))
            default: break
            }
        }
        guard let name, let sequence, sequence > 0, let role else { return nil }
        return Entry(name: name, sequence: sequence, role: role)
    }

    private mutating func add(_ entry: Entry) -> String? {
        switch entry.role {
        case .base:
            guard base == nil else { return "a second base file" }
            base = entry
        case .history: history.append(entry)
        case .increment:
            if let last = increments.last, last.sequence >= entry.sequence {
                return "sequence number \(entry.sequence) after \(last.sequence)"
            }
            increments.append(entry)
        }
        return nil
    }

    // MARK: Quotes

    private static let shortEscapes: [(UInt8, UInt8)] = [
        (92, 92), (34, 34), (10, 110), (13, 114), (9, 116), (7, 97), (8, 98),
    ]

    static func quotedIfNeeded(_ name: String) -> [UInt8] {
        let bytes = [UInt8](name.utf8)
        let needed = bytes.contains { $0 <= 32 || $0 >= 127 || $0 == 34 || $0 == 92 || $0 == 39 }
        guard needed else { return bytes }
        var quoted: [UInt8] = [34]
        for byte in bytes {
            if let short = shortEscapes.first(where: { $0.0 == byte }) {
                quoted += [92, short.1]
            } else if byte < 32 || byte >= 127 {
                let digits = Array("0123456789abcdef".utf8)
                quoted += [92, 120, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                quoted.append(byte)
            }
        }
        return quoted + [34]
    }

    /// Words separated by blanks; nil when a quote does not end, or ends in the middle of a word.
    static func splitWords(_ line: [UInt8]) -> [[UInt8]]? {
        var words: [[UInt8]] = []
        var index = 0
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) || byte == 0 }
        while true {
            while index < line.count, isBlank(line[index]) { index += 1 }
            guard index < line.count else { return words }
            var word: [UInt8] = []
            while index < line.count, !isBlank(line[index]) {
                let quote = line[index]
                guard quote == 34 || quote == 39 else {
                    word.append(quote)
                    index += 1
                    continue
                }
                index += 1
                while true {
                    guard index < line.count else { return nil }
                    if line[index] == quote { break }
                    word.append(unescaped(line, &index, inDoubleQuotes: quote == 34))
                }
                index += 1
                guard index == line.count || isBlank(line[index]) else { return nil }
            }
            words.append(word)
        }
    }

    private static func unescaped(_ line: [UInt8], _ index: inout Int, inDoubleQuotes: Bool) -> UInt8 {
        let byte = line[index]
        index += 1
        guard byte == 92, index < line.count else { return byte }
        let next = line[index]
        if !inDoubleQuotes {
            guard next == 39 else { return byte }
            index += 1
            return next
        }
        index += 1
        if next == 120, index + 1 < line.count, let high = hexDigit(line[index]), let low = hexDigit(line[index + 1]) {
            index += 2
            return high << 4 | low
        }
        return shortEscapes.first { $0.1 == next }?.0 ?? next
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 97...102: byte - 87
        case 65...70: byte - 55
        default: nil
        }
    }
}
