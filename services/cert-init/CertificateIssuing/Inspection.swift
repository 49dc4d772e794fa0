import TLS
import Telemetry

/// What `inspect` tells of files: every certificate with its issuer among the given ones, keys, and parameters.
public struct Inspection: Sendable {
    public enum Content: Sendable {
        case certificate(CertificateSummary, chain: String)
        case key(String)
        case dhParameters(bits: Int)
        case unreadable(String)
    }

    public struct Entry: Sendable {
        public let file: String
        public let content: Content
    }

    public let entries: [Entry]

    public init(files: [String]) {
        var certificates: [(file: String, certificate: Certificate)] = []
        var found: [(file: String, content: Content?, certificate: Certificate?)] = []
        for file in files {
            do throws(TLSError) {
                for certificate in try Certificate.loadAll(file) {
                    certificates.append((file, certificate))
                    found.append((file, nil, certificate))
                }
            } catch { found.append((file, Self.other(file, error), nil)) }
        }
        entries = found.map { file, content, certificate in
            guard let certificate else { return Entry(file: file, content: content ?? .unreadable("empty")) }
            return Entry(
                file: file, content: .certificate(certificate.summary, chain: Self.chain(certificate, certificates)))
        }
    }

    /// What a file without certificates holds.
    private static func other(_ file: String, _ error: TLSError) -> Content {
        if error.code == .unreadableFile { return .unreadable(error.message) }
        if let key = try? PrivateKey.load(file) { return .key(key.description) }
        if let bits = try? DHParameters.bits(of: file) { return .dhParameters(bits: bits) }
        return .unreadable("\(file): holds no certificate, no usable key and no Diffie-Hellman parameters in PEM")
    }

    private static func chain(
        _ certificate: Certificate, _ all: [(file: String, certificate: Certificate)]
    ) -> String {
        if certificate.isSigned(by: certificate) { return "self-signed" }
        let name = certificate.summary.issuer
        for (file, authority) in all where authority.summary.subject == name && certificate.isSigned(by: authority) {
            return "signed by \(name) in \(file)"
        }
        return "signed by \(name), which is not among the files"
    }

    public var hasFailures: Bool {
        entries.contains { entry in
            if case .unreadable = entry.content { true } else { false }
        }
    }

    /// One block of aligned lines for each entry.
    public func table(now: Int64) -> [String] {
        entries.flatMap { entry -> [String] in
            let rows: [(String, String)] =
                switch entry.content {
                case .certificate(let summary, let chain): Self.rows(summary, chain, now)
                case .key(let description): [("private key", description)]
                case .dhParameters(let bits): [("DH parameters", "\(bits) bits")]
                case .unreadable(let reason): [("error", reason)]
                }
            let width = 14
            return [entry.file]
                + rows.map { name, value in
                    "  " + name + String(repeating: " ", count: max(1, width - name.count)) + value
                }
        }
    }

    private static func rows(_ summary: CertificateSummary, _ chain: String, _ now: Int64) -> [(String, String)] {
        let names = summary.alternativeNames
        let days = summary.daysLeft(now: now)
        let state =
            if now < summary.notBefore { "not yet valid" } else if days < 0 { "expired" } else { "\(days) days left" }
        return [
            ("subject", summary.subject + (summary.isAuthority ? " (CA)" : "")),
            ("names", names.isEmpty ? "none" : names.joined(separator: ", ")),
            ("chain", chain),
            (
                "valid",
                "\(CivilTime(seconds: summary.notBefore).iso8601) to \(CivilTime(seconds: summary.notAfter).iso8601), \(state)"
            ),
            ("key", "\(summary.keyDescription), \(summary.signatureAlgorithm)"),
            ("serial", summary.serial),
        ]
    }
}
