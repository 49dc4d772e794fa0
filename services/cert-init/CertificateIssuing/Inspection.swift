import TLS
import Telemetry

/// What `inspect` tells of files or of Secrets' items: every certificate with its issuer among the given ones, keys, and parameters.
public struct Inspection: Sendable {
    public enum Content: Sendable {
        case certificate(CertificateSummary, chain: String)
        /// Its kind, and what it belongs to among the given ones.
        case key(String, owner: String)
        case dhParameters(bits: Int)
        case unreadable(String)
    }

    public struct Entry: Sendable {
        public let file: String
        public let content: Content
    }

    public let entries: [Entry]

    /// What to look at: a name to show, and its text or why there is none.
    public typealias Source = (name: String, pem: Result<[UInt8], TLSError>)

    public init(files: [String]) {
        self.init(
            sources: files.map { file in
                (file, Result { () throws(TLSError) in try PEMText.read(file) })
            })
    }

    public init(sources: [Source]) {
        var certificates: [(file: String, certificate: Certificate)] = []
        var found: [(file: String, content: Content?, value: Value?)] = []
        for (name, source) in sources {
            do throws(TLSError) {
                let pem = try source.get()
                do throws(TLSError) {
                    for certificate in try Certificate.parseAll(pem: pem, name: name) {
                        certificates.append((name, certificate))
                        found.append((name, nil, .certificate(certificate)))
                    }
                } catch {
                    if let key = try? PrivateKey.parse(pem: pem, name: name) {
                        found.append((name, nil, .key(key)))
                    } else if let bits = try? DHParameters.bits(pem: pem, name: name) {
                        found.append((name, .dhParameters(bits: bits), nil))
                    } else {
                        found.append((name, .unreadable(Self.reason(name, error)), nil))
                    }
                }
            } catch { found.append((name, .unreadable(error.message), nil)) }
        }
        entries = found.map { name, content, value in
            switch value {
            case .certificate(let certificate):
                let chain = Self.chain(certificate, certificates)
                return Entry(file: name, content: .certificate(certificate.summary, chain: chain))
            case .key(let key):
                let owners = certificates.filter { $0.certificate.matches(key) }.map(\.file)
                return Entry(file: name, content: .key(key.description, owner: Self.owner(owners)))
            case nil: return Entry(file: name, content: content ?? .unreadable("empty"))
            }
        }
    }

    private enum Value {
        case certificate(Certificate)
        case key(PrivateKey)
    }

    private static func reason(_ name: String, _ error: TLSError) -> String {
        error.message.contains("holds no certificate")
            ? "\(name): holds no certificate, no usable key and no Diffie-Hellman parameters in PEM" : error.message
    }

    private static func owner(_ files: [String]) -> String {
        var seen: Set<String> = []
        let files = files.filter { seen.insert($0).inserted }
        return files.isEmpty
            ? "belongs to no certificate here" : "belongs to the certificate in \(files.joined(separator: ", "))"
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
                case .key(let description, let owner): [("private key", "\(description), \(owner)")]
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
