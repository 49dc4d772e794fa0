// A client of the Kubernetes API: authenticated requests with retries.
//
// One value serves any number of tasks. Requests have a time limit as a whole; answers have a size limit. Objects are handled
// as JSON (`KubernetesObject`), because an update must carry over what this code does not know.
//
// - Spec: Kubernetes documentation, "Kubernetes API Concepts".
import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOSSL

public final class KubernetesClient: Sendable {
    public let access: ClusterAccess
    let http: HTTPClient
    let retries: RetryPolicy
    let tokens: TokenSource
    let timeout: TimeAmount
    private let exchange: Exchange?

    /// Takes a request to a server in the same process instead of over HTTP, for tests that make thousands; watches cannot be taken.
    /// Nil stands for an answer that did not come.
    package typealias Exchange =
        @Sendable (
            _ method: String, _ path: String, _ query: [String: String], _ contentType: String, _ body: JSON?
        ) async -> (status: Int, body: JSON, retryAfter: Int?)?

    static let largestAnswer = 64 << 20
    /// Who the server notes as the manager of fields and the author of changes.
    let userAgent: String

    /// - Parameters:
    ///   - userAgent: such as `dssm-cert-init/1.0.0`; what precedes the slash is the field manager of `apply`.
    ///   - timeout: for each request from its beginning to the answer's end, watches excepted.
    /// - Throws: when certificates or keys cannot be read.
    public convenience init(
        _ access: ClusterAccess, userAgent: String, retries: RetryPolicy = RetryPolicy(),
        timeout: Duration = .seconds(15)
    ) throws {
        try self.init(access, userAgent: userAgent, retries: retries, timeout: timeout, exchange: nil)
    }

    package init(
        _ access: ClusterAccess, userAgent: String, retries: RetryPolicy = RetryPolicy(),
        timeout: Duration = .seconds(15), exchange: Exchange?
    ) throws {
        self.exchange = exchange
        self.access = access
        self.userAgent = userAgent
        self.retries = retries
        self.timeout = .nanoseconds(Int64(timeout / .nanoseconds(1)))
        tokens = TokenSource(access.credential)
        var configuration = HTTPClient.Configuration()
        configuration.tlsConfiguration = try KubernetesClient.tls(access)
        configuration.timeout = .init(connect: .seconds(5))
        configuration.redirectConfiguration = .disallow
        // Watches stay open for minutes; without this a few of them would take all connections.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 32
        // Else a refused connection is tried again until the request's time is over, unseen by `retries`.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    private static func tls(_ access: ClusterAccess) throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let authority = access.certificateAuthority {
            tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(authority))
        }
        if case .clientCertificate(let certificate, let key) = access.credential {
            tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(certificate).map { .certificate($0) }
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: key, format: .pem))
        }
        if access.skipsVerification { tls.certificateVerification = .none }
        return tls
    }

    /// Ends the connections. The client must not be used afterwards.
    public func shutDown() async throws { try await http.shutdown() }

    /// The field manager of server-side apply.
    var fieldManager: String { String(userAgent.prefix { $0 != "/" }) }

    // MARK: Requests

    struct Call: Sendable {
        var method: HTTPMethod
        var path: String
        var query: [(String, String)] = []
        var contentType = "application/json"
        var body: JSON?

        var name: String { "\(method.rawValue) \(path)" }
        /// Whether making the request twice has the effect of making it once.
        var isIdempotent: Bool { method != .POST }
    }

    /// Makes the request, again when that is due, and returns the answer's body.
    func send(_ call: Call, retries: RetryPolicy? = nil) async throws -> JSON {
        let retries = retries ?? self.retries
        var attempt = 1
        while true {
            do {
                return try await sendOnce(call)
            } catch let error as KubernetesError {
                if error.code == .forbidden { await tokens.invalidate() }
                let chance = Double.random(in: 0...1)
                guard let wait = retries.wait(after: attempt, error, isIdempotent: call.isIdempotent, chance: chance)
                else { throw error }
                attempt += 1
                try await Task.sleep(for: wait)
            }
        }
    }

    private func sendOnce(_ call: Call) async throws -> JSON {
        if let exchange { return try await sendOnce(call, exchange) }
        let response = try await start(call, deadline: .now() + timeout)
        let body: ByteBuffer
        do {
            body = try await response.body.collect(upTo: KubernetesClient.largestAnswer)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw KubernetesError(.unreachable, "\(error)", request: call.name)
        }
        return try result(
            of: call, Int(response.status.code), try? JSON(parsing: body.readableBytesView),
            retryAfter: response.headers.first(name: "Retry-After"))
    }

    private func sendOnce(_ call: Call, _ exchange: Exchange) async throws -> JSON {
        let query = Dictionary(call.query, uniquingKeysWith: { $1 })
        guard let answer = await exchange(call.method.rawValue, call.path, query, call.contentType, call.body) else {
            throw KubernetesError(.unreachable, "there was no answer", request: call.name)
        }
        return try result(of: call, answer.status, answer.body, retryAfter: answer.retryAfter.map { "\($0)" })
    }

    private func result(of call: Call, _ status: Int, _ body: JSON?, retryAfter: String?) throws -> JSON {
        guard (200..<300).contains(status) else {
            throw KubernetesError(status: status, body: body, retryAfter: retryAfter, request: call.name)
        }
        guard let body else { throw KubernetesError(.malformed, "the answer is no JSON", request: call.name) }
        return body
    }

    /// Sends the request and returns when the answer's head is there.
    func start(_ call: Call, deadline: NIODeadline) async throws -> HTTPClientResponse {
        let query = call.query.map { "\($0)=\(percentEncoded($1))" }.joined(separator: "&")
        var request = HTTPClientRequest(url: access.server + call.path + (query.isEmpty ? "" : "?" + query))
        request.method = call.method
        request.headers.add(name: "Accept", value: "application/json")
        request.headers.add(name: "User-Agent", value: userAgent)
        if let token = try await tokens.token() {
            request.headers.add(name: "Authorization", value: "Bearer \(token)")
        }
        if let body = call.body {
            request.headers.add(name: "Content-Type", value: call.contentType)
            request.body = .bytes(ByteBuffer(bytes: body.bytes))
        }
        do {
            return try await http.execute(request, deadline: deadline)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw KubernetesError(.unreachable, "\(error)", request: call.name)
        }
    }
}

/// The bearer token, read anew from its file when it may have been renewed.
///
/// - Spec: Kubernetes documentation, "Bound service account tokens": the file's content changes before the token expires.
actor TokenSource {
    private let credential: ClusterAccess.Credential
    private var cached: (token: String, read: ContinuousClock.Instant)?
    static let lifetime: Duration = .seconds(60)

    init(_ credential: ClusterAccess.Credential) { self.credential = credential }

    func token() throws -> String? {
        switch credential {
        case .none, .clientCertificate: return nil
        case .token(let token): return token
        case .tokenFile(let path):
            let now = ContinuousClock.now
            if let cached, now - cached.read < TokenSource.lifetime { return cached.token }
            let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
            let token = text.filter { !$0.isWhitespace }
            cached = (token, now)
            return token
        }
    }

    /// The server did not accept the token: the file may have another by now.
    func invalidate() { cached = nil }
}
