import TLS
import YAML

/// What is wrong with a settings file, with its line.
public struct SettingsFileError: Error, Equatable, CustomStringConvertible, Sendable {
    public let description: String

    init(_ file: String, _ line: Int, _ text: String) { description = "\(file), line \(line): \(text)" }
    init(_ file: String, _ error: YAMLError) { description = "\(file), \(error)" }
}

extension KubernetesSettings {
    /// Takes over what the document sets. A name that is none, a value of the wrong kind and one that is out of range are
    /// errors with their line.
    ///
    /// - Parameter file: for errors.
    public mutating func apply(yaml text: String, file: String) throws(SettingsFileError) {
        let root: YAMLNode?
        do { root = try YAMLParser.parse(text) } catch let error as YAMLError {
            throw SettingsFileError(file, error)
        } catch { throw SettingsFileError(file, 1, "\(error)") }
        guard let root, !root.isNull else { return }
        guard let pairs = root.mapping else {
            throw SettingsFileError(file, root.line, "must be a mapping of settings, such as `days: 365`")
        }
        var lines: [String: Int] = [:]
        for pair in pairs {
            guard let setting = Self.table[pair.key] else {
                let known = Self.table.keys.sorted().joined(separator: ", ")
                throw SettingsFileError(file, pair.keyLine, "'\(pair.key)' is no setting; there are: \(known)")
            }
            lines[pair.key] = pair.value.line
            // A setting without a value keeps its default, as in charts' values.
            if pair.value.isNull { continue }
            if let problem = setting(&self, pair.value) {
                throw SettingsFileError(file, pair.value.line, "\(pair.key): \(problem)")
            }
        }
        // The namespace may still come from elsewhere.
        var complete = self
        if complete.policy.namespace.isEmpty { complete.policy.namespace = "default" }
        do { try complete.validate() } catch {
            throw SettingsFileError(file, lines[error.setting] ?? 1, error.description)
        }
    }

    /// Sets one setting; returns what is wrong with the value.
    private typealias Setting = @Sendable (inout KubernetesSettings, YAMLNode) -> String?

    private static let table: [String: Setting] = [
        "profile": choice(IssuingPolicy.Profile.self) { $0.policy.profile = $1 },
        "keyAlgorithm": choice(PrivateKey.Algorithm.self) { $0.policy.keyAlgorithm = $1 },
        "days": number { $0.policy.days = Int64($1) },
        "authorityDays": number { $0.policy.authorityDays = Int64($1) },
        "renewBefore": time { $0.renewBeforeSeconds = $1 },
        "subject": subject { $0.policy.subject = $1 },
        "authoritySubject": subject { $0.policy.authoritySubject = $1 },
        "names": strings { $0.policy.additionalNames = $1 },
        "release": string { $0.policy.release = $1 },
        "namespace": string { $0.policy.namespace = $1 },
        "replicas": number { $0.policy.replicas = $1 },
        "clusterDomain": string { $0.policy.clusterDomain = $1 },
        "tmmNamespaces": strings { $0.tmmNamespaces = $1 },
        "dhParameters": choice(DHSource.self) { $0.dhParameters = $1 },
        "keepCAKey": { settings, node in
            guard let value = node.bool else { return "must be true or false" }
            settings.keepsAuthorityKey = value
            return nil
        },
        "propagationDelay": time { $0.propagationDelaySeconds = $1 },
        "overlap": time { $0.overlapSeconds = $1 },
    ]

    /// Names of all settings, for the tests of the documentation.
    static var names: [String] { table.keys.sorted() }

    private static func string(_ set: @escaping @Sendable (inout KubernetesSettings, String) -> Void) -> Setting {
        { settings, node in
            guard let text = node.string else { return "must be a text" }
            set(&settings, text)
            return nil
        }
    }

    private static func strings(_ set: @escaping @Sendable (inout KubernetesSettings, [String]) -> Void) -> Setting {
        { settings, node in
            guard let nodes = node.sequence else { return "must be a list" }
            let texts = nodes.compactMap(\.string)
            guard texts.count == nodes.count else { return "must be a list of texts" }
            set(&settings, texts)
            return nil
        }
    }

    private static func number(_ set: @escaping @Sendable (inout KubernetesSettings, Int) -> Void) -> Setting {
        { settings, node in
            guard let number = node.integer else { return "must be a whole number" }
            set(&settings, number)
            return nil
        }
    }

    private static func time(_ set: @escaping @Sendable (inout KubernetesSettings, Int64) -> Void) -> Setting {
        { settings, node in
            guard let seconds = node.string.flatMap(TimeSpan.seconds) else {
                return "must be a time such as 90s, 10m, 24h or 30d"
            }
            set(&settings, seconds)
            return nil
        }
    }

    private static func subject(
        _ set: @escaping @Sendable (inout KubernetesSettings, [(attribute: String, value: String)]) -> Void
    ) -> Setting {
        { settings, node in
            guard let attributes = node.string.flatMap(SubjectText.attributes) else {
                return "must look like /O=Redis Test/CN=Server"
            }
            set(&settings, attributes)
            return nil
        }
    }

    private static func choice<Value: RawRepresentable & CaseIterable & Sendable>(
        _ type: Value.Type, _ set: @escaping @Sendable (inout KubernetesSettings, Value) -> Void
    ) -> Setting where Value.RawValue == String {
        { settings, node in
            guard let value = node.string.flatMap(Value.init) else {
                return "must be one of \(Value.allCases.map(\.rawValue).joined(separator: ", "))"
            }
            set(&settings, value)
            return nil
        }
    }
}
