/// A command line in Redis's form: `[file] [--name value ...] ...`.
public struct CommandLineDirectives: Equatable, Sendable {
    /// The configuration file; `-` is standard input; nil if none is given.
    public let file: String?
    /// The overrides in order, to be applied after the file.
    public let directives: [Directive]

    /// The name that stands for the command line in errors.
    public static let source = "command line"

    /// Parses the arguments that follow the program's name. An argument may hold a whole directive
    /// (`"--bind 127.0.0.1 ::1"`); it is split like a line of a file, so that a quoted value may start with `--`.
    /// In errors the argument's position, counted from 1, takes the place of the line.
    public init(_ arguments: [String]) throws(ConfigurationError) {
        var rest = arguments[...]
        if let first = rest.first, !first.hasPrefix("--") {
            file = first
            rest = rest.dropFirst()
        } else {
            file = nil
        }
        var result: [Directive] = []
        while let argument = rest.first {
            let position = rest.startIndex + 1
            guard argument.hasPrefix("--"), argument.utf8.count > 2 else {
                throw ConfigurationError(
                    "unexpected argument '\(argument)', expected --name", file: Self.source, line: position)
            }
            let values = rest.dropFirst().prefix { !$0.hasPrefix("--") }
            rest = rest.dropFirst(1 + values.count)
            guard let words = Tokeniser.split(String(argument.dropFirst(2))), let name = words.first else {
                throw ConfigurationError("unbalanced quotes in '\(argument)'", file: Self.source, line: position)
            }
            result.append(
                Directive(
                    name: String(decoding: name, as: UTF8.self).lowercased(),
                    values: Array(words.dropFirst()) + values.map { Array($0.utf8) }, file: Self.source,
                    line: position))
        }
        directives = result
    }
}
