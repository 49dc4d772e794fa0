/// What is wrong with the settings, and where.
public struct SettingsError: Error, Equatable, Sendable, CustomStringConvertible {
    public let file: String
    public let line: Int
    public let message: String

    public init(file: String, line: Int, _ message: String) {
        self.file = file
        self.line = line
        self.message = message
    }

    public var description: String { line > 0 ? "\(file):\(line): \(message)" : "\(file): \(message)" }
}

/// One mapping of a settings file, read key by key: each key is known or refused, each value is of its kind or refused.
public struct SettingsNode {
    public let file: String
    public let name: String
    public let line: Int
    private let pairs: [YAMLNode.Pair]

    public init(_ node: YAMLNode?, file: String, name: String, line: Int, keys: Set<String>) throws(SettingsError) {
        self.file = file
        self.name = name
        self.line = node?.line ?? line
        if let node, !node.isNull {
            guard let pairs = node.mapping else {
                throw SettingsError(file: file, line: node.line, "\(name) must be a mapping")
            }
            self.pairs = pairs
        } else {
            pairs = []
        }
        for pair in pairs where !keys.contains(pair.key) {
            let place = name.isEmpty ? "" : " in \(name)"
            throw SettingsError(
                file: file, line: pair.keyLine,
                "unknown key '\(pair.key)'\(place), known are: \(keys.sorted().joined(separator: ", "))")
        }
    }

    public func node(_ key: String) -> YAMLNode? {
        guard let node = pairs.first(where: { $0.key == key })?.value, !node.isNull else { return nil }
        return node
    }

    public func lineOf(_ key: String) -> Int { pairs.first { $0.key == key }?.keyLine ?? line }

    public func error(_ key: String, _ message: String) -> SettingsError {
        SettingsError(file: file, line: lineOf(key), "\(key): \(message)")
    }

    public func child(_ key: String, keys: Set<String>) throws(SettingsError) -> SettingsNode {
        try SettingsNode(node(key), file: file, name: key, line: lineOf(key), keys: keys)
    }

    public func children(_ key: String, keys: Set<String>) throws(SettingsError) -> [SettingsNode] {
        guard let node = node(key) else { return [] }
        guard let items = node.sequence else { throw error(key, "must be a list") }
        var result: [SettingsNode] = []
        for item in items {
            result.append(try SettingsNode(item, file: file, name: key, line: item.line, keys: keys))
        }
        return result
    }

    public func string(_ key: String) throws(SettingsError) -> String? {
        guard let node = node(key) else { return nil }
        guard let text = node.string else { throw error(key, "must be text") }
        return text
    }

    public func strings(_ key: String) throws(SettingsError) -> [String] {
        guard let node = node(key) else { return [] }
        if let text = node.string { return [text] }
        guard let items = node.sequence else { throw error(key, "must be a list of texts") }
        var result: [String] = []
        for item in items {
            guard let text = item.string else {
                throw SettingsError(file: file, line: item.line, "\(key): must be a list of texts")
            }
            result.append(text)
        }
        return result
    }

    public func bool(_ key: String) throws(SettingsError) -> Bool? {
        guard let node = node(key) else { return nil }
        guard let flag = node.bool else { throw error(key, "must be true or false") }
        return flag
    }

    public func integer(_ key: String, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
        guard let node = node(key) else { return nil }
        guard let number = node.integer, range.contains(number) else {
            throw error(key, "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Seconds, of a time such as `90s`, `10m`, `24h` or `30d`, or of a number.
    public func seconds(_ key: String, _ range: ClosedRange<Int64>) throws(SettingsError) -> Int64? {
        guard let node = node(key) else { return nil }
        guard let seconds = node.string.flatMap(TimeSpan.seconds), range.contains(seconds) else {
            throw error(
                key, "must be a time such as 90s, 10m or 24h, from \(range.lowerBound) to \(range.upperBound) seconds")
        }
        return seconds
    }

    /// Bytes: a number, or one with KiB, MiB or GiB.
    public func bytes(_ key: String, _ range: ClosedRange<Int>) throws(SettingsError) -> Int? {
        guard let node = node(key) else { return nil }
        var text = node.string ?? ""
        var unit = 1
        for (suffix, factor) in [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)] where text.hasSuffix(suffix) {
            text = String(text.dropLast(3)).trimmingBlanks
            unit = factor
        }
        let (value, overflow) = (Int(text) ?? -1).multipliedReportingOverflow(by: unit)
        guard !overflow, range.contains(value) else {
            throw error(key, "must be bytes from \(range.lowerBound) to \(range.upperBound), such as 65536 or 64KiB")
        }
        return value
    }

    public func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, _ type: Choice.Type)
        throws(SettingsError)
        -> Choice? where Choice.RawValue == String
    {
        guard let text = try string(key) else { return nil }
        guard let value = Choice(rawValue: text) else {
            throw error(key, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return value
    }

    /// Name and value of a mapping of texts, in its order.
    public func pairs(_ key: String) throws(SettingsError) -> [(name: String, value: String, line: Int)] {
        guard let node = node(key) else { return [] }
        guard let mapping = node.mapping else { throw error(key, "must be a mapping") }
        var result: [(String, String, Int)] = []
        for pair in mapping {
            guard case .scalar(let text, _, _) = pair.value else {
                throw SettingsError(file: file, line: pair.keyLine, "\(pair.key): must be text")
            }
            result.append((pair.key, text, pair.keyLine))
        }
        return result
    }
}

extension String {
    var trimmingBlanks: String {
        var text = self[...]
        while text.last == " " || text.last == "\n" || text.last == "\r" || text.last == "\t" { text.removeLast() }
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        return String(text)
    }
}
