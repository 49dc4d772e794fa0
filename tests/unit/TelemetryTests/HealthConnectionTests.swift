import Testing

@testable import Telemetry

@Suite("Health endpoint") struct HealthConnectionTests {
    struct Source: HealthSource {
        var liveness: String?
        var readiness: String?
        func livenessProblem() -> String? { liveness }
        func readinessProblem() -> String? { readiness }
        func appendMetrics(to text: inout PrometheusText) { text.gauge("up", "Up.", Int64(1)) }
    }

    func exchange(_ text: String, piece: Int = .max, source: Source = Source()) -> (text: String, closes: Bool) {
        var connection = HealthConnection()
        var output: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            Array(rest.prefix(piece)).withUnsafeBytes { output += connection.receive($0, source: source) }
            rest = rest.dropFirst(piece)
        }
        return (String(decoding: output, as: UTF8.self), connection.shouldClose)
    }

    func status(_ text: String, source: Source = Source()) -> Int? {
        let words = exchange(text, source: source).text.split(separator: " ")
        return words.count > 1 ? Int(words[1]) : nil
    }

    func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n" }

    @Test("A request is answered the same however it is cut")
    func splits() {
        let request = "GET /metrics?x=1 HTTP/1.1\r\nHost: pod:9121\r\nUser-Agent: Prometheus/2.0\r\nAccept: */*\r\n\r\n"
        let whole = exchange(request)
        #expect(whole.text.hasPrefix("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"))
        #expect(whole.text.hasSuffix("Connection: keep-alive\r\n\r\n# HELP up Up.\n# TYPE up gauge\nup 1\n"))
        #expect(whole.text.contains("Content-Length: 35\r\n"))
        for piece in 1..<request.utf8.count { #expect(exchange(request, piece: piece).text == whole.text) }
        #expect(!whole.closes)
    }

    @Test("Health and readiness follow the source")
    func health() {
        #expect(status(get("/healthz")) == 200 && status(get("/readyz")) == 200)
        let loading = Source(readiness: "loading 42%")
        #expect(status(get("/healthz"), source: loading) == 200)
        #expect(exchange(get("/readyz"), source: loading).text.hasSuffix("\r\n\r\nloading 42%\n"))
        #expect(status(get("/readyz"), source: loading) == 503)
        let stuck = Source(liveness: "the loop is stuck")
        #expect(status(get("/healthz"), source: stuck) == 503 && status(get("/readyz"), source: stuck) == 503)
        #expect(status(get("/other")) == 404)
    }

    @Test("Pipelined requests are answered in order, HEAD without a body, close is honoured, floods are cut")
    func pipelined() {
        let answer = exchange(
            get("/healthz") + "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                + "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + get("/healthz"))
        #expect(answer.text.components("HTTP/1.1 ") == ["200", "200", "404"])
        #expect(answer.closes)
        let old = exchange("GET /healthz HTTP/1.0\r\n\r\n")
        #expect(old.closes && old.text.contains("Connection: close\r\n"))
        #expect(!exchange("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").closes)
        let flood = exchange(String(repeating: get("/metrics"), count: 1000))
        #expect(flood.closes && flood.text.components("HTTP/1.1 ").count == HealthConnection.maximumPipelined)
    }

    @Test(
        "Malformed and oversized requests get their status and the connection closes",
        arguments: [
            ("POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405), ("GET /healthz HTTP/2.0\r\n\r\n", 505),
            ("GET /healthz\r\n\r\n", 400), ("*1\r\n$4\r\nPING\r\n\r\n", 400), ("GET  / HTTP/1.1\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
            ("GET / HTTP/1.1\r\nHost: " + String(repeating: "x", count: 9000), 431),
            ("GET / HTTP/1.1\r\nHost: x\r\n" + String(repeating: "A: b\r\n", count: 100) + "\r\n", 431),
        ])
    func malformed(request: String, expected: Int) {
        #expect(status(request) == expected)
        if expected != 405 { #expect(exchange(request).closes) }
    }

    @Test("Any bytes are answered or awaited without a trap")
    func anything() {
        var seed: UInt64 = 7
        for _ in 0..<5000 {
            let alphabet = Array("GET /HTTP1.\r\n: \u{0}é".utf8)
            var bytes: [UInt8] = []
            for _ in 0..<24 {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(alphabet[Int(seed >> 33) % alphabet.count])
            }
            var connection = HealthConnection()
            let answer = bytes.withUnsafeBytes { connection.receive($0, source: Source()) }
            #expect(answer.isEmpty || connection.shouldClose)
        }
    }
}

extension String {
    /// What follows each `separator`, up to the next blank.
    fileprivate func components(_ separator: String) -> [String] {
        var result: [String] = []
        for line in split(separator: "\r\n") where line.hasPrefix(separator) || line.contains("\n" + separator) {
            guard let range = line.firstRange(of: separator) else { continue }
            result.append(String(line[range.upperBound...].prefix { $0 != " " }))
        }
        return result
    }
}
