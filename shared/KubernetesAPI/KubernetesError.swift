/// Why a request to the API failed.
public struct KubernetesError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        /// 404.
        case notFound
        /// 409 when creating: the object is there already.
        case alreadyExists
        /// 409 otherwise: the object has changed since it was read.
        case conflict
        /// 401 and 403.
        case forbidden
        /// 410: the watch is older than what the server remembers.
        case expired
        /// 429, after the retries: for an eviction, a disruption budget does not allow it now.
        case tooManyRequests
        /// 400, 405, 415, 422: the request is wrong.
        case invalid
        /// 5xx, after the retries.
        case server
        /// No answer: the connection, TLS or a time limit.
        case unreachable
        /// An answer that is not what the API promises.
        case malformed
    }

    public let code: Code
    /// What the server said, or what happened to the connection.
    public let message: String
    /// What was asked, such as `GET /api/v1/...`.
    public let request: String
    /// What the server asks to wait, seconds.
    public let retryAfterSeconds: Int?

    public init(_ code: Code, _ message: String, request: String, retryAfterSeconds: Int? = nil) {
        self.code = code
        self.message = message
        self.request = request
        self.retryAfterSeconds = retryAfterSeconds
    }

    public var description: String { "\(request): \(message)" }

    /// - Spec: Kubernetes API conventions, "HTTP Status codes" and "Response Status Kind".
    init(status: Int, body: JSON?, retryAfter: String?, request: String) {
        let reason = body?["reason"]?.string
        let code: Code =
            switch status {
            case 404: .notFound
            case 409: reason == "AlreadyExists" ? .alreadyExists : .conflict
            case 401, 403: .forbidden
            case 410: .expired
            case 429: .tooManyRequests
            case 400..<500: .invalid
            default: .server
            }
        let seconds = retryAfter.flatMap { Int($0) } ?? body?[["details", "retryAfterSeconds"]]?.integer
        let message = body?["message"]?.string ?? "HTTP status \(status)"
        self.init(code, "\(message) (\(status))", request: request, retryAfterSeconds: seconds)
    }
}
