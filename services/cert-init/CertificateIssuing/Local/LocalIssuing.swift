import ServerConfiguration
import TLS

/// One run of the local mode: looks, decides, issues, writes, and says what it did.
public struct LocalIssuing: Sendable {
    public enum DHSource: String, CaseIterable, Sendable {
        /// The group ffdhe2048 of RFC 7919, at once.
        case standard
        /// A prime of one's own, as the manual procedure makes it.
        case generate
    }

    public struct Failure: Error, CustomStringConvertible, Sendable {
        public let description: String
    }

    public var policy: IssuingPolicy
    public var folder: LocalFolder
    public var dhSource = DHSource.standard
    public var keepsAuthorityKey = false
    public var isForced = false
    public var showsProgress = false

    public init(policy: IssuingPolicy, folder: LocalFolder) {
        self.policy = policy
        self.folder = folder
    }

    /// Returns the lines to print. Files that are valid stay as they are.
    public func run(now: Int64) throws(Failure) -> [String] {
        do {
            try folder.create()
            let decision = IssuingDecision.decide(folder.existing(), policy: policy, now: now, isForced: isForced)
            var report: [String]
            switch decision {
            case .keep(let notes):
                report = ["kept \(folder.authorityCertificate), \(folder.certificate) and \(folder.key): valid"]
                report += notes.map { "note: \($0)" }
            case .issue(let isAuthorityNew, let reasons):
                report = reasons.map { "issuing: \($0)" }
                report += try issue(withAuthority: isAuthorityNew, now: now)
            case .refuse(let reasons):
                let text = reasons.joined(separator: "; ")
                throw Failure(description: "\(folder.path): \(text). --force replaces the CA and everything it signed")
            }
            return report + (try provideDHParameters())
        } catch let failure as Failure {
            throw failure
        } catch { throw Failure(description: "\(error)") }
    }

    private func issue(withAuthority isAuthorityNew: Bool, now: Int64) throws -> [String] {
        let previous = isAuthorityNew ? nil : folder.existingAuthority()
        let authority = try previous ?? CertificateIssuer.makeAuthority(policy, now: now)
        let leaf = try CertificateIssuer.makeLeaf(policy, authority: authority, now: now)
        var files: [(String, [UInt8])] = []
        if previous == nil { files.append((folder.authorityCertificate, authority.certificate.pem())) }
        if keepsAuthorityKey { files.append((folder.authorityKey, authority.key.pem())) }
        // The key first: a service that reloads on the change of the certificate then finds the pair complete.
        files.append((folder.key, leaf.key.pem()))
        files.append((folder.certificate, leaf.certificate.pem()))
        for (file, bytes) in files { try folder.replace(file, bytes) }
        if previous == nil && !keepsAuthorityKey && folder.exists(folder.authorityKey) {
            // The key of the CA that was replaced signs nothing that anybody trusts any more.
            try folder.remove(folder.authorityKey)
        }
        let days = leaf.certificate.summary.daysLeft(now: now)
        let end =
            days < 0 ? "the certificate has expired already, as asked for" : "the certificate expires in \(days) days"
        return files.map { "wrote \($0.0)" } + [end]
    }

    private func provideDHParameters() throws -> [String] {
        let file = folder.dhParameters
        if !isForced, let bits = try? DHParameters.bits(of: file), bits >= 2048 {
            return ["kept \(file): \(bits) bits"]
        }
        let bytes =
            switch dhSource {
            case .standard: try DHParameters.standard()
            case .generate: try DHParameters.generate(showsProgress: showsProgress)
            }
        try folder.replace(file, bytes)
        return ["wrote \(file)"]
    }
}
