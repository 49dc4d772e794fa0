import TLS

/// What the Kubernetes mode shall keep up.
public struct KubernetesSettings: Sendable {
    /// Where Diffie-Hellman parameters come from.
    public enum DHSource: String, CaseIterable, Sendable {
        case ffdhe2048
        case ffdhe3072
        /// A fresh prime of 2048 bits: up to minutes.
        case generate

        public var bits: Int { self == .ffdhe3072 ? 3072 : 2048 }
    }

    /// What to issue. Its namespace is the installation's.
    public var policy = IssuingPolicy()
    /// Namespaces besides the installation's that get the two Secrets.
    public var tmmNamespaces: [String] = []
    /// Nil: a third of the certificate's life.
    public var renewBeforeSeconds: Int64?
    public var dhParameters = DHSource.ffdhe2048
    public var keepsAuthorityKey = false
    /// Between the publishing of a new CA and the use of certificates that it signed.
    public var propagationDelaySeconds: Int64 = 0
    /// How long an earlier CA stays trusted after certificates of the new one are in use.
    public var overlapSeconds: Int64 = 86400

    public init() {}

    public static let longestDays: Int64 = 825
    public static let longestAuthorityDays: Int64 = 36500
    public static let mostReplicas = 100
    public static let mostNamespaces = 64
    public static let mostNames = 200

    /// What is wrong with a setting: its name in the settings file, and a sentence.
    public struct Problem: Error, Equatable, CustomStringConvertible, Sendable {
        public let setting: String
        public let text: String

        public var description: String { "\(setting): \(text)" }
    }

    /// - Throws: the first setting that cannot be used.
    public func validate() throws(Problem) {
        func check(_ isGood: Bool, _ setting: String, _ text: String) throws(Problem) {
            guard isGood else { throw Problem(setting: setting, text: text) }
        }
        try check((1...Self.longestDays).contains(policy.days), "days", "must be from 1 to \(Self.longestDays)")
        if let days = policy.authorityDays {
            try check(
                (policy.days...Self.longestAuthorityDays).contains(days), "authorityDays",
                "must be from days (\(policy.days)) to \(Self.longestAuthorityDays)")
        }
        if let seconds = renewBeforeSeconds {
            try check(
                seconds >= 0 && seconds < policy.days * 86400, "renewBefore",
                "must be shorter than the certificate's life, else each run would renew")
        }
        try check(
            (1...Self.mostReplicas).contains(policy.replicas), "replicas", "must be from 1 to \(Self.mostReplicas)")
        try check(propagationDelaySeconds >= 0, "propagationDelay", "must not be negative")
        try check(overlapSeconds >= 0, "overlap", "must not be negative")
        try check(Self.isLabel(policy.namespace), "namespace", "'\(policy.namespace)' is no name of a namespace")
        try check(Self.isLabel(policy.release), "release", "'\(policy.release)' is no name of a release")
        try check(
            tmmNamespaces.count <= Self.mostNamespaces, "tmmNamespaces", "has more than \(Self.mostNamespaces) entries")
        for name in tmmNamespaces {
            try check(Self.isLabel(name), "tmmNamespaces", "'\(name)' is no name of a namespace")
        }
        let isDomain = policy.clusterDomain.split(separator: ".", omittingEmptySubsequences: false)
            .allSatisfy { Self.isLabel(String($0)) }
        try check(isDomain, "clusterDomain", "'\(policy.clusterDomain)' is no domain")
        try check(policy.additionalNames.count <= Self.mostNames, "names", "has more than \(Self.mostNames) entries")
    }

    /// - Spec: RFC 1123, section 2.1, in lower case as Kubernetes demands.
    private static func isLabel(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard (1...63).contains(bytes.count), bytes.first != UInt8(ascii: "-"), bytes.last != UInt8(ascii: "-") else {
            return false
        }
        return bytes.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "-") }
    }
}

/// A distinguished name as settings write it: `/O=Redis Test/CN=Server`.
public enum SubjectText {
    /// Nil when `text` is malformed.
    public static func attributes(_ text: String) -> [(attribute: String, value: String)]? {
        guard text.hasPrefix("/") else { return nil }
        var result: [(attribute: String, value: String)] = []
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2 else { return nil }
            result.append((String(pair[0]), String(pair[1])))
        }
        return result
    }
}
