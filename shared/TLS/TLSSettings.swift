/// What a TLS context is made of, in the terms of Redis's `tls-*` directives. Empty strings mean "not set".
public struct TLSSettings: Equatable, Sendable {
    public enum ClientAuthentication: String, Equatable, Sendable {
        /// A client must present a certificate that a known CA signed.
        case yes
        /// No certificate is asked for.
        case no
        /// A certificate is asked for and verified when it comes.
        case optional
    }

    /// Which side of the handshake a context or a session plays.
    public enum Role: Equatable, Sendable {
        case server
        case client
    }

    /// `tls-cert-file`: the leaf first, then its chain, in PEM.
    public var certificateFile = ""
    /// `tls-key-file`, in PEM.
    public var keyFile = ""
    /// `tls-key-file-pass`.
    public var keyFilePassword = ""
    /// `tls-client-cert-file`, `tls-client-key-file`, `tls-client-key-file-pass`: what a client context presents
    /// instead of the certificate above.
    public var clientCertificateFile = ""
    public var clientKeyFile = ""
    public var clientKeyFilePassword = ""
    /// `tls-ca-cert-file`: one or several CAs in PEM. While a CA is replaced, the old and the new one.
    public var caFile = ""
    /// `tls-ca-cert-dir`: CAs under their hashed names (`openssl rehash`).
    public var caDirectory = ""
    /// `tls-dh-params-file`, for TLS 1.2's DHE suites.
    public var dhParamsFile = ""
    /// `tls-protocols`: names separated by blanks. Empty: TLS 1.2 and 1.3.
    public var protocols = ""
    /// `tls-ciphers` (TLS 1.2) and `tls-ciphersuites` (TLS 1.3), in OpenSSL's notation.
    public var ciphers = ""
    public var ciphersuites = ""
    public var preferServerCiphers = false
    /// `tls-session-caching`, `tls-session-cache-size`, `tls-session-cache-timeout` (seconds).
    public var sessionCaching = true
    public var sessionCacheSize = 20480
    public var sessionCacheTimeoutSeconds = 300
    /// TLS 1.3 tickets sent after a full handshake. Each costs about half a millisecond of CPU in OpenSSL 3.0, and the
    /// usual clients never resume: none unless asked for. Without `sessionCaching` there are none in any case.
    public var sessionTickets = 0
    public var authClients = ClientAuthentication.yes

    public init() {}

    /// The certificate, key and password that `role` uses.
    func identity(_ role: Role) -> (certificate: String, key: String, password: String) {
        if role == .client, !clientCertificateFile.isEmpty {
            return (clientCertificateFile, clientKeyFile, clientKeyFilePassword)
        }
        return (certificateFile, keyFile, keyFilePassword)
    }

    /// Every path whose change makes a new context necessary.
    public var watchedPaths: [String] {
        [certificateFile, keyFile, clientCertificateFile, clientKeyFile, caFile, caDirectory, dhParamsFile]
            .filter { !$0.isEmpty }
    }

    /// The lowest and highest version that `protocols` names.
    func versions() throws(TLSError) -> (low: Int32, high: Int32) {
        var has12 = false
        var has13 = false
        for word in protocols.split(whereSeparator: { $0 == " " || $0 == "\t" }) {
            switch word.lowercased() {
            case "tlsv1.2": has12 = true
            case "tlsv1.3": has13 = true
            case "tlsv1", "tlsv1.1":
                throw TLSError(.badSetting, "tls-protocols: \(word) is not supported, TLSv1.2 and TLSv1.3 are")
            default:
                throw TLSError(.badSetting, "tls-protocols: unknown protocol '\(word)', expected TLSv1.2 or TLSv1.3")
            }
        }
        if !has12 && !has13 { return (tls12, tls13) }
        return (has12 ? tls12 : tls13, has13 ? tls13 : tls12)
    }
}

let tls12: Int32 = 0x0303
let tls13: Int32 = 0x0304
