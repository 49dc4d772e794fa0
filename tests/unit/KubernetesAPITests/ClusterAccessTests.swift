import FoundationEssentials
import KubernetesAPI
import Testing

@Suite("ClusterAccess")
struct ClusterAccessTests {
    private func kubeconfig(user: String, cluster: String = "server: https://api:6443/", context: String = "") -> String
    {
        """
        apiVersion: v1
        kind: Config
        current-context: one
        contexts:
        - name: one
          context: {cluster: c, user: u, namespace: cnf-gateway}
        - name: two
          context: {cluster: missing}
        clusters:
        - name: c
          cluster:
            \(cluster)
        users:
        - name: u
          user:
            \(user)
        """
    }

    @Test("A kubeconfig gives server, authority, credential and namespace of its current context")
    func current() throws {
        let text = kubeconfig(
            user: "token: abc", cluster: "{server: 'https://api:6443/', certificate-authority-data: aGVsbG8=}")
        let access = try ClusterAccess.kubeconfig(text, folder: "/etc", origin: "config")
        #expect(access.server == "https://api:6443")
        #expect(access.certificateAuthority == Array("hello".utf8))
        #expect(access.namespace == "cnf-gateway")
        guard case .token("abc") = access.credential else {
            Issue.record("\(access.credential)")
            return
        }
    }

    @Test("A token's file is relative to the kubeconfig, and a certificate's data are decoded")
    func credentials() throws {
        let file = try ClusterAccess.kubeconfig(kubeconfig(user: "tokenFile: t"), folder: "/etc", origin: "config")
        guard case .tokenFile("/etc/t") = file.credential else {
            Issue.record("\(file.credential)")
            return
        }
        let data = "{client-certificate-data: Y2VydA==, client-key-data: a2V5}"
        let certificate = try ClusterAccess.kubeconfig(kubeconfig(user: data), folder: "/", origin: "config")
        guard case .clientCertificate(let chain, let key) = certificate.credential else {
            Issue.record("\(certificate.credential)")
            return
        }
        #expect(chain == Array("cert".utf8) && key == Array("key".utf8))
    }

    @Test(
        "What is missing or not supported is named",
        arguments: [
            ("exec: {command: x}", nil, "'exec' are not supported"),
            ("token: a", "two", "no entry 'missing' in clusters"),
            ("token: a", "three", "no entry 'three' in contexts"),
            ("{client-certificate-data: '%', client-key-data: a2V5}", nil, "client-certificate-data is not base64"),
        ])
    func problems(user: String, context: String?, message: String) throws {
        let problem = #expect(throws: ClusterAccess.Problem.self) {
            try ClusterAccess.kubeconfig(kubeconfig(user: user), folder: "/", origin: "config", context: context)
        }
        #expect(problem?.description.contains(message) == true, "\(problem as Any)")
    }

    @Test("A name of the server that is not the URL's is refused, not ignored")
    func serverName() {
        let text = kubeconfig(user: "token: a", cluster: "{server: 'https://api', tls-server-name: other}")
        #expect(throws: ClusterAccess.Problem.self) {
            try ClusterAccess.kubeconfig(text, folder: "/", origin: "config")
        }
    }

    @Test("A pod uses its service account, with brackets round an IPv6 address")
    func inCluster() throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "account-\(UInt64.random(in: 0...UInt64.max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let environment = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"]
        #expect(throws: ClusterAccess.Problem.self) {
            try ClusterAccess.inCluster(environment: environment, folder: folder.path)
        }
        try Data("token\n".utf8).write(to: folder.appending(path: "token"))
        try Data("ca".utf8).write(to: folder.appending(path: "ca.crt"))
        try Data("cnf-gateway".utf8).write(to: folder.appending(path: "namespace"))
        let access = try ClusterAccess.inCluster(environment: environment, folder: folder.path)
        #expect(access.server == "https://[fd00::1]:443" && access.namespace == "cnf-gateway")
        #expect(throws: ClusterAccess.Problem.self) { try ClusterAccess.find(environment: ["HOME": folder.path]) }
    }
}

@Suite("JSON")
struct JSONTests {
    @Test("Text becomes values and the same text again, with keys in order")
    func roundTrip() throws {
        let text = #"{"a":[1,2.5,true,null,"x/y \u00e4"],"b":{"c":-9007199254740993}}"#
        let json = try JSON(parsing: Array(text.utf8))
        #expect(json[["b", "c"]]?.integer == -9_007_199_254_740_993)
        #expect(json["a"]?.array?.count == 5)
        #expect(json.text == #"{"a":[1,2.5,true,null,"x/y ä"],"b":{"c":-9007199254740993}}"#)
    }

    @Test("Paths are read, set and removed")
    func paths() {
        var json: JSON = [:]
        json[["a", "b", "c"]] = 5
        #expect(json == ["a": ["b": ["c": 5]]])
        json[["a", "b", "c"]] = nil
        #expect(json == ["a": ["b": [:]]])
        #expect(json[["a", "x", "y"]] == nil)
    }
}
