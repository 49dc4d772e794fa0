// The role at start, where `sentinel-discovery` and `discovery-db` are set: asked for, never assumed.
//
// From the start until the decision this server is a replica of nobody: it refuses writes and full syncs, and is not ready. The
// questions go out again and again; an order of a sentinel (REPLICAOF) ends it too. `DatabaseSituation` decides; here are only
// the questions and what follows from the answer. What the decision needs of earlier lives lies in `.dssm-role` and `.dssm-vote`.
import DatabaseEngine
import DatabaseReplication
import RESP
import RESPClient
import Reactor
import RoleDiscovery
import Telemetry

/// The search for a role.
final class RoleSearch {
    let survey: PeerSurvey
    let own: PeerAddress
    /// Monotonic milliseconds of the first question.
    var startedAt: Int64?
    var reason = "the data is loaded first"
    /// This server is empty and this other one is not, as far as is known.
    var holder: PeerAddress?
    var loggedAt: Int64 = .min / 2
    var timer: TimerID?
    /// Nil until the first question.
    var election: RoleElection?
    /// Rounds in succession in which only the others' votes were missing.
    var roundsShortOfVotes = 0

    init(survey: PeerSurvey, own: PeerAddress) {
        self.survey = survey
        self.own = own
    }
}

extension Server {
    private static let discoveryPauseMilliseconds: Int64 = 200
    /// Between the first rounds in which only votes are missing: they come as soon as the others have asked too.
    private static let discoveryVotePauseMilliseconds: Int64 = 50
    private static let discoveryQuickRounds = 20
    private static let discoveryTimeoutMilliseconds: Int64 = 1000
    private static let discoveryLogMilliseconds: Int64 = 10_000

    var discoversRole: Bool { !settings.discoverySentinels.isEmpty || !settings.discoveryDatabases.isEmpty }

    private var ownAddress: PeerAddress {
        let port =
            settings.replicaAnnouncePort > 0
            ? settings.replicaAnnouncePort
            : settings.tlsReplication && settings.tlsPort > 0 ? settings.tlsPort : settings.port
        return PeerAddress(settings.replicaAnnounceHost, port)
    }

    /// Before the first connection is accepted: whoever asks must not take this server for a primary.
    func prepareRoleDiscovery() throws(StartError) {
        guard discoversRole else { return }
        guard !settings.discoverySentinels.isEmpty, !settings.discoveryDatabases.isEmpty else {
            throw StartError("sentinel-discovery and discovery-db go together: whom to ask, and who may be primary")
        }
        let own = ownAddress
        guard settings.discoveryDatabases.contains(own) else {
            throw StartError(
                "discovery-db lists no \(own): this server's own address, from replica-announce-ip and -port, must be there"
            )
        }
        settings.replicaOf = nil
        let placeholder = PrimaryLink(host: "undecided", port: 0, now: reactor.monotonicNow)
        placeholder.isFenced = true
        primary = placeholder
        roleDiscovery = RoleSearch(survey: PeerSurvey(reactor: reactor, tag: ConnectionTag.survey), own: own)
        updateEngineRole()
        updateLongWay()
        log.sink.role = .replica
    }

    func beginRoleDiscovery() {
        guard let discovery = roleDiscovery else { return }
        restartQuorum()
        roleRecord.load(settings.directory)
        let now = Reactor.monotonicMilliseconds()
        discovery.startedAt = reactor.monotonicNow
        discovery.election = RoleElection(
            recent: roleRecord.loadVote(settings.directory),
            waitMilliseconds: Int64(settings.discoveryWaitSeconds) * 1000, now: now)
        discovery.reason = "the sentinels are being asked"
        log.notice(
            "role-discovery",
            "Asking \(settings.discoverySentinels.count) sentinels for the primary of '\(settings.discoveryPrimaryName)'"
        )
        askForRole(discovery)
    }

    func surveyOpened(_ connection: Connection) {
        guard let discovery = roleDiscovery else { return connection.close(.local("no longer wanted")) }
        discovery.survey.opened(connection)
    }

    func endRoleDiscovery() {
        guard let discovery = roleDiscovery else { return }
        roleDiscovery = nil
        if let timer = discovery.timer { reactor.cancel(timer) }
        discovery.survey.cancel()
    }

    /// Why an order to be a primary cannot be obeyed: its replicas would throw their data away for nothing. Sentinels order it of
    /// a primary that has come back as a replica, until they have seen that it is down for its role.
    func promotionRefusal() -> String? {
        guard let holder = roleDiscovery?.holder else { return nil }
        return "ERR this server has lost its data and \(holder) has some: it does not become a primary"
    }

    private func askForRole(_ discovery: RoleSearch) {
        let sentinels = settings.discoverySentinels
        let databases = settings.discoveryDatabases
        let others = databases.indices.filter { databases[$0] != discovery.own }
        let questions =
            sentinels.map {
                PeerSurvey.Question(
                    $0, SentinelAnswer.question(settings.discoveryPrimaryName),
                    password: settings.discoverySentinelPassword)
            }
            + others.map {
                PeerSurvey.Question(
                    databases[$0], DatabaseAnswer.question, user: settings.primaryUser,
                    password: settings.primaryPassword)
            }
        let begunAt = Reactor.monotonicMilliseconds()
        discovery.survey.ask(
            questions, tls: settings.tlsReplication ? tlsClientContext : nil,
            timeoutMilliseconds: Server.discoveryTimeoutMilliseconds
        ) { [unowned self, unowned discovery] replies in
            guard roleDiscovery === discovery, !isShuttingDown else { return }
            var answers = [DatabaseAnswer?](repeating: nil, count: databases.count)
            for (offset, index) in others.enumerated() {
                answers[index] = DatabaseAnswer(replies[sentinels.count + offset].last)
            }
            let waited = reactor.monotonicNow - (discovery.startedAt ?? reactor.monotonicNow)
            let situation = DatabaseSituation(
                own: discovery.own, ownState: ownAnswer,
                sentinels: replies.prefix(sentinels.count).map { SentinelAnswer($0.last) },
                databases: databases, answers: answers, hasWaited: waited >= Int64(settings.discoveryWaitSeconds) * 1000
            )
            discovery.holder =
                hasData ? nil : zip(databases, answers).first { $1?.hasData == true && $0 != discovery.own }?.0
            obey(conclude(situation, begunAt, discovery), discovery)
        }
    }

    /// A vote is on disk before anybody is told of it.
    private func conclude(
        _ situation: DatabaseSituation, _ begunAt: Int64, _ discovery: RoleSearch
    ) -> DatabaseSituation.Decision {
        guard var election = discovery.election else { return .wait("the data is loaded first") }
        let before = election.vote
        var decision = election.conclude(situation, begunAt: begunAt, now: Reactor.monotonicMilliseconds())
        if let vote = election.vote, vote != before, let problem = roleRecord.writeVote(vote, settings.directory) {
            election.withdraw(now: Reactor.monotonicMilliseconds())
            decision = .wait("this server cannot write down whom it supports: \(problem)")
        }
        discovery.election = election
        discovery.roundsShortOfVotes = election.isShortOfVotes ? discovery.roundsShortOfVotes + 1 : 0
        return decision
    }

    private func obey(_ decision: DatabaseSituation.Decision, _ discovery: RoleSearch) {
        switch decision {
        case .becomePrimary(let reason):
            log.notice("role-decided", "This server is the primary: \(reason)")
            follow(nil)
        case .follow(let address, let reason):
            log.notice("role-decided", "This server follows \(address): \(reason)")
            follow((address.host, address.port))
        case .wait(let reason):
            let now = reactor.monotonicNow
            if reason != discovery.reason || now - discovery.loggedAt >= Server.discoveryLogMilliseconds {
                discovery.loggedAt = now
                log.notice("role-undecided", "The role is not decided: \(reason)")
            }
            discovery.reason = reason
            let isQuick = (1...Server.discoveryQuickRounds).contains(discovery.roundsShortOfVotes)
            let pause = isQuick ? Server.discoveryVotePauseMilliseconds : Server.discoveryPauseMilliseconds
            discovery.timer = reactor.schedule(after: pause) {
                [unowned self, unowned discovery] in
                discovery.timer = nil
                askForRole(discovery)
            }
        }
    }

    // MARK: What others are told

    private var hasData: Bool { (0..<settings.databases).contains { engine.keyCount($0) > 0 } }

    private var ownAnswer: DatabaseAnswer {
        let role: DatabaseAnswer.Role =
            isLoading ? .loading : roleDiscovery != nil ? .undecided : isReplicaRole ? .replica : .primary
        return DatabaseAnswer(role, hasData: hasData, record: roleRecord.record)
    }

    func roleDiscoveryInformation() -> [(String, String)] {
        guard discoversRole else { return [] }
        let answer = ownAnswer
        var fields = [("dssm_role", "\(answer.role)")]
        if let record = answer.record { fields.append(("dssm_role_record", record.text)) }
        if let vote = roleDiscovery?.election?.vote { fields.append(("dssm_role_vote", vote.description)) }
        return fields
    }

    // MARK: What is remembered

    func recordRole() {
        // A server that has not found its role keeps what it was before.
        guard discoversRole, roleDiscovery == nil, primary?.port != 0 else { return }
        let record: RoleRecord
        if isReplicaRole {
            record = .replica(offset: max(0, history.offset))
        } else if case .primary(let since) = roleRecord.record, roleRecord.isConfirmed {
            record = .primary(since: since)
        } else {
            record = .primary(since: reactor.now)
        }
        keep(record)
        // The next life must not support another one while this one's answers are still on their way.
        let supported = primary.map { PeerAddress($0.host, $0.port) } ?? ownAddress
        if supported != roleRecord.vote, let problem = roleRecord.writeVote(supported, settings.directory) {
            log.warning("role-record", "Whom this server follows cannot be remembered: \(problem)")
        }
    }

    /// Once a second: how far a replica has followed, should it have to be chosen without sentinels.
    func refreshRoleRecord() {
        guard discoversRole, roleDiscovery == nil, isReplicaRole, primary?.isConnected == true,
            reactor.monotonicNow - roleRecord.writtenAt >= Server.discoveryLogMilliseconds,
            roleRecord.record != .replica(offset: max(0, history.offset))
        else { return }
        recordRole()
    }

    private func keep(_ record: RoleRecord) {
        roleRecord.isConfirmed = true
        guard record != roleRecord.record else { return }
        roleRecord.writtenAt = reactor.monotonicNow
        if let problem = roleRecord.write(record, settings.directory) {
            log.warning("role-record", "The role cannot be remembered: \(problem)")
        }
    }
}
