// Asks several peers at once over the owner's reactor, each with its own connection and one deadline for all.
import ByteStorage
import RESP
import Reactor
import TLS

/// A round of questions. The owner passes on the events of connections with `tag`.
public final class PeerSurvey {
    public struct Question: Sendable {
        public var address: PeerAddress
        /// The name in the peer's certificate where it is not the address's host.
        public var serverName: String?
        /// As they are sent, AUTH included.
        public let commands: [[String]]
        /// Whether the first command only authenticates.
        let isAuthenticated: Bool

        /// - Parameter password: sent first if it is not empty.
        public init(_ address: PeerAddress, _ commands: [String]..., user: String = "", password: String = "") {
            self.address = address
            let auth = user.isEmpty ? ["AUTH", password] : ["AUTH", user, password]
            isAuthenticated = !password.isEmpty
            self.commands = (isAuthenticated ? [auth] : []) + commands
        }
    }

    /// What a peer has answered by the deadline.
    public struct Answer: Sendable, Equatable {
        /// To the commands, in their order, as many as came.
        public var replies: [ReplyValue] = []
        /// What the peer has shown in the TLS handshake.
        public var certificate: CertificateSummary?
        /// Of that certificate: SHA-256 in lower-case hexadecimal.
        public var fingerprint: String?
        /// Why replies are missing; nil: all are there.
        public var problem: String? = "no answer in time"

        public init() {}

        /// The reply to the last command; nil: it did not come.
        public var last: ReplyValue? { problem == nil ? replies.last : nil }
    }

    private struct Link {
        let index: Int
        let question: Question
        var parser = ReplyParser(maximumBytes: 1 << 20)
        var count = 0
    }

    private let reactor: Reactor
    private let tag: Int
    private var links: [UInt64: Link] = [:]
    private var connections: [UInt64: Connection] = [:]
    private var answers: [Answer] = []
    private var completion: (([Answer]) -> Void)?
    private var timer: TimerID?

    public init(reactor: Reactor, tag: Int) {
        self.reactor = reactor
        self.tag = tag
    }

    /// Calls `completion` once, with what each peer answered.
    public func ask(
        _ questions: [Question], tls: TLSContext?, timeoutMilliseconds: Int64,
        _ completion: @escaping ([Answer]) -> Void
    ) {
        cancel()
        answers = Array(repeating: Answer(), count: questions.count)
        self.completion = completion
        for (index, question) in questions.enumerated() {
            let connection = reactor.connect(
                host: question.address.host, port: UInt16(clamping: question.address.port), tag: tag, tls: tls,
                serverName: question.serverName, timeoutMilliseconds: timeoutMilliseconds)
            links[connection.id] = Link(index: index, question: question)
            connections[connection.id] = connection
        }
        timer = reactor.schedule(after: timeoutMilliseconds) { [unowned self] in
            timer = nil
            closeAll()
            finish()
        }
    }

    /// Ends the round without an answer.
    public func cancel() {
        completion = nil
        if let timer { reactor.cancel(timer) }
        timer = nil
        closeAll()
    }

    public func opened(_ connection: Connection) {
        guard let link = links[connection.id] else { return connection.close(.local("no longer wanted")) }
        if let session = connection.tlsSession {
            answers[link.index].certificate = session.peerCertificate
            answers[link.index].fingerprint = session.peerFingerprint
        }
        let writer = ReplyWriter(connection.output)
        for command in link.question.commands {
            writer.array(command.count)
            for word in command { writer.bulk(word) }
        }
    }

    public func received(_ connection: Connection) {
        while connection.isOpen, var link = links[connection.id] {
            let status = link.parser.parse(connection.input)
            links[connection.id] = link
            switch status {
            case .incomplete: return
            case .failed(let error): return connection.close(.local("protocol error: \(error.text)"))
            case .value(let value, let length):
                connection.consumeInput(length)
                link.count += 1
                links[connection.id] = link
                if link.count > 1 || !link.question.isAuthenticated { answers[link.index].replies.append(value) }
                guard link.count == link.question.commands.count else { continue }
                answers[link.index].problem = nil
                connection.close(.local("answered"))
            }
        }
    }

    public func closed(_ connection: Connection, _ reason: CloseReason) {
        connections[connection.id] = nil
        guard let link = links.removeValue(forKey: connection.id) else { return }
        if answers[link.index].problem != nil { answers[link.index].problem = reason.text }
        if links.isEmpty { finish() }
    }

    private func closeAll() {
        let open = connections
        links = [:]
        connections = [:]
        for connection in open.values where connection.phase != .closed { connection.close(.local("given up")) }
    }

    private func finish() {
        guard let completion else { return }
        self.completion = nil
        if let timer { reactor.cancel(timer) }
        timer = nil
        completion(answers)
    }
}
