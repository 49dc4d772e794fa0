import Foundation
import RESP
import Reactor
import SentinelCore
import ServerConfiguration
import Telemetry

@testable import SentinelServer

/// A sentinel server on a thread of its own, with a settings file in a temporary folder.
final class RunningSentinel: @unchecked Sendable {
    // @unchecked Sendable: the server is touched by its own thread only, except for `post`.
    let port = freePort()
    let metricsPort = freePort()
    let file: String
    private let folder: URL
    private let server: SentinelServer

    init(primaryPort: Int, _ lines: [String] = []) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("sentinel-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        file = folder.appendingPathComponent("sentinel.conf").path
        let text =
            ([
                "# written by a person", "port \(port)", "bind 127.0.0.1", "metrics-port \(metricsPort)",
                "sentinel monitor dssm 127.0.0.1 \(primaryPort) 1", "sentinel down-after-milliseconds dssm 500",
            ] + lines).joined(separator: "\n") + "\n"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let settings = try SentinelSettings(try ConfigurationFile.load(file))
        let sink = LogSink(service: "sentinel", role: .sentinel, standardOutput: -1)
        server = SentinelServer(settings: settings, file: file, sink: sink)
        let server = WeakServer(server)
        let started = DispatchSemaphore(value: 0)
        let problem = Box()
        Threads.start(name: "sentinel") {
            guard let running = server.server else { return }
            do throws(StartError) {
                try running.start(catchingSignals: false)
            } catch {
                problem.text = "\(error)"
            }
            started.signal()
            if problem.text == nil { running.run() }
        }
        started.wait()
        if let text = problem.text { throw StartError(text) }
    }

    func stop() {
        let server = WeakServer(server)
        self.server.reactor.post { server.server?.reactor.stop() }
        try? FileManager.default.removeItem(at: folder)
    }

    func client() throws -> TestClient { try TestClient(port: port) }
    var savedText: String { (try? String(contentsOfFile: file, encoding: .utf8)) ?? "" }

    /// Waits until forwarding works.
    func awaitPrimary() throws -> Bool {
        let client = try client()
        return eventually {
            client.ask("INFO sentinel")?.text?.contains("status=ok") == true
                && client.ask("SET ready 1") == .simple("OK")
        }
    }
}

/// @unchecked Sendable: written before and read after a semaphore.
private final class Box: @unchecked Sendable {
    var text: String?
}
