// The Secrets of an installation as they were read: plain values, without the API's types.

/// A Secret that this service looks after.
public enum SecretKind: String, CaseIterable, Sendable {
    /// In the installation's namespace and in each of TMM's.
    case certificates = "dssm-certs-secret"
    /// In the installation's namespace and in each of TMM's.
    case keys = "dssm-keys-secret"
    /// In the installation's namespace, only with `keepCAKey`.
    case authorityKey = "dssm-ca-key-secret"
    /// In the installation's namespace: what is issued but not yet in use everywhere. Empty between renewals.
    case renewal = "dssm-renewal-secret"

    public var name: String { rawValue }
}

/// Names of items in the Secrets' data.
public enum SecretItem {
    public static let authority = "dssm-ca.crt"
    public static let certificate = "dssm-cert.crt"
    public static let key = "dssm-key.key"
    public static let dhParameters = "dhparam2048.pem"
    public static let authorityKey = "dssm-ca.key"
}

/// Labels and annotations of the Secrets.
public enum SecretMark {
    /// With the value `owner`: made by this service, which may change it.
    public static let ownerLabel = "app.kubernetes.io/managed-by"
    public static let owner = "dssm-cert-init"
    /// SHA-256 of the certificate; equal in the two Secrets of a pair.
    public static let pair = "dssm-cert-init/pair"
    /// Until when an earlier CA stays in `dssm-ca.crt`.
    public static let trustUntil = "dssm-cert-init/trust-until"
    /// How far a renewal is, see `RenewalStage`.
    public static let stage = "dssm-cert-init/stage"
    /// Since when all namespaces have the new CA beside the old one.
    public static let publishedAt = "dssm-cert-init/published-at"
    /// Why the renewal was begun.
    public static let reason = "dssm-cert-init/reason"
}

/// Stages of a renewal whose material lies in the renewal Secret. Each step from one to the next is one write of that Secret,
/// based on the version that was read: of two runs one takes it.
public enum RenewalStage: String, Sendable {
    /// The new CA goes into every `dssm-ca.crt`, beside the old one. Certificates stay as they are.
    case publishing
    /// Key and certificate go into every namespace.
    case leaves
    /// Nothing is under way; the Secret is empty.
    case idle
}

public struct SecretReference: Hashable, Sendable, CustomStringConvertible {
    public let namespace: String
    public let kind: SecretKind

    public init(_ namespace: String, _ kind: SecretKind) {
        self.namespace = namespace
        self.kind = kind
    }

    public var description: String { "\(namespace)/\(kind.name)" }
}

/// A Secret as it was read.
public struct SecretState: Equatable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// It bears our label. Others are read, never written.
    public var isOwned: Bool
    public var items: [String: [UInt8]]
    public var annotations: [String: String]

    public init(isOwned: Bool = true, items: [String: [UInt8]], annotations: [String: String] = [:]) {
        self.isOwned = isOwned
        self.items = items
        self.annotations = annotations
    }

    /// Names only: the content must not get into a log by accident.
    public var description: String { "Secret(\(items.keys.sorted().joined(separator: ", ")))" }
    public var debugDescription: String { description }
}

/// All that a plan depends on, but for settings and time.
public struct ClusterState: Sendable {
    /// The installation's namespace.
    public let home: String
    /// The installation's namespace, then TMM's, each once.
    public let namespaces: [String]
    public var secrets: [SecretReference: SecretState] = [:]

    public init(home: String, others: [String], secrets: [SecretReference: SecretState] = [:]) {
        self.home = home
        var seen: Set<String> = [home]
        namespaces = [home] + others.filter { seen.insert($0).inserted }
        self.secrets = secrets
    }

    public subscript(_ namespace: String, _ kind: SecretKind) -> SecretState? {
        get { secrets[SecretReference(namespace, kind)] }
        set { secrets[SecretReference(namespace, kind)] = newValue }
    }

    /// Every Secret that may be there.
    public var references: [SecretReference] {
        [SecretReference(home, .renewal), SecretReference(home, .authorityKey)]
            + namespaces.flatMap { [SecretReference($0, .certificates), SecretReference($0, .keys)] }
    }

    func contents(_ namespace: String) -> CertificateSet {
        CertificateSet(certificates: self[namespace, .certificates], keys: self[namespace, .keys])
    }

    /// Whether both Secrets of a namespace are ours or not there.
    func isWritable(_ namespace: String) -> Bool {
        [SecretKind.certificates, .keys].allSatisfy { self[namespace, $0]?.isOwned ?? true }
    }
}
