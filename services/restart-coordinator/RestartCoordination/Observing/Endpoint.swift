// The process's own thread for sockets: serves the status page and asks the pods.
//
// The tasks of the coordinator run on Swift's threads; the sockets of this service speak the same protocols over the same code as
// those of the other services, which is a reactor on one thread. `post` is the only way in, continuations the only way out.
import ByteStorage
import Glibc
import RESPClient
import Reactor
import Synchronization
import TLS
import Telemetry

public final class Endpoint: PeerAsking {
    /// What keeps the endpoint from starting.
    public struct Problem: Error, CustomStringConvertible, Sendable {
        public let description: String
    }

    /// Made and used on the thread; others only call `post`, which is made for that.
    private struct Posting: @unchecked Sendable {
        // @unchecked Sendable: `Reactor.post` is safe from any thread, and nothing else of the reactor is called from outside.
        let reactor: Reactor
        let loop: EndpointLoop
    }

    private let posting: Posting
    private let tls: TLSSettings?

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - tls: with what pods are asked; the files are read anew for each round.
    ///   - listen: host (`*`: all addresses) and port for HTTP; nil: none.
    /// - Throws: `Problem` when the port cannot be had.
    public init(tls: TLSSettings?, listen: (host: String, port: UInt16)?, source: (any HealthSource & Sendable)?) throws
    {
        self.tls = tls
        let reactor = Reactor()
        let loop = EndpointLoop(reactor: reactor, source: source)
        reactor.handler = loop
        if let listen { try Self.listen(reactor, listen.host, listen.port) }
        posting = Posting(reactor: reactor, loop: loop)
        let posting = posting
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start { posting.reactor.run() })
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw Problem(description: "cannot start a thread: \(String(cString: strerror(code)))")
        }
        pthread_detach(thread)
    }

    /// A listener for `::` takes no IPv4, and a machine may have only one family: `*` is content with either.
    private static func listen(_ reactor: Reactor, _ host: String, _ port: UInt16) throws(Problem) {
        let hosts = host == "*" ? ["0.0.0.0", "::"] : [host]
        var problems: [String] = []
        for host in hosts {
            do throws(SocketError) {
                try reactor.listen(host: host, port: port, tag: EndpointLoop.httpTag)
            } catch { problems.append("cannot listen on \(host) port \(port): \(error)") }
        }
        guard problems.count < hosts.count else { throw Problem(description: problems.joined(separator: "; ")) }
    }

    private final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Ends the thread. Questions that are open are not answered any more: ask none meanwhile.
    public func stop() {
        let posting = posting
        posting.reactor.post { posting.reactor.stop() }
    }

    public func ask(_ questions: [PeerSurvey.Question], timeout: Duration) async -> [PeerSurvey.Answer] {
        guard !questions.isEmpty else { return [] }
        let context: TLSContext?
        do throws(TLSError) {
            context = if let tls { try TLSContext(settings: tls, role: .client) } else { nil }
        } catch {
            var answer = PeerSurvey.Answer()
            answer.problem = "the TLS files of the coordinator cannot be used: \(error.message)"
            return Array(repeating: answer, count: questions.count)
        }
        let posting = posting
        let milliseconds = max(1, Int64(timeout / .milliseconds(1)))
        return await withCheckedContinuation { continuation in
            posting.reactor.post {
                posting.loop.ask(questions, tls: context, timeoutMilliseconds: milliseconds) {
                    continuation.resume(returning: $0)
                }
            }
        }
    }
}

/// The handler of the endpoint's reactor; lives on its thread.
final class EndpointLoop: ReactorHandler {
    static let httpTag = 0
    private static let maximumConnections = 64

    private let reactor: Reactor
    private let source: (any HealthSource & Sendable)?
    private var health: [UInt64: HealthConnection] = [:]
    private var surveys: [Int: PeerSurvey] = [:]
    private var nextTag = 1

    init(reactor: Reactor, source: (any HealthSource & Sendable)?) {
        self.reactor = reactor
        self.source = source
    }

    func ask(
        _ questions: [PeerSurvey.Question], tls: TLSContext?, timeoutMilliseconds: Int64,
        _ completion: @escaping ([PeerSurvey.Answer]) -> Void
    ) {
        let tag = nextTag
        nextTag += 1
        let survey = PeerSurvey(reactor: reactor, tag: tag)
        surveys[tag] = survey
        survey.ask(questions, tls: tls, timeoutMilliseconds: timeoutMilliseconds) { [unowned self] answers in
            // Not now: the survey itself is calling.
            reactor.runAfterTurn { [unowned self] in surveys[tag] = nil }
            completion(answers)
        }
    }

    func accepted(_ connection: Connection) {
        if health.count >= Self.maximumConnections { return connection.close(.local("too many connections")) }
        health[connection.id] = HealthConnection()
    }

    func opened(_ connection: Connection) {
        if connection.tag != Self.httpTag { surveys[connection.tag]?.opened(connection) }
    }

    func process(_ ready: UnsafeBufferPointer<Connection>) {
        for connection in ready where connection.isOpen {
            if connection.tag == Self.httpTag {
                answer(connection)
            } else {
                surveys[connection.tag]?.received(connection)
            }
        }
    }

    private func answer(_ connection: Connection) {
        guard let source, var state = health[connection.id] else { return }
        let input = connection.input
        let answer = state.receive(input.buffer, source: source)
        connection.consumeInput(input.count)
        health[connection.id] = state
        if !answer.isEmpty { connection.output.append(answer) }
        if state.shouldClose { connection.closeAfterFlush(withinMilliseconds: 1000) }
    }

    func closed(_ connection: Connection, _ reason: CloseReason) {
        if connection.tag == Self.httpTag {
            health[connection.id] = nil
        } else {
            surveys[connection.tag]?.closed(connection, reason)
        }
    }

    func outputPending(_ connection: Connection) {}
    func endTurn() {}
    func idleMilliseconds() -> Int64? { nil }
    func signalled(_ number: Int32) {}
}
