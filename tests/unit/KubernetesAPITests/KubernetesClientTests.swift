import KubernetesAPI
import KubernetesTestServer
import Testing

/// A server with a client of it.
struct Cluster {
    let server: KubernetesTestServer
    let client: KubernetesClient

    init(retries: RetryPolicy = RetryPolicy(attempts: 4, firstWait: .milliseconds(1)), token: String? = nil)
        async throws
    {
        server = try await KubernetesTestServer()
        let access = ClusterAccess(server: server.url, credential: token.map { .token($0) } ?? .none)
        client = try KubernetesClient(access, userAgent: "tests/1", retries: retries)
    }

    func end() async throws {
        try await client.shutDown()
        try await server.stop()
    }

    static func run(
        retries: RetryPolicy = RetryPolicy(attempts: 4, firstWait: .milliseconds(1)), token: String? = nil,
        _ body: (Cluster) async throws -> Void
    ) async throws {
        let cluster = try await Cluster(retries: retries, token: token)
        do {
            try await body(cluster)
        } catch {
            try await cluster.end()
            throw error
        }
        try await cluster.end()
    }

    func secret(_ name: String, _ value: String) -> KubernetesObject {
        KubernetesObject(.secrets, name: name, namespace: "ns", ["stringData": ["key": .string(value)]])
    }
}

/// Counts in closures that run on other threads.
actor Counter {
    private(set) var value = 0
    func next() -> Int {
        value += 1
        return value
    }
}

@Suite("KubernetesClient", .timeLimit(.minutes(1)))
struct KubernetesClientTests {
    @Test("Objects are created, read, replaced, patched, listed over pages and deleted")
    func objects() async throws {
        try await Cluster.run(token: "secret-token") { cluster in
            let client = cluster.client
            let created = try await client.create(.secrets, cluster.secret("a", "1"))
            #expect(created.uid != nil && created.resourceVersion != nil)
            var changed = created
            changed["stringData", "key"] = "2"
            changed.labels = ["app": "x"]
            let replaced = try await client.replace(.secrets, changed)
            #expect(replaced.resourceVersion != created.resourceVersion)
            try await client.mergePatch(
                .secrets, "a", namespace: "ns", ["stringData": ["key": .null, "other": "3"]])
            let read = try await client.get(.secrets, "a", namespace: "ns")
            #expect(read["stringData"] == ["other": "3"] && read.labels == ["app": "x"])
            for name in ["b", "c", "d", "e"] { try await client.create(.secrets, cluster.secret(name, name)) }
            let all = try await client.list(.secrets, Selection(namespace: "ns"))
            #expect(all.objects.map(\.name) == ["a", "b", "c", "d", "e"])
            #expect(all.objects.allSatisfy { $0.kind == "Secret" })
            let some = try await client.list(.secrets, Selection(namespace: nil, labels: "app=x"))
            #expect(some.objects.map(\.name) == ["a"])
            try await client.delete(.secrets, "a", namespace: "ns")
            try await client.delete(.secrets, "a", namespace: "ns")
            #expect(try await client.find(.secrets, "a", namespace: "ns") == nil)
            #expect(cluster.server.requests.allSatisfy { $0.authorization == "Bearer secret-token" })
        }
    }

    @Test("An update based on an old version is a conflict, and `update` tries again on the new one")
    func conflicts() async throws {
        try await Cluster.run { cluster in
            let old = try await cluster.client.create(.secrets, cluster.secret("a", "1"))
            try await cluster.client.mergePatch(.secrets, "a", namespace: "ns", ["stringData": ["key": "2"]])
            let error = await #expect(throws: KubernetesError.self) { try await cluster.client.replace(.secrets, old) }
            #expect(error?.code == .conflict)
            let again = await #expect(throws: KubernetesError.self) { try await cluster.client.create(.secrets, old) }
            #expect(again?.code == .alreadyExists)
            // Somebody else changes the object between the first reading and writing.
            var reads = 0
            let server = cluster.server
            let updated = try await cluster.client.update(.secrets, "a", namespace: "ns") { object in
                reads += 1
                if reads == 1 {
                    var other = object
                    other["stringData", "theirs"] = "kept"
                    server.put(.secrets, other)
                }
                object["stringData", "ours"] = "added"
                return true
            }
            #expect(reads == 2)
            #expect(updated["stringData"] == ["key": "2", "theirs": "kept", "ours": "added"])
        }
    }

    @Test("Applying sets our fields, keeps those of others and removes what we leave out")
    func apply() async throws {
        try await Cluster.run { cluster in
            var object = KubernetesObject(.configMaps, name: "m", namespace: "ns", ["data": ["a": "1", "b": "2"]])
            try await cluster.client.apply(.configMaps, object)
            try await cluster.client.mergePatch(.configMaps, "m", namespace: "ns", ["data": ["theirs": "3"]])
            object.json["data"] = ["a": "4"]
            let applied = try await cluster.client.apply(.configMaps, object)
            #expect(applied["data"] == ["a": "4", "theirs": "3"])
            let request = try #require(cluster.server.requests.last)
            #expect(
                request.query["fieldManager"] == "tests" && request.contentType.hasPrefix("application/apply-patch"))
        }
    }

    @Test("Refusals and server errors are tried again, when that can do no harm", arguments: [429, 500, 503, 0])
    func retries(status: Int) async throws {
        try await Cluster.run { cluster in
            try await cluster.client.create(.secrets, cluster.secret("a", "1"))
            let server = cluster.server
            func failTwice() {
                let before = server.requests.count
                server.setFault { _ in
                    guard server.requests.count - before <= 2 else { return nil }
                    return status == 0
                        ? .cut : KubernetesTestServer.Response(status, retryAfter: status == 429 ? 0 : nil)
                }
            }
            failTwice()
            #expect(try await cluster.client.get(.secrets, "a", namespace: "ns").name == "a")
            failTwice()
            let created = try? await cluster.client.create(.secrets, cluster.secret("b", "1"))
            // A POST is made again only when the server has refused it.
            #expect((created != nil) == (status == 429))
        }
    }

    @Test("Errors that time does not mend are not tried again", arguments: [400, 403, 404, 409, 422])
    func noRetries(status: Int) async throws {
        try await Cluster.run { cluster in
            cluster.server.setFault { _ in .init(status, message: "because") }
            let error = await #expect(throws: KubernetesError.self) {
                try await cluster.client.get(.secrets, "a", namespace: "ns")
            }
            #expect(error?.message == "because (\(status))")
            #expect(error?.description.contains("GET /api/v1/namespaces/ns/secrets/a") == true)
            #expect(cluster.server.requests.count == 1)
        }
    }

    @Test("A retry that lasts is given up with the last error")
    func givesUp() async throws {
        try await Cluster.run { cluster in
            cluster.server.setFault { _ in .init(503, message: "down") }
            let error = await #expect(throws: KubernetesError.self) {
                try await cluster.client.get(.secrets, "a", namespace: "ns")
            }
            #expect(error?.code == .server && cluster.server.requests.count == 4)
        }
    }

    @Test("Evictions are done, refused by a budget, or too late", arguments: [false, true])
    func eviction(isOldServer: Bool) async throws {
        try await Cluster.run { cluster in
            if isOldServer { cluster.server.servePolicyV1Beta1Only() }
            let ready: JSON = ["conditions": [["type": "Ready", "status": "True"]]]
            for name in ["p-0", "p-1", "p-2"] {
                var pod = KubernetesObject(.pods, name: name, namespace: "ns", ["status": ready])
                pod.labels = ["app": "db"]
                cluster.server.put(.pods, pod)
            }
            cluster.server.put(
                .podDisruptionBudgets,
                KubernetesObject(
                    .podDisruptionBudgets, name: "b", namespace: "ns",
                    ["spec": ["minAvailable": 2, "selector": ["matchLabels": ["app": "db"]]]]))
            let uid = cluster.server.object(.pods, "p-0", "ns")?.uid
            #expect(try await cluster.client.evict("p-0", namespace: "ns", uid: "another") == .gone)
            #expect(try await cluster.client.evict("p-0", namespace: "ns", uid: uid) == .evicted)
            guard case .refused(let message, let seconds) = try await cluster.client.evict("p-1", namespace: "ns")
            else {
                Issue.record("the budget was not obeyed")
                return
            }
            #expect(message.contains("disruption budget") && seconds == 1)
            #expect(try await cluster.client.evict("p-0", namespace: "ns") == .gone)
            let body = cluster.server.requests.last { $0.path.hasSuffix("/eviction") }?.body
            #expect(body?["apiVersion"]?.string == (isOldServer ? "policy/v1beta1" : "policy/v1"))
        }
    }

    @Test("Scale is read and set")
    func scale() async throws {
        try await Cluster.run { cluster in
            cluster.server.put(
                .deployments,
                KubernetesObject(
                    .deployments, name: "f5-tmm", namespace: "ns", ["spec": ["replicas": 3], "status": ["replicas": 2]])
            )
            var scale = try await cluster.client.scale(.deployments, "f5-tmm", namespace: "ns")
            #expect(scale == (3, 2))
            try await cluster.client.setScale(.deployments, "f5-tmm", namespace: "ns", to: 0)
            scale = try await cluster.client.scale(.deployments, "f5-tmm", namespace: "ns")
            #expect(scale.wanted == 0)
        }
    }
}
