/// What a service tells its probes and its scraper. Asked for at each request.
public protocol HealthSource {
    /// Nil: alive. Otherwise why the service should be restarted.
    func livenessProblem() -> String?
    /// Nil: ready for traffic. Otherwise why not, such as `loading 42%`.
    func readinessProblem() -> String?
    func appendMetrics(to text: inout PrometheusText)
    /// What else the service shows, at a path such as `/` or `/api/status`. Nil: nothing.
    func page(_ path: String) -> HTTPResponse?
}

extension HealthSource {
    public func page(_ path: String) -> HTTPResponse? { nil }
}

/// One connection of the health endpoint: `/healthz`, `/readyz`, `/metrics` and the service's own pages. Bytes in, bytes out; the owner has the
/// socket, and closes it after sending when `shouldClose` is true.
public struct HealthConnection: Sendable {
    private var input: [UInt8] = []
    /// Requests answered for one piece of input; more are a flood, and the connection is closed.
    static let maximumPipelined = 16
    public private(set) var shouldClose = false

    public init() {}

    /// Takes what was received and returns what is to be sent, which may be nothing or several responses.
    public mutating func receive(_ bytes: UnsafeRawBufferPointer, source: some HealthSource) -> [UInt8] {
        guard !shouldClose else { return [] }
        input.append(contentsOf: bytes)
        var output: [UInt8] = []
        var answered = 0
        while !input.isEmpty {
            switch HTTPRequest.parse(input) {
            case .needMore: return output
            case .bad(let status):
                shouldClose = true
                input = []
                return output + HTTPResponse(status, status.reason + "\n").bytes(keepsAlive: false)
            case .request(let request, let consumed):
                input.removeFirst(consumed)
                answered += 1
                let isLast = !request.keepsAlive || answered == Self.maximumPipelined
                let response = Self.respond(request, source)
                output += response.bytes(keepsAlive: !isLast, isHead: request.method == "HEAD")
                guard !isLast else {
                    shouldClose = true
                    input = []
                    return output
                }
            }
        }
        return output
    }

    static func respond(_ request: HTTPRequest, _ source: some HealthSource) -> HTTPResponse {
        guard request.method == "GET" || request.method == "HEAD" else {
            return HTTPResponse(.methodNotAllowed, "only GET and HEAD are served\n")
        }
        switch request.path {
        case "/healthz": return answer(source.livenessProblem())
        case "/readyz": return answer(source.livenessProblem() ?? source.readinessProblem())
        case "/metrics":
            var text = PrometheusText()
            source.appendMetrics(to: &text)
            return HTTPResponse(.ok, contentType: PrometheusText.contentType, body: text.bytes)
        default:
            return source.page(request.path)
                ?? HTTPResponse(.notFound, "there are /healthz, /readyz and /metrics\n")
        }
    }

    private static func answer(_ problem: String?) -> HTTPResponse {
        guard let problem else { return HTTPResponse(.ok, "ok\n") }
        return HTTPResponse(.unavailable, problem + "\n")
    }
}
