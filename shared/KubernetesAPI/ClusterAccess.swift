// How to reach a cluster and who we are there: the service account of a pod, or a kubeconfig file.
//
// - Spec: Kubernetes documentation, "Accessing the API from a Pod" and "Organizing Cluster Access Using kubeconfig Files".
import FoundationEssentials
import YAML

public struct ClusterAccess: Sendable {
    public enum Credential: Sendable {
        case none
        /// A token in a file that is renewed from time to time; it is read again for each minute of use.
        case tokenFile(String)
        case token(String)
        /// PEM texts.
        case clientCertificate(certificate: [UInt8], key: [UInt8])
    }

    /// Without a slash at the end.
    public var server: String
    /// PEM; nil: the system's authorities.
    public var certificateAuthority: [UInt8]?
    public var skipsVerification = false
    public var credential: Credential
    /// Where objects are looked for when no namespace is given.
    public var namespace: String

    public init(
        server: String, certificateAuthority: [UInt8]? = nil, credential: Credential = .none,
        namespace: String = "default"
    ) {
        self.server = server
        self.certificateAuthority = certificateAuthority
        self.credential = credential
        self.namespace = namespace
    }

    /// What is wrong with a kubeconfig or with the service account's files.
    public struct Problem: Error, CustomStringConvertible {
        public let description: String
        init(_ description: String) { self.description = description }
    }

    /// In a pod the service account, else the kubeconfig that `KUBECONFIG` or the home folder gives.
    ///
    /// - Parameter environment: the process's variables.
    public static func find(
        environment: [String: String] = ProcessInfo.processInfo.environment, kubeconfig: String? = nil
    ) throws -> ClusterAccess {
        if let kubeconfig { return try kubeconfigFile(kubeconfig) }
        if environment["KUBERNETES_SERVICE_HOST"] != nil { return try inCluster(environment: environment) }
        if let path = environment["KUBECONFIG"], !path.isEmpty { return try kubeconfigFile(path) }
        if let home = environment["HOME"], FileManager.default.fileExists(atPath: "\(home)/.kube/config") {
            return try kubeconfigFile("\(home)/.kube/config")
        }
        throw Problem("no cluster: neither in a pod nor a kubeconfig (KUBECONFIG, ~/.kube/config)")
    }

    public static let serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

    public static func inCluster(
        environment: [String: String], folder: String = serviceAccountFolder
    ) throws -> ClusterAccess {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], let port = environment["KUBERNETES_SERVICE_PORT"]
        else {
            throw Problem("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod")
        }
        let tokenFile = "\(folder)/token"
        guard FileManager.default.fileExists(atPath: tokenFile) else {
            throw Problem("\(tokenFile) is missing: the pod has no service account's token mounted")
        }
        let namespace = (try? read("\(folder)/namespace")).map { String(decoding: $0, as: UTF8.self) } ?? "default"
        return ClusterAccess(
            server: "https://\(host.contains(":") ? "[\(host)]" : host):\(port)",
            certificateAuthority: try read("\(folder)/ca.crt"), credential: .tokenFile(tokenFile),
            namespace: namespace.filter { !$0.isWhitespace })
    }

    private static func read(_ path: String) throws -> [UInt8] {
        do {
            return Array(try Data(contentsOf: URL(filePath: path)))
        } catch {
            throw Problem("cannot read \(path): \(error)")
        }
    }

    // MARK: kubeconfig

    /// - Parameter context: nil: the file's current one.
    public static func kubeconfigFile(_ path: String, context: String? = nil) throws -> ClusterAccess {
        let text = String(decoding: try read(path), as: UTF8.self)
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return try kubeconfig(text, folder: folder.isEmpty ? "." : folder, origin: path, context: context)
    }

    /// - Parameter folder: what relative paths in the file are relative to.
    public static func kubeconfig(
        _ text: String, folder: String, origin: String, context: String? = nil
    ) throws -> ClusterAccess {
        let root: YAMLNode
        do {
            guard let parsed = try YAMLParser.parse(text) else { throw Problem("\(origin): empty") }
            root = parsed
        } catch let error as YAMLError {
            throw Problem("\(origin): \(error)")
        }
        func named(_ list: String, _ name: String, _ member: String) throws -> YAMLNode {
            guard let item = root[list]?.sequence?.first(where: { $0["name"]?.string == name }),
                let value = item[member]
            else { throw Problem("\(origin): no entry '\(name)' in \(list)") }
            return value
        }
        guard let contextName = context ?? root["current-context"]?.string else {
            throw Problem("\(origin): no current-context")
        }
        let context = try named("contexts", contextName, "context")
        guard let clusterName = context["cluster"]?.string else {
            throw Problem("\(origin): context '\(contextName)' names no cluster")
        }
        let cluster = try named("clusters", clusterName, "cluster")
        guard var server = cluster["server"]?.string else {
            throw Problem("\(origin): cluster '\(clusterName)' has no server")
        }
        while server.hasSuffix("/") { server.removeLast() }
        if cluster["tls-server-name"] != nil {
            throw Problem("\(origin): 'tls-server-name' is not supported: name the server as its certificate does")
        }
        let user = try context["user"]?.string.map { try named("users", $0, "user") }
        let files = KubeconfigFiles(folder: folder, origin: origin)
        var access = ClusterAccess(
            server: server,
            certificateAuthority: try files.bytes(
                cluster, "certificate-authority-data", "certificate-authority"),
            credential: try user.map { try credential($0, files) } ?? .none,
            namespace: context["namespace"]?.string ?? "default")
        access.skipsVerification = cluster["insecure-skip-tls-verify"]?.bool ?? false
        return access
    }

    private static func credential(_ user: YAMLNode, _ files: KubeconfigFiles) throws -> Credential {
        if let path = user["tokenFile"]?.string { return .tokenFile(files.path(path)) }
        if let token = user["token"]?.string { return .token(token) }
        if let certificate = try files.bytes(user, "client-certificate-data", "client-certificate"),
            let key = try files.bytes(user, "client-key-data", "client-key")
        {
            return .clientCertificate(certificate: certificate, key: key)
        }
        for member in ["exec", "auth-provider", "username"] where user[member] != nil {
            throw Problem("\(files.origin): users with '\(member)' are not supported; give a token or a certificate")
        }
        return .none
    }

    /// The members of a kubeconfig that hold bytes themselves or name a file.
    private struct KubeconfigFiles {
        let folder: String
        let origin: String

        func path(_ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }

        func bytes(_ node: YAMLNode, _ data: String, _ file: String) throws -> [UInt8]? {
            if let text = node[data]?.string {
                guard let decoded = Data(base64Encoded: text) else { throw Problem("\(origin): \(data) is not base64") }
                return Array(decoded)
            }
            return try node[file]?.string.map { try ClusterAccess.read(path($0)) }
        }
    }
}
