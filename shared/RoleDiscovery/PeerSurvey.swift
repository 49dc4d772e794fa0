// Asks several peers at once over the owner's reactor, each with its own connection and one deadline for all.
import ByteStorage
import RESP
import Reactor
import TLS

/// A round of questions. The owner passes on the events of connections with `tag`.
public final class PeerSurvey {
    public struct Question {
        let address: PeerAddress
        let commands: [[String]]

        /// - Parameter password: sent first if it is not empty.
        public init(_ address: PeerAddress, _ command: [String], user: String = "", password: String = "") {
            self.address = address
            let auth = user.isEmpty ? ["AUTH", password] : ["AUTH", user, password]
            commands = (password.isEmpty ? [] : [auth]) + [command]
        }
    }

    private struct Link {
        let index: Int
        let commands: [[String]]
        var parser = ReplyParser(maximumBytes: 1 << 20)
        var count = 0
    }

    private let reactor: Reactor
    private let tag: Int
    private var links: [UInt64: Link] = [:]
    private var connections: [UInt64: Connection] = [:]
    private var answers: [ReplyValue?] = []
    private var completion: (([ReplyValue?]) -> Void)?
    private var timer: TimerID?

    public init(reactor: Reactor, tag: Int) {
        self.reactor = reactor
        self.tag = tag
    }

    /// Calls `completion` once, with the answer to each question's command, nil for those that did not come in time.
    public func ask(
        _ questions: [Question], tls: TLSContext?, timeoutMilliseconds: Int64,
        _ completion: @escaping ([ReplyValue?]) -> Void
    ) {
        cancel()
        answers = Array(repeating: nil, count: questions.count)
        self.completion = completion
        for (index, question) in questions.enumerated() {
            let connection = reactor.connect(
                host: question.address.host, port: UInt16(clamping: question.address.port), tag: tag, tls: tls,
                timeoutMilliseconds: timeoutMilliseconds)
            links[connection.id] = Link(index: index, commands: question.commands)
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
        let writer = ReplyWriter(connection.output)
        for command in link.commands {
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
                guard link.count == link.commands.count else { continue }
                answers[link.index] = value
                connection.close(.local("answered"))
            }
        }
    }

    public func closed(_ connection: Connection) {
        connections[connection.id] = nil
        guard links.removeValue(forKey: connection.id) != nil else { return }
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
