import RESPClient
// A sentinel without memory: who is primary is asked of the other sentinels and of the dbs before anything is monitored.
//
// Monitoring what the settings name would be a guess. The guess may be an old primary that has lost its data or is a replica by
// now, and clients would be sent there. Until the answer is known this sentinel says that it knows no such master.
import Reactor
import RoleDiscovery
import SentinelCore
import Telemetry

/// The search for the primary.
final class PrimarySearch {
    let survey: PeerSurvey
    let primary: SentinelConfiguration.Primary
    let startedAt: Int64
    var reason = "the others are being asked"
    var loggedAt: Int64 = .min / 2

    init(survey: PeerSurvey, primary: SentinelConfiguration.Primary, startedAt: Int64) {
        self.survey = survey
        self.primary = primary
        self.startedAt = startedAt
    }
}

extension SentinelServer {
    private static let searchPauseMilliseconds: Int64 = 200
    private static let searchTimeoutMilliseconds: Int64 = 1000
    private static let searchLogMilliseconds: Int64 = 10_000

    func searchPrimary(_ primary: SentinelConfiguration.Primary) {
        let search = PrimarySearch(
            survey: PeerSurvey(reactor: reactor, tag: ConnectionTag.survey), primary: primary,
            startedAt: reactor.monotonicNow)
        primarySearch = search
        log.event(.notice, "primary-search", "No memory of '\(primary.name)': asking the other sentinels and the dbs")
        ask(search)
    }

    func surveyOpened(_ connection: Connection) {
        guard let primarySearch else { return connection.close(.local("no longer wanted")) }
        primarySearch.survey.opened(connection)
    }

    private func ask(_ search: PrimarySearch) {
        let own = PeerAddress(settings.sentinel.announceHost, ownPort)
        let peers = settings.discoverySentinels.filter { $0 != own }
        let databases = settings.discoveryDatabases
        let password = settings.sentinel.sentinelPassword ?? settings.password
        let user = settings.sentinel.sentinelPassword == nil ? "" : settings.sentinel.sentinelUser ?? ""
        let questions =
            peers.map {
                PeerSurvey.Question($0, SentinelAnswer.question(search.primary.name), user: user, password: password)
            }
            + databases.map {
                PeerSurvey.Question(
                    $0, DatabaseAnswer.question, user: search.primary.authUser ?? "",
                    password: search.primary.authPassword ?? "")
            }
        search.survey.ask(
            questions, tls: settings.tlsReplication ? tlsClientContext : nil,
            timeoutMilliseconds: Self.searchTimeoutMilliseconds
        ) { [unowned self, unowned search] replies in
            guard primarySearch === search, !isShuttingDown else { return }
            let situation = SentinelSituation(
                peers: replies.prefix(peers.count).map { SentinelAnswer($0.last) }, databases: databases,
                answers: replies.dropFirst(peers.count).map { DatabaseAnswer($0.last) },
                hasWaited: reactor.monotonicNow - search.startedAt >= Int64(settings.discoveryWaitSeconds) * 1000)
            obey(situation.decide(), search)
        }
    }

    private var ownPort: Int {
        settings.sentinel.announcePort > 0 ? settings.sentinel.announcePort : settings.announcedPort
    }

    private func obey(_ decision: SentinelSituation.Decision, _ search: PrimarySearch) {
        switch decision {
        case .monitor(let address, let epoch, let reason):
            primarySearch = nil
            log.event(.notice, "primary-found", "The primary of '\(search.primary.name)' is \(address): \(reason)")
            var primary = search.primary
            primary.endpoint = Endpoint(address.host, address.port)
            primary.configEpoch = epoch
            perform(machine.beginMonitoring(primary, now: Reactor.monotonicMilliseconds()))
        case .wait(let reason):
            let now = reactor.monotonicNow
            if reason != search.reason || now - search.loggedAt >= Self.searchLogMilliseconds {
                search.loggedAt = now
                log.event(.notice, "primary-unknown", "Whom to monitor is not known: \(reason)")
            }
            search.reason = reason
            reactor.schedule(after: Self.searchPauseMilliseconds) { [unowned self, weak search] in
                if let search, primarySearch === search { ask(search) }
            }
        }
    }
}
