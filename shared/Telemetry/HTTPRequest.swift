// Just enough HTTP/1.1 for probes and scrapes: GET and HEAD without a body, bytes in and bytes out. The sockets are the
// reactor's. Requests are small and rare, so an incomplete one is simply parsed again when more has come; the limit on
// its size bounds that cost.

/// A request without a body.
/// - Spec: RFC 9112.
public struct HTTPRequest: Equatable, Sendable {
    public enum ParseResult: Equatable, Sendable {
        case needMore
        /// A request and how many bytes it took.
        case request(HTTPRequest, consumed: Int)
        /// The peer's mistake: answer with this status and close.
        case bad(HTTPStatus)
    }

    public let method: String
    /// Without the query.
    public let path: String
    public let keepsAlive: Bool

    /// Request line and headers together.
    public static let maximumBytes = 8192
    static let maximumHeaders = 64

    /// Parses the first request in `bytes`.
    public static func parse(_ bytes: some RandomAccessCollection<UInt8>) -> ParseResult {
        guard let end = headEnd(bytes) else {
            return bytes.count >= maximumBytes ? .bad(.headersTooLarge) : .needMore
        }
        guard end <= maximumBytes else { return .bad(.headersTooLarge) }
        let head = String(decoding: bytes.prefix(end), as: UTF8.self)
        var lines = head.split(omittingEmptySubsequences: true) { $0 == "\r\n" || $0 == "\n" || $0 == "\r" }[...]
        guard let first = lines.popFirst() else { return .bad(.badRequest) }
        let words = first.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, isToken(words[0]), words[1].hasPrefix("/") else { return .bad(.badRequest) }
        guard words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0" else {
            return .bad(words[2].hasPrefix("HTTP/") ? .versionNotSupported : .badRequest)
        }
        guard lines.count <= maximumHeaders else { return .bad(.headersTooLarge) }
        var hasHost = false
        var keepsAlive = words[2] == "HTTP/1.1"
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), isToken(line[..<colon]) else { return .bad(.badRequest) }
            let value = trimmed(line[line.index(after: colon)...])
            switch line[..<colon].lowercased() {
            case "host": hasHost = true
            case "connection":
                let options = value.lowercased().split(separator: ",").map { trimmed($0) }
                if options.contains("close") { keepsAlive = false }
                if options.contains("keep-alive") && words[2] == "HTTP/1.0" { keepsAlive = true }
            case "content-length" where value != "0": return .bad(.contentTooLarge)
            case "transfer-encoding": return .bad(.contentTooLarge)
            default: break
            }
        }
        guard hasHost || words[2] == "HTTP/1.0" else { return .bad(.badRequest) }
        let path = words[1].prefix { $0 != "?" && $0 != "#" }
        let request = HTTPRequest(method: String(words[0]), path: String(path), keepsAlive: keepsAlive)
        return .request(request, consumed: end)
    }

    /// The position after the empty line that ends the head.
    private static func headEnd(_ bytes: some RandomAccessCollection<UInt8>) -> Int? {
        var lineLength = 0
        var position = 0
        for byte in bytes.prefix(maximumBytes + 1) {
            position += 1
            if byte == 10 {
                if lineLength == 0 && position > 2 { return position }
                lineLength = 0
            } else if byte != 13 {
                lineLength += 1
            }
        }
        return nil
    }

    private static func isToken(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (byte | 0x20) &- 97 < 26 || byte &- 48 < 10 || "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}

public enum HTTPStatus: Int, Equatable, Sendable {
    case ok = 200
    case badRequest = 400
    case notFound = 404
    case methodNotAllowed = 405
    case contentTooLarge = 413
    case headersTooLarge = 431
    case unavailable = 503
    case versionNotSupported = 505

    var reason: String {
        switch self {
        case .ok: "OK"
        case .badRequest: "Bad Request"
        case .notFound: "Not Found"
        case .methodNotAllowed: "Method Not Allowed"
        case .contentTooLarge: "Content Too Large"
        case .headersTooLarge: "Request Header Fields Too Large"
        case .unavailable: "Service Unavailable"
        case .versionNotSupported: "HTTP Version Not Supported"
        }
    }
}

public struct HTTPResponse: Sendable {
    public var status: HTTPStatus
    public var contentType: String
    public var body: [UInt8]

    public init(_ status: HTTPStatus, contentType: String = "text/plain; charset=utf-8", body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    public init(_ status: HTTPStatus, _ text: String) { self.init(status, body: Array(text.utf8)) }

    /// The response as it goes out.
    /// - Parameter isHead: of a HEAD request: the body is left out, its length is not.
    public func bytes(keepsAlive: Bool, isHead: Bool = false) -> [UInt8] {
        var head = "HTTP/1.1 \(status.rawValue) \(status.reason)\r\nContent-Type: \(contentType)\r\n"
        head += "Content-Length: \(body.count)\r\nCache-Control: no-store\r\n"
        if status == .methodNotAllowed { head += "Allow: GET, HEAD\r\n" }
        head += "Connection: \(keepsAlive ? "keep-alive" : "close")\r\n\r\n"
        return Array(head.utf8) + (isHead ? [] : body)
    }
}
