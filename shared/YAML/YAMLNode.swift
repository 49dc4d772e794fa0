/// A value of a YAML document, with the line on which it begins.
public indirect enum YAMLNode: Sendable, Equatable {
    /// A plain scalar may mean a number, a truth value or null; a quoted one is always text.
    case scalar(text: String, isPlain: Bool, line: Int)
    case sequence([YAMLNode], line: Int)
    /// In the order of the document; keys are unique.
    case mapping([Pair], line: Int)

    public struct Pair: Sendable, Equatable {
        public let key: String
        public let keyLine: Int
        public let value: YAMLNode
    }

    /// Counted from 1.
    public var line: Int {
        switch self {
        case .scalar(_, _, let line), .sequence(_, let line), .mapping(_, let line): line
        }
    }

    /// Whether this is what the core schema resolves to null: nothing, `~` or `null`, not quoted.
    public var isNull: Bool {
        guard case .scalar(let text, true, _) = self else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// The text of a scalar that is not null.
    public var string: String? {
        guard case .scalar(let text, _, _) = self, !isNull else { return nil }
        return text
    }

    public var integer: Int? {
        guard case .scalar(let text, true, _) = self else { return nil }
        return Int(text)
    }

    public var double: Double? {
        guard case .scalar(let text, true, _) = self, !text.isEmpty,
            text.utf8.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) })
        else { return nil }
        return Double(text)
    }

    /// `true` and `false`, and the other words of YAML 1.1 that values files use.
    public var bool: Bool? {
        guard case .scalar(let text, true, _) = self else { return nil }
        switch text.lowercased() {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default: return nil
        }
    }

    public var sequence: [YAMLNode]? {
        guard case .sequence(let nodes, _) = self else { return nil }
        return nodes
    }

    public var mapping: [Pair]? {
        guard case .mapping(let pairs, _) = self else { return nil }
        return pairs
    }

    /// The value under `key`; nil when this is no mapping or has no such key.
    public subscript(key: String) -> YAMLNode? { mapping?.first { $0.key == key }?.value }
}

/// What is wrong with a document.
public struct YAMLError: Error, Equatable, CustomStringConvertible {
    public let message: String
    /// Counted from 1.
    public let line: Int
    public let column: Int

    public init(_ message: String, line: Int, column: Int = 1) {
        self.message = message
        self.line = line
        self.column = column
    }

    public var description: String { "line \(line), column \(column): \(message)" }
}
