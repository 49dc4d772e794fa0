import DatabaseEngine
import RESPClient
import RoleDiscovery
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
    /// Says where files go: CONFIG SET takes it only as `enable-protected-configs` allows.
    var isProtected = false
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

    /// - Parameter cappedAt: a higher value is accepted, as Redis does, and means no more than this.
    static func integer(
        _ name: String, _ path: Path<Int>, in range: ClosedRange<Int64>, cappedAt highest: Int = .max,
        alias: String? = nil, immutable: Bool = false
    ) -> Parameter {
        make(name, alias: alias, immutable: immutable) {
            String($0[keyPath: path])
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = min(
                highest, Int(try ConfigurationValue.integer(try single(values), in: range)))
        }
    }

    static func memory(
        _ name: String, _ path: Path<Int>, in range: ClosedRange<Int64> = 0 ... .max, cappedAt highest: Int = .max,
        alias: String? = nil
    ) -> Parameter {
        make(name, alias: alias) {
            String($0[keyPath: path])
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = min(highest, Int(try ConfigurationValue.memory(try single(values), in: range)))
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

    /// `<host> <port>`; lines add up.
    static func addresses(_ name: String, _ path: Path<[PeerAddress]>) -> Parameter {
        make(name, immutable: true, multiWord: true) {
            $0[keyPath: path].map { "\($0.host) \($0.port)" }.joined(separator: " ")
        } set: { (settings, values) throws(ConfigurationValueError) in
            guard values.count >= 2, values.count.isMultiple(of: 2) else {
                throw ConfigurationValueError("expected <host> <port>")
            }
            for index in stride(from: 0, to: values.count, by: 2) {
                let port = try ConfigurationValue.integer(values[index + 1], in: 1...65535)
                guard settings[keyPath: path].count < 99 else {
                    throw ConfigurationValueError("more than 99 addresses")
                }
                settings[keyPath: path].append(PeerAddress(values[index], Int(port)))
            }
        }
    }

    func sensitive() -> Parameter {
        var result = self
        result.isSensitive = true
        return result
    }

    func protected() -> Parameter {
        var result = self
        result.isProtected = true
        return result
    }

    /// A directive of Redis that has no effect here: accepted so that existing files start, reported by CONFIG GET with the
    /// value that it was given. It refuses what Redis refuses: a default of yes or no makes it a boolean, a number a number.
    ///
    /// - Parameters:
    ///   - choices: the words that it may be; empty: any.
    ///   - range: for a number.
    static func inert(
        _ name: String, _ value: String, choices: [String] = [], in range: ClosedRange<Int64>? = nil,
        alias: String? = nil, immutable: Bool = false, text: Bool = false, memory: Bool = false
    ) -> Parameter {
        make(name, alias: alias, immutable: immutable) {
            $0.inert[name] ?? value
        } set: { (settings, values) throws(ConfigurationValueError) in
            let given = values.joined(separator: " ")
            if !choices.isEmpty {
                settings.inert[name] = choices[try ConfigurationValue.choice(given, of: choices)]
            } else if text {
                settings.inert[name] = given
            } else if value == "yes" || value == "no" {
                settings.inert[name] = ConfigurationValue.format(try ConfigurationValue.boolean(given))
            } else if Int64(value) != nil {
                let range = range ?? 0 ... .max
                settings.inert[name] = String(
                    memory
                        ? try ConfigurationValue.memory(given, in: range)
                        : try ConfigurationValue.integer(given, in: range))
            } else {
                settings.inert[name] = given
            }
        }
    }
}
