// Tries a release as a client sees it: is there a quorum, does a write through the sentinels' address arrive, do all dbs get it.
//
// It is what the chart's test pod runs, in an image that has no shell and no redis-cli. The sentinel's own settings file says
// all that is needed: certificates, name of the primary, passwords, dbs. Each question has a connection of its own, so that
// behind a Service different sentinels answer. While something is wrong it is all tried again until the time is over: a
// release that has just been installed is still starting.
import Glibc
import RESP
import RESPClient
import Reactor
import RoleDiscovery
import SentinelCore
import TLS

public final class ReleaseCheck {
    /// Milliseconds until a release has to be well.
    public static let defaultTimeoutMilliseconds: Int64 = 60_000
    private static let questionMilliseconds: Int64 = 5_000
    private static let pauseMilliseconds: Int64 = 500
    /// Seconds after which the key goes, when the check cannot delete it.
    private static let keySeconds = "60"

    private let settings: SentinelSettings
    private let primary: SentinelConfiguration.Primary
    private let entrance: PeerAddress
    private let tls: TLSContext?
    private let reactor = Reactor()
    private let survey: PeerSurvey
    private let deadline: Int64
    private let key = "dssm-check:\(UInt64.random(in: .min ... .max))"
    private let value = "\(UInt64.random(in: .min ... .max))"
    /// Why connections of the present question ended, by host.
    private var endings: [String] = []
    private var findings: [String] = []
    private var outcome: Result<[String], StartError>?

    /// - Parameter entrance: the address that clients use: a sentinel's, or that of the Service before them.
    /// - Throws: when the settings monitor nothing or the certificates cannot be used.
    public init(
        settings: SentinelSettings, entrance: PeerAddress,
        timeoutMilliseconds: Int64 = ReleaseCheck.defaultTimeoutMilliseconds
    ) throws(StartError) {
        guard let primary = settings.sentinel.primaries.first else { throw StartError("the settings monitor nothing") }
        self.settings = settings
        self.primary = primary
        self.entrance = entrance
        do throws(TLSError) {
            tls = settings.tlsReplication ? try TLSContext(settings: settings.tls, role: .client) : nil
        } catch {
            throw StartError("TLS cannot be set up: \(error)")
        }
        survey = PeerSurvey(reactor: reactor, tag: ConnectionTag.survey)
        deadline = Reactor.monotonicMilliseconds() + timeoutMilliseconds
        reactor.handler = self
    }

    /// What was found, one line each.
    ///
    /// - Throws: the first thing that is wrong, when it still is after the timeout.
    public func run() throws(StartError) -> [String] {
        // A container's first process gets no signal that it does not ask for.
        reactor.catchSignals([SIGTERM, SIGINT])
        reactor.schedule(after: 0) { [unowned self] in begin() }
        reactor.run()
        return try (outcome ?? .failure(StartError("it was interrupted"))).get()
    }

    // MARK: Steps

    private func begin() {
        findings = []
        ask(["SENTINEL", "CKQUORUM", primary.name]) { [unowned self] reply in
            guard let text = reply.text else { return fail("SENTINEL CKQUORUM of \(entrance)", reply) }
            findings.append("\(entrance): \(text)")
            findPrimary()
        }
    }

    private func findPrimary() {
        ask(SentinelAnswer.question(primary.name)) { [unowned self] reply in
            guard case .names(let address, _) = SentinelAnswer(reply) else {
                return fail("the primary's address of \(entrance)", reply)
            }
            findings.append("the primary is \(address)")
            write(settings.forwardsCommands ? entrance : address)
        }
    }

    private func write(_ address: PeerAddress) {
        ask(at: address, ["SET", key, value, "EX", Self.keySeconds]) { [unowned self] reply in
            guard reply == .simple("OK") else { return fail("a write at \(address)", reply) }
            ask(at: address, ["GET", key]) { [unowned self] reply in
                guard reply.text == value else { return fail("what was written, read at \(address)", reply) }
                findings.append("a write and a read at \(address) work")
                readEverywhere(address)
            }
        }
    }

    private func readEverywhere(_ address: PeerAddress) {
        let databases = settings.discoveryDatabases
        guard !databases.isEmpty else { return remove(address) }
        send(databases.map { ($0, ["GET", key]) }) { [unowned self] replies in
            for (database, reply) in zip(databases, replies) where reply?.text != value {
                return fail("the same at \(database)", reply ?? .null, isUnanswered: reply == nil)
            }
            findings.append("all \(databases.count) dbs have it")
            remove(address)
        }
    }

    private func remove(_ address: PeerAddress) {
        ask(at: address, ["DEL", key]) { [unowned self] reply in
            guard reply == .integer(1) else { return fail("a DEL at \(address)", reply) }
            end(.success(findings))
        }
    }

    // MARK: Questions

    private func ask(
        at address: PeerAddress? = nil, _ command: [String], _ then: @escaping (ReplyValue) -> Void
    ) {
        let address = address ?? entrance
        send([(address, command)]) { [unowned self] replies in
            guard let reply = replies.first ?? nil else {
                return fail("\(command[0]) at \(address)", .null, isUnanswered: true)
            }
            then(reply)
        }
    }

    private func send(_ questions: [(PeerAddress, [String])], _ then: @escaping ([ReplyValue?]) -> Void) {
        endings = []
        let questions = questions.map { address, command in
            // A sentinel's own password if it has one; else it wants the primary's before it passes commands on.
            if address == entrance, !settings.password.isEmpty {
                return PeerSurvey.Question(address, command, password: settings.password)
            }
            return PeerSurvey.Question(
                address, command, user: primary.authUser ?? "", password: primary.authPassword ?? "")
        }
        survey.ask(questions, tls: tls, timeoutMilliseconds: Self.questionMilliseconds) { then($0.map(\.last)) }
    }

    /// Tries again, or gives up when the time is over.
    private func fail(_ what: String, _ reply: ReplyValue, isUnanswered: Bool = false) {
        var text = "\(what): "
        if isUnanswered {
            text += "no answer" + (endings.first.map { " (\($0))" } ?? " in \(Self.questionMilliseconds) ms")
        } else if case .error(let error) = reply {
            text += error
        } else {
            text += reply == .null ? "nothing there" : "unexpected reply \(reply.text ?? "\(reply)")"
        }
        guard Reactor.monotonicMilliseconds() + Self.pauseMilliseconds < deadline else {
            return end(.failure(StartError(text)))
        }
        reactor.schedule(after: Self.pauseMilliseconds) { [unowned self] in begin() }
    }

    private func end(_ outcome: Result<[String], StartError>) {
        self.outcome = outcome
        reactor.stop()
    }
}

extension ReleaseCheck: ReactorHandler {
    public func accepted(_ connection: Connection) {}

    public func opened(_ connection: Connection) { survey.opened(connection) }

    public func process(_ ready: UnsafeBufferPointer<Connection>) {
        for connection in ready where connection.isOpen { survey.received(connection) }
    }

    public func closed(_ connection: Connection, _ reason: CloseReason) {
        if case .local = reason {} else { endings.append(reason.text) }
        survey.closed(connection, reason)
    }

    public func outputPending(_ connection: Connection) {}

    public func endTurn() {}

    public func idleMilliseconds() -> Int64? { nil }

    public func signalled(_ number: Int32) { reactor.stop() }
}
