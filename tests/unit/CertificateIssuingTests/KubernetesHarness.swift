import KubernetesAPI
import KubernetesTestServer
import Logging
import Synchronization
import Testing

@testable import CertificateIssuing

/// Keeps log lines with their fields.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }

    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        init(lines: LogLines) { self.lines = lines }

        func log(event: LogEvent) { lines.add("\(event.level) \(event.message) \(event.metadata ?? [:])") }
    }
}

/// The time that a run sees; sleeping lets it pass.
final class SettableClock: Sendable {
    private let time: Mutex<Int64>

    init(_ time: Int64) { self.time = Mutex(time) }

    var now: Int64 { time.withLock { $0 } }
    func advance(_ seconds: Int64) { time.withLock { $0 += seconds } }
}

/// An API server with the Secrets of an installation.
struct KubernetesHarness {
    let server: KubernetesTestServer
    let client: KubernetesClient
    let log = LogLines()
    let clock = SettableClock(startTime)
    var settings = Fixture.settings(tmm: ["tmm-a"])

    /// - Parameter isDirect: requests do not go over HTTP, which costs ten times as much as all else.
    static func run(isDirect: Bool = false, _ body: (inout KubernetesHarness) async throws -> Void) async throws {
        let server = try await KubernetesTestServer()
        let client =
            isDirect
            ? try server.directClient(userAgent: "tests/1")
            : try KubernetesClient(
                ClusterAccess(server: server.url), userAgent: "tests/1", retries: RetryPolicy.none)
        var harness = KubernetesHarness(server: server, client: client)
        let result: Result<Void, any Error>
        do { result = .success(try await body(&harness)) } catch { result = .failure(error) }
        try await client.shutDown()
        try await server.stop()
        try result.get()
    }

    init(server: KubernetesTestServer, client: KubernetesClient) {
        self.server = server
        self.client = client
    }

    func issuing() -> KubernetesIssuing {
        let clock = clock
        var issuing = KubernetesIssuing(
            settings: settings, client: client, log: log.logger, instance: "cert-init-x", clock: { clock.now })
        issuing.firstWait = .milliseconds(1)
        return issuing
    }

    @discardableResult
    func run(isForced: Bool = false) async throws -> KubernetesIssuing.Outcome {
        try await issuing().run(isForced: isForced)
    }

    /// The cluster as the server has it.
    var state: ClusterState {
        var state = ClusterState(home: settings.policy.namespace, others: settings.tmmNamespaces)
        for reference in state.references {
            guard let object = server.object(.secrets, reference.kind.name, reference.namespace) else { continue }
            state.secrets[reference] = SecretStore.state(of: object)
        }
        return state
    }

    var defects: [String] { state.defects(now: clock.now, names: settings.policy.alternativeNames) }

    /// Requests that change something.
    var writes: [KubernetesTestServer.Request] { server.requests.filter { $0.method != "GET" } }

    /// Stores a Secret as somebody else would.
    func put(_ secret: SecretState, _ namespace: String, _ kind: SecretKind) {
        var write = SecretWrite(SecretReference(namespace, kind), SecretNote("Test", []))
        write.items = secret.items
        var object = KubernetesObject(.secrets, name: kind.name, namespace: namespace, ["type": "Opaque"])
        if secret.isOwned { object.labels = [SecretMark.ownerLabel: SecretMark.owner] }
        server.put(.secrets, SecretStore.object(object, write))
    }

    /// Removes everything.
    func clear() {
        for reference in state.references { server.remove(.secrets, reference.kind.name, reference.namespace) }
    }
}

/// Fails the write of a Secret with number `number` of those that come, and all later ones where `isLasting`.
final class WriteFault: Sendable {
    private let count = Mutex(0)
    let number: Int
    let isLasting: Bool
    let make: @Sendable () -> KubernetesTestServer.Response
    /// Called before each write of a Secret.
    let check: @Sendable () -> Void

    init(
        _ number: Int, isLasting: Bool, check: @escaping @Sendable () -> Void,
        make: @escaping @Sendable () -> KubernetesTestServer.Response
    ) {
        self.number = number
        self.isLasting = isLasting
        self.make = make
        self.check = check
    }

    var seen: Int { count.withLock { $0 } }

    func answer(_ request: KubernetesTestServer.Request) -> KubernetesTestServer.Response? {
        guard request.method != "GET", request.path.contains("/secrets") else { return nil }
        check()
        let current = count.withLock { count in
            count += 1
            return count
        }
        if current == number { return make() }
        // A process that has died at its write makes no others.
        return isLasting && current > number ? .cut : nil
    }
}
