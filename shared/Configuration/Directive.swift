/// One directive of a configuration file or of the command line.
public struct Directive: Equatable, Sendable {
    /// In lower case.
    public let name: String
    /// The arguments as bytes: `\xHH` may have made any.
    public let values: [[UInt8]]
    public let file: String
    public let line: Int

    public init(name: String, values: [[UInt8]], file: String, line: Int) {
        self.name = name
        self.values = values
        self.file = file
        self.line = line
    }

    /// The arguments as text, ill-formed UTF-8 repaired.
    public var arguments: [String] { values.map { String(decoding: $0, as: UTF8.self) } }

    /// An error that points at this directive.
    public func error(_ message: String) -> ConfigurationError {
        ConfigurationError("'\(name)': \(message)", file: file, line: line)
    }

    /// The only argument as text, or an error that says how many there are.
    public func single() throws(ConfigurationError) -> String {
        guard values.count == 1 else { throw error("wrong number of arguments (\(values.count), expected 1)") }
        return arguments[0]
    }

    /// `parse` applied to the only argument, its error put into place.
    public func single<Value>(
        _ parse: (String) throws(ConfigurationValueError) -> Value
    ) throws(ConfigurationError) -> Value {
        let text = try single()
        do throws(ConfigurationValueError) { return try parse(text) } catch { throw self.error(error.message) }
    }
}

/// The text of a configuration file, taken apart.
public enum ConfigurationText {
    /// All directives of `text` in order, `include` among them. Blank lines and lines that start with `#` are skipped;
    /// a `#` further on is part of an argument.
    /// - Spec: the format of redis.conf.
    public static func parse(_ text: [UInt8], file: String) throws(ConfigurationError) -> [Directive] {
        var result: [Directive] = []
        var number = 0
        for line in lines(text) {
            number += 1
            guard let words = try directiveWords(line, file: file, line: number), let name = words.first else {
                continue
            }
            result.append(
                Directive(
                    name: String(decoding: name, as: UTF8.self).lowercased(), values: Array(words.dropFirst()),
                    file: file, line: number))
        }
        return result
    }

    /// Lines without their line feed. The empty rest after a final line feed is no line.
    static func lines(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
        var result = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if result.last?.isEmpty == true { result.removeLast() }
        return result
    }

    /// The words of a line; nil for a comment or a blank line.
    static func directiveWords(
        _ line: ArraySlice<UInt8>, file: String, line number: Int
    ) throws(ConfigurationError) -> [[UInt8]]? {
        guard let first = line.first(where: { !isBlank($0) }), first != UInt8(ascii: "#") else { return nil }
        guard let words = Tokeniser.split(line) else {
            throw ConfigurationError("unbalanced quotes", file: file, line: number)
        }
        return words.isEmpty ? nil : words
    }
}

@inline(__always) func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (byte >= 9 && byte <= 13) }
