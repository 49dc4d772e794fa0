import DatabaseEngine
import ServerConfiguration
import TLS

/// One directive: how it is read, written and applied.
struct Parameter: Sendable {
    let name: String
    /// Another accepted name: what Redis called it before.
    let alias: String?
    /// Cannot be changed while the server runs.
    let isImmutable: Bool
    /// Given several times or with several words in a file; CONFIG REWRITE writes it as words.
    let isMultiWord: Bool
    let get: @Sendable (ServerSettings) -> String
    let set: @Sendable (inout ServerSettings, [String]) throws(ConfigurationValueError) -> Void
    /// Not shown by CONFIG GET with a pattern: secrets are, as in Redis, only by exact name.
    var isSensitive = false
}

/// Constructors for the usual kinds of parameters. KeyPaths are Sendable when their root and value are.
extension Parameter {
    typealias Path<Value> = any WritableKeyPath<ServerSettings, Value> & Sendable

    private static func single(_ values: [String]) throws(ConfigurationValueError) -> String {
        guard values.count == 1 else { throw ConfigurationValueError("wrong number of arguments") }
        return values[0]
    }

    static func make(
        _ name: String, alias: String? = nil, immutable: Bool = false, multiWord: Bool = false,
        get: @escaping @Sendable (ServerSettings) -> String,
        set: @escaping @Sendable (inout ServerSettings, [String]) throws(ConfigurationValueError) -> Void
    ) -> Parameter {
        Parameter(name: name, alias: alias, isImmutable: immutable, isMultiWord: multiWord, get: get, set: set)
    }

    static func text(_ name: String, _ path: Path<String>, alias: String? = nil, immutable: Bool = false) -> Parameter {
        make(name, alias: alias, immutable: immutable) {
            $0[keyPath: path]
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = try single(values)
        }
    }

    static func boolean(_ name: String, _ path: Path<Bool>, alias: String? = nil, immutable: Bool = false) -> Parameter
    {
        make(name, alias: alias, immutable: immutable) {
            ConfigurationValue.format($0[keyPath: path])
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = try ConfigurationValue.boolean(try single(values))
        }
    }

    static func integer(
        _ name: String, _ path: Path<Int>, in range: ClosedRange<Int64>, alias: String? = nil, immutable: Bool = false
    ) -> Parameter {
        make(name, alias: alias, immutable: immutable) {
            String($0[keyPath: path])
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = Int(try ConfigurationValue.integer(try single(values), in: range))
        }
    }

    static func memory(
        _ name: String, _ path: Path<Int>, in range: ClosedRange<Int64> = 0 ... .max, alias: String? = nil
    ) -> Parameter {
        make(name, alias: alias) {
            String($0[keyPath: path])
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = Int(try ConfigurationValue.memory(try single(values), in: range))
        }
    }

    static func choice<Value: RawRepresentable & CaseIterable & Sendable>(
        _ name: String, _ path: Path<Value>, immutable: Bool = false
    ) -> Parameter where Value.RawValue == String {
        make(name, immutable: immutable) {
            $0[keyPath: path].rawValue
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            let all = Array(Value.allCases)
            settings[keyPath: path] =
                all[
                    try ConfigurationValue.choice(try single(values), of: all.map(\.rawValue))]
        }
    }

    /// A directive of Redis that has no effect here: accepted so that existing files start, reported by CONFIG GET with the
    /// value that it was given.
    static func inert(_ name: String, _ value: String) -> Parameter {
        make(name) {
            $0.inert[name] ?? value
        } set: { (settings, values) throws(ConfigurationValueError) in
            settings.inert[name] = values.joined(separator: " ")
        }
    }
}
