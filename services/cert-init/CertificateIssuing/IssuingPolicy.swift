// What is issued: pure values. The time is an argument; keys and signatures are made in CertificateIssuer.
import TLS

/// What a run shall issue.
public struct IssuingPolicy: Sendable {
    public enum Profile: String, CaseIterable, Sendable {
        /// Certificates with alternative names, key usages and a CA that can issue nothing but leaves.
        case standard = "default"
        /// What the published manual procedure makes: no alternative names, a version 1 leaf with subject CN=Server.
        case manual
    }

    public var profile: Profile
    public var keyAlgorithm: PrivateKey.Algorithm
    public var days: Int64 = 365
    /// Of the authority. Nil: as long as the leaf.
    public var authorityDays: Int64?
    /// In addition to the profile's own names.
    public var additionalNames: [String] = []
    /// Of the leaf. Nil: the profile's.
    public var subject: [(attribute: String, value: String)]?
    public var authoritySubject: [(attribute: String, value: String)]?
    /// Of the installation, for the names of its pods.
    public var release = "f5-dssm"
    public var namespace = ""
    public var replicas = 3
    public var clusterDomain = "cluster.local"
    /// Seconds from now at which the leaf's validity starts and ends, instead of the profile's.
    public var notBeforeOffset: Int64?
    public var notAfterOffset: Int64?

    public init(profile: Profile = .standard, keyAlgorithm: PrivateKey.Algorithm = .rsa4096) {
        self.profile = profile
        self.keyAlgorithm = keyAlgorithm
    }

    /// Clocks of pods differ: a certificate that is valid from this second on is refused by a peer that is behind.
    static let clockSkewSeconds: Int64 = 300

    static let organisation = ("O", "Redis Test")

    /// The certificate authority that signs the leaf.
    public func authority(now: Int64) -> CertificateTemplate {
        let isManual = profile == .manual
        return CertificateTemplate(
            kind: isManual ? .plainAuthority : .authority,
            subject: authoritySubject ?? [Self.organisation, ("CN", "Certificate Authority")],
            notBefore: isManual ? now : now - Self.clockSkewSeconds, notAfter: now + (authorityDays ?? days) * 86400)
    }

    /// The one certificate of all roles. It does not outlive `authority`.
    public func leaf(now: Int64, authorityNotAfter: Int64) -> CertificateTemplate {
        let isManual = profile == .manual
        let start = notBeforeOffset.map { now + $0 } ?? (isManual ? now : now - Self.clockSkewSeconds)
        let end = notAfterOffset.map { now + $0 } ?? now + days * 86400
        return CertificateTemplate(
            kind: isManual && additionalNames.isEmpty ? .bareLeaf : .leaf,
            subject: subject ?? [Self.organisation, ("CN", "Server")], alternativeNames: alternativeNames,
            notBefore: start, notAfter: min(end, authorityNotAfter))
    }

    /// All names of the leaf, each once, in a stable order.
    public var alternativeNames: [String] {
        var names: [String] = []
        if profile == .standard {
            names += ["localhost", "127.0.0.1", "::1"]
            for service in services {
                names += qualified(service)
                for pod in 0..<max(0, replicas) {
                    names.append("\(service)-\(pod)")
                    names += qualified("\(service)-\(pod).\(service)")
                }
            }
        }
        var seen: Set<String> = []
        return (names + additionalNames).filter { seen.insert($0).inserted }
    }

    /// The Services' names: the release's name is their prefix, unless it is the usual one.
    private var services: [String] {
        let prefix = release == "f5-dssm" || release.isEmpty ? "f5-dssm" : "\(release)-f5-dssm"
        return ["\(prefix)-db", "\(prefix)-sentinel"]
    }

    private func qualified(_ name: String) -> [String] {
        guard !namespace.isEmpty else { return [name] }
        let full = "\(name).\(namespace)"
        return [name, full, "\(full).svc", "\(full).svc.\(clusterDomain)"]
    }
}
