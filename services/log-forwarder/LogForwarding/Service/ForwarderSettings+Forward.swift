// The part of the settings file that says where records go.
import CLinux
import TLS
import YAML

extension ForwarderSettings {
    private static let credentialKeys: Set<String> = [
        "shared-key", "shared-key-file", "user", "password", "password-file",
    ]

    mutating func readForward(
        _ root: SettingsNode, _ environment: [String: String], _ readFile: (String) -> Result<[UInt8], FileFailure>
    ) throws(SettingsError) {
        let forward = try root.child(
            "forward",
            keys: Self.credentialKeys.union([
                "mode", "servers", "hostname", "tls", "connect-milliseconds", "handshake-milliseconds",
                "ack-milliseconds", "window", "retry", "heartbeat-seconds", "keep-alive-seconds",
            ]))
        if let mode = try forward.choice("mode", MessageMode.self) { self.mode = mode }
        if let number = try forward.integer("connect-milliseconds", 10...600_000) {
            connectMilliseconds = Int64(number)
        }
        if let number = try forward.integer("handshake-milliseconds", 10...600_000) {
            handshakeMilliseconds = Int64(number)
        }
        if let number = try forward.integer("ack-milliseconds", 10...3_600_000) { ackMilliseconds = Int64(number) }
        if let number = try forward.integer("window", 1...64) { window = number }
        if let number = try forward.integer("heartbeat-seconds", 0...3600) { heartbeatSeconds = number }
        if let number = try forward.integer("keep-alive-seconds", 0...86400) { keepAliveSeconds = number }
        let retry = try forward.child("retry", keys: ["minimum-milliseconds", "maximum-milliseconds"])
        if let number = try retry.integer("minimum-milliseconds", 1...600_000) {
            self.retry.minimumMilliseconds = Int64(number)
        }
        if let number = try retry.integer("maximum-milliseconds", 1...86_400_000) {
            self.retry.maximumMilliseconds = Int64(number)
        }
        guard self.retry.minimumMilliseconds <= self.retry.maximumMilliseconds else {
            throw retry.error("minimum-milliseconds", "is more than maximum-milliseconds")
        }
        var base = ForwardSession.Credentials()
        base.hostname = environment["POD_NAME"] ?? Self.machineName
        if let name = try forward.string("hostname"), !name.isEmpty { base.hostname = name }
        if let key = environment["DSSM_FORWARD_SHARED_KEY"], !key.isEmpty { base.sharedKey = Array(key.utf8) }
        if let password = environment["DSSM_FORWARD_PASSWORD"] { base.password = Array(password.utf8) }
        try readCredentials(forward, readFile, &base)
        try readServers(forward, base, readFile)
        try readTLS(forward)
    }

    private static var machineName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "dssm" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func readCredentials(
        _ node: SettingsNode, _ readFile: (String) -> Result<[UInt8], FileFailure>,
        _ credentials: inout ForwardSession.Credentials
    ) throws(SettingsError) {
        func secret(_ key: String) throws(SettingsError) -> [UInt8]? {
            if let text = try node.string(key) { return Array(text.utf8) }
            guard let path = try node.string(key + "-file"), !path.isEmpty else { return nil }
            switch readFile(path) {
            case .failure(let failure): throw node.error(key + "-file", "\(failure)")
            case .success(let bytes):
                var bytes = bytes
                while let last = bytes.last, last == 10 || last == 13 { bytes.removeLast() }
                return bytes
            }
        }
        if let key = try secret("shared-key") {
            guard !key.isEmpty else { throw node.error("shared-key", "is empty") }
            credentials.sharedKey = key
        }
        if let user = try node.string("user") { credentials.user = user }
        if let password = try secret("password") { credentials.password = password }
        if !credentials.user.isEmpty, credentials.sharedKey == nil {
            throw node.error("user", "user and password are part of the handshake, which needs a shared-key")
        }
    }

    private mutating func readServers(
        _ forward: SettingsNode, _ base: ForwardSession.Credentials,
        _ readFile: (String) -> Result<[UInt8], FileFailure>
    ) throws(SettingsError) {
        let nodes = try forward.children(
            "servers", keys: Self.credentialKeys.union(["host", "port", "weight", "standby"]))
        guard (1...16).contains(nodes.count) else { throw forward.error("servers", "must be 1 to 16") }
        for node in nodes {
            guard let host = try node.string("host"), !host.isEmpty, host != "." else {
                throw node.error("host", "a server needs a host")
            }
            var server = Server(host: host, port: UInt16(try node.integer("port", 1...65535) ?? 24224))
            server.weight = try node.integer("weight", 1...1000) ?? server.weight
            server.isStandby = try node.bool("standby") ?? false
            server.credentials = base
            try readCredentials(node, readFile, &server.credentials)
            servers.append(server)
        }
        guard servers.contains(where: { !$0.isStandby }) else {
            throw forward.error("servers", "all are standby")
        }
    }

    private mutating func readTLS(_ forward: SettingsNode) throws(SettingsError) {
        guard forward.node("tls") != nil else { return }
        let node = try forward.child(
            "tls",
            keys: [
                "enabled", "ca-file", "certificate-file", "key-file", "server-name", "verify-name", "protocols",
                "ciphers", "ciphersuites",
            ])
        guard try node.bool("enabled") ?? true else { return }
        var options = TLSOptions()
        guard let ca = try node.string("ca-file") else {
            throw node.error("ca-file", "TLS needs a CA to verify servers with")
        }
        options.settings.caFile = ca
        options.settings.certificateFile = try node.string("certificate-file") ?? ""
        options.settings.keyFile = try node.string("key-file") ?? ""
        guard options.settings.certificateFile.isEmpty == options.settings.keyFile.isEmpty else {
            throw node.error("certificate-file", "certificate-file and key-file go together")
        }
        options.settings.protocols = try node.string("protocols") ?? ""
        options.settings.ciphers = try node.string("ciphers") ?? ""
        options.settings.ciphersuites = try node.string("ciphersuites") ?? ""
        options.serverName = try node.string("server-name") ?? ""
        options.verifiesName = try node.bool("verify-name") ?? true
        tls = options
    }
}
