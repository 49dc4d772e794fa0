import TLS

/// What lies in the output folder already.
public struct ExistingMaterial: Equatable, Sendable {
    public var authority: CertificateSummary?
    public var hasAuthorityKey = false
    public var leaf: CertificateSummary?
    public var isSignedByAuthority = false
    public var hasMatchingKey = false
    /// Files that are there but cannot be used, and why.
    public var defects: [String] = []

    public init() {}

    public var isEmpty: Bool { authority == nil && leaf == nil && defects.isEmpty }
}

/// Whether to issue, and why. Pure: what is there, what is wanted and the time decide.
public enum IssuingDecision: Equatable, Sendable {
    /// All is valid. The notes say where it differs from what was asked for.
    case keep(notes: [String])
    /// Issue a leaf, and an authority too where `authority` says so.
    case issue(authority: Bool, reasons: [String])
    /// Only a new authority could help, and that would cut off every peer that trusts the present one.
    case refuse(reasons: [String])

    /// A certificate is renewed when less than a third of its life is left.
    static let renewalFraction: Int64 = 3

    public static func decide(
        _ existing: ExistingMaterial, policy: IssuingPolicy, now: Int64, isForced: Bool
    ) -> IssuingDecision {
        if isForced { return .issue(authority: true, reasons: ["a new issue is forced"]) }
        if existing.isEmpty { return .issue(authority: true, reasons: ["there are no certificates yet"]) }
        let authorityReasons = reasons(existing.authority, "the CA certificate", now)
        var leafReasons = reasons(existing.leaf, "the certificate", now)
        if existing.leaf != nil {
            if !existing.hasMatchingKey { leafReasons.append("the key is missing or belongs to another certificate") }
            if existing.authority != nil && !existing.isSignedByAuthority {
                leafReasons.append("the certificate is not signed by the CA")
            }
        }
        let reasons = existing.defects + authorityReasons + leafReasons
        if reasons.isEmpty { return .keep(notes: notes(existing.leaf, policy)) }
        if !authorityReasons.isEmpty { return .issue(authority: true, reasons: reasons) }
        return existing.hasAuthorityKey
            ? .issue(authority: false, reasons: reasons)
            : .refuse(reasons: reasons + ["the CA is valid, but its key is not here to sign a new certificate"])
    }

    private static func reasons(_ certificate: CertificateSummary?, _ name: String, _ now: Int64) -> [String] {
        guard let certificate else { return ["\(name) is missing"] }
        if certificate.notAfter < now { return ["\(name) has expired"] }
        let life = certificate.notAfter - certificate.notBefore
        if certificate.notAfter - now < life / renewalFraction {
            return ["\(name) expires in \(certificate.daysLeft(now: now)) days, less than a third of its life"]
        }
        return []
    }

    private static func notes(_ leaf: CertificateSummary?, _ policy: IssuingPolicy) -> [String] {
        guard let leaf else { return [] }
        let present = Set(leaf.alternativeNames)
        let missing = policy.alternativeNames.filter { !present.contains($0) }
        if missing.isEmpty { return [] }
        let shown = missing.prefix(3).joined(separator: ", ") + (missing.count > 3 ? ", ..." : "")
        return ["the certificate lacks \(missing.count) of the names asked for (\(shown)); --force issues a new one"]
    }
}
