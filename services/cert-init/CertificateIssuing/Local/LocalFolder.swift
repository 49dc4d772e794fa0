import Glibc
import ServerConfiguration
import TLS

/// The output folder of the local mode: which files it holds, and how they are read and replaced.
public struct LocalFolder: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    public var authorityCertificate: String { "\(path)/dssm-ca.crt" }
    public var authorityKey: String { "\(path)/dssm-ca.key" }
    public var certificate: String { "\(path)/dssm-cert.crt" }
    public var key: String { "\(path)/dssm-key.key" }
    public var dhParameters: String { "\(path)/dhparam2048.pem" }

    /// Makes the folder, and its parents, readable by the owner only.
    public func create() throws(ConfigurationError) {
        var partial = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            partial += partial.isEmpty || partial.hasSuffix("/") ? String(part) : "/\(part)"
            if mkdir(partial, 0o700) != 0 && errno != EEXIST {
                throw ConfigurationError("cannot be created: \(String(cString: strerror(errno)))", file: partial)
            }
        }
    }

    public func exists(_ file: String) -> Bool { access(file, F_OK) == 0 }

    /// Looks at the certificates and keys that are there.
    public func existing() -> ExistingMaterial {
        var result = ExistingMaterial()
        let authority = load(authorityCertificate, &result.defects) { (path) throws(TLSError) in
            try Certificate.loadAll(path)
        }?.first
        let leaf = load(certificate, &result.defects) { (path) throws(TLSError) in try Certificate.loadAll(path) }?
            .first
        let leafKey = load(key, &result.defects) { (path) throws(TLSError) in try PrivateKey.load(path) }
        result.authority = authority?.summary
        result.hasAuthorityKey = existingAuthority() != nil
        result.leaf = leaf?.summary
        if let leaf {
            result.hasMatchingKey = leafKey.map { leaf.matches($0) } ?? false
            result.isSignedByAuthority = authority.map { leaf.isSigned(by: $0) } ?? false
        }
        return result
    }

    /// The authority of an earlier run, if its key was kept.
    public func existingAuthority() -> IssuedPair? {
        guard let certificate = try? Certificate.loadAll(authorityCertificate).first,
            let key = try? PrivateKey.load(authorityKey), certificate.matches(key)
        else { return nil }
        return IssuedPair(certificate: certificate, key: key)
    }

    private func load<Value>(
        _ file: String, _ defects: inout [String], _ body: (String) throws(TLSError) -> Value
    ) -> Value? {
        guard exists(file) else { return nil }
        do throws(TLSError) { return try body(file) } catch {
            defects.append(error.message)
            return nil
        }
    }

    /// Replaces a file atomically, readable by the owner only.
    public func replace(_ file: String, _ bytes: [UInt8]) throws(ConfigurationError) {
        try ConfigurationFile.write(file, bytes, mode: 0o600, keepsMode: false)
    }

    public func remove(_ file: String) throws(ConfigurationError) {
        guard unlink(file) == 0 || errno == ENOENT else {
            throw ConfigurationError("cannot be removed: \(String(cString: strerror(errno)))", file: file)
        }
    }
}
