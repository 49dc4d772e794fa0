import KubernetesAPI
import KubernetesTestServer
import Testing

@Suite("Watching", .timeLimit(.minutes(1)))
struct WatchTests {
    private func text(_ event: WatchEvent) -> String {
        switch event {
        case .reset(let objects): "reset \(objects.map(\.name).joined(separator: ","))"
        case .added(let object): "added \(object.name)"
        case .modified(let object): "modified \(object.name)"
        case .deleted(let object): "deleted \(object.name)"
        case .interrupted: "interrupted"
        }
    }

    @Test("The collection comes first, then each change; a cut goes on where it was, an expired version begins anew")
    func watch() async throws {
        try await Cluster.run { cluster in
            let server = cluster.server
            server.put(.secrets, cluster.secret("a", "1"))
            var seen: [String] = []
            try await cluster.client.watch(.secrets, Selection(namespace: "ns")) { event in
                seen.append(text(event))
                // Each step is the answer to what was seen before.
                switch seen.count {
                case 1: server.put(.secrets, cluster.secret("b", "1"))
                case 2: server.put(.secrets, cluster.secret("a", "2"))
                case 3:
                    server.cutWatches()
                    server.put(.secrets, cluster.secret("c", "1"))
                case 4: server.remove(.secrets, "b", "ns")
                case 5:
                    server.put(.secrets, cluster.secret("d", "1"))
                    // A change that this watch does not see makes its version older than what is remembered.
                    server.put(.configMaps, KubernetesObject(.configMaps, name: "other", namespace: "ns"))
                    server.forgetChanges()
                    server.cutWatches()
                default: break
                }
                return !(seen.count > 5 && seen.last?.hasPrefix("reset") == true)
            }
            #expect(seen.prefix(5) == ["reset a", "added b", "modified a", "added c", "deleted b"])
            // The last addition may have been sent before the cut.
            #expect(seen.last == "reset a,c,d")
        }
    }

    @Test("Only the selection is watched, and a server that fails is told of and tried again")
    func selection() async throws {
        try await Cluster.run { cluster in
            let server = cluster.server
            server.setFault { _ in server.requests.count < 6 ? .init(500) : nil }
            var labelled = cluster.secret("yes", "1")
            labelled.labels = ["app": "x"]
            var seen: [String] = []
            try await cluster.client.watch(.secrets, Selection(namespace: "ns", labels: "app=x")) { event in
                seen.append(text(event))
                if seen.last?.hasPrefix("reset") == true {
                    server.put(.secrets, cluster.secret("no", "1"))
                    server.put(.secrets, labelled)
                }
                return seen.last != "added yes"
            }
            #expect(seen.first == "interrupted")
            #expect(Array(seen.suffix(2)) == ["reset ", "added yes"])
        }
    }

    @Test("A watch that is not allowed ends with the error")
    func forbidden() async throws {
        try await Cluster.run { cluster in
            cluster.server.setFault { _ in .init(403, message: "no") }
            let error = await #expect(throws: KubernetesError.self) {
                try await cluster.client.watch(.secrets, Selection(namespace: "ns")) { _ in true }
            }
            #expect(error?.code == .forbidden)
        }
    }
}

@Suite("LeaseLock", .timeLimit(.minutes(1)))
struct LeaseLockTests {
    private func lock(_ cluster: Cluster, _ identity: String) -> LeaseLock {
        var lock = LeaseLock(client: cluster.client, name: "lock", namespace: "ns", identity: identity)
        // Far apart: on a busy machine a cancelled task may take its time.
        lock.duration = .seconds(3)
        lock.renewDeadline = .milliseconds(600)
        lock.retryPeriod = .milliseconds(20)
        return lock
    }

    @Test("One instance leads at a time; who leaves gives the lease up")
    func handOver() async throws {
        try await Cluster.run { cluster in
            let active = Counter()
            let order = try await withThrowingTaskGroup(of: Int.self) { group in
                for identity in ["a", "b", "c"] {
                    group.addTask {
                        let result = try await lock(cluster, identity).withLeadership {
                            let number = await active.next()
                            let holder = cluster.server.object(.leases, "lock", "ns")?["spec", "holderIdentity"]?.string
                            #expect(holder == identity)
                            // Until the lease has been renewed; the suite's time limit is the deadline.
                            func renewed() -> JSON? {
                                cluster.server.object(.leases, "lock", "ns")?["spec", "renewTime"]
                            }
                            let first = renewed()
                            while renewed() == first { try await Task.sleep(for: .milliseconds(5)) }
                            // Nobody else began meanwhile.
                            #expect(await active.value == number)
                            return number
                        }
                        return try #require(result)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(order.sorted() == [1, 2, 3])
            let lease = try #require(cluster.server.object(.leases, "lock", "ns"))
            #expect(lease["spec", "holderIdentity"] == "")
        }
    }

    @Test("A leader that fails gives the lease up")
    func failure() async throws {
        struct Failure: Error {}
        try await Cluster.run { cluster in
            await #expect(throws: Failure.self) {
                _ = try await lock(cluster, "a").withLeadership { () -> Bool in throw Failure() }
            }
            #expect(cluster.server.object(.leases, "lock", "ns")?["spec", "holderIdentity"] == "")
        }
    }

    @Test("A leader whose server has gone silent is stopped before another one leads, whatever its client's time limit")
    func silence() async throws {
        try await Cluster.run(token: "a") { cluster in
            let server = cluster.server
            let other = try KubernetesClient(
                ClusterAccess(server: server.url, credential: .token("b")), userAgent: "b/1")
            let leading = Counter()
            async let first: Bool? = lock(cluster, "a").withLeadership {
                server.setFault { $0.authorization == "Bearer a" ? .hung : nil }
                _ = await leading.next()
                do {
                    try await Task.sleep(for: .seconds(60))
                } catch {
                    _ = await leading.next()
                    throw error
                }
                return true
            }
            while await leading.value == 0 { try await Task.sleep(for: .milliseconds(5)) }
            var second = lock(cluster, "b")
            second = LeaseLock(client: other, name: second.name, namespace: second.namespace, identity: "b")
            second.retryPeriod = .milliseconds(20)
            let ended = try await second.withLeadership { await leading.value }
            #expect(ended == 2, "the first instance still acted")
            server.setFault(nil)
            #expect(try await first == nil)
            try await other.shutDown()
        }
    }

    @Test("A leader that cannot renew is stopped before its lease runs out, and the lease of a dead one is taken")
    func loss() async throws {
        try await Cluster.run(retries: .none) { cluster in
            let server = cluster.server
            let result: Bool? = try await lock(cluster, "a").withLeadership {
                server.setFault { $0.path.contains("leases") ? .cut : nil }
                try await Task.sleep(for: .seconds(60))
                return true
            }
            #expect(result == nil)
            server.setFault(nil)
            #expect(server.object(.leases, "lock", "ns")?["spec", "holderIdentity"] == "a")
            let taken: Bool? = try await lock(cluster, "b").withLeadership { true }
            #expect(taken == true)
            #expect(server.object(.leases, "lock", "ns")?["spec", "leaseTransitions"] == 1)
        }
    }
}
