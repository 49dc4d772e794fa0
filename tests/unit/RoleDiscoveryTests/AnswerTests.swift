import RESP
import RESPClient
import RoleDiscovery
import Testing

private func bulk(_ text: String) -> ReplyValue { .bulk(Array(text.utf8)) }

@Suite("Answers of sentinels and dbs")
struct AnswerTests {
    @Test("SENTINEL MASTER names address and epoch, in RESP2 and RESP3")
    func sentinel() {
        let words = ["name", "dssm", "ip", "db-1", "port", "6379", "config-epoch", "12"]
        let expected = SentinelAnswer.names(PeerAddress("db-1", 6379), configEpoch: 12)
        #expect(SentinelAnswer(.array(words.map(bulk))) == expected)
        let pairs = stride(from: 0, to: words.count, by: 2).map {
            ReplyValue.Pair(bulk(words[$0]), bulk(words[$0 + 1]))
        }
        #expect(SentinelAnswer(.map(pairs)) == expected)
    }

    @Test("No such master is knowledge; every other error, nonsense and silence are not")
    func otherAnswers() {
        #expect(SentinelAnswer(.error("ERR No such master with that name")) == .namesNone)
        for reply in [.error("NOAUTH"), .simple("OK"), .array([bulk("ip")]), .array([bulk("ip"), bulk("a")]), nil]
            as [ReplyValue?]
        {
            #expect(SentinelAnswer(reply) == .unreachable)
        }
        #expect(SentinelAnswer(.array(["ip", "a", "port", "0"].map(bulk))) == .unreachable)
    }

    @Test("INFO of ours tells role, data and record")
    func ours() {
        let text =
            "# Replication\r\nrole:slave\r\ndssm_role:undecided\r\ndssm_role_record:primary,42\r\n# Keyspace\r\ndb3:keys=2,expires=0\r\n"
        #expect(DatabaseAnswer(bulk(text)) == DatabaseAnswer(.undecided, hasData: true, record: .primary(since: 42)))
        #expect(DatabaseAnswer(bulk("role:slave\r\ndssm_role:loading\r\n"))?.role == .loading)
        #expect(
            DatabaseAnswer(bulk("role:master\r\ndssm_role:primary\r\n")) == DatabaseAnswer(.primary, hasData: false))
    }

    @Test("INFO tells whom an undecided db supports, and whom a replica follows")
    func votes() {
        let undecided = "role:slave\r\nmaster_host:undecided\r\nmaster_port:0\r\ndssm_role:undecided\r\n"
        #expect(DatabaseAnswer(bulk(undecided))?.vote == nil)
        #expect(
            DatabaseAnswer(bulk(undecided + "dssm_role_vote:db-1.svc:6379\r\n"))?.vote == PeerAddress("db-1.svc", 6379))
        #expect(DatabaseAnswer(bulk(undecided + "dssm_role_vote:6379\r\n"))?.vote == nil)
        let replica = "role:slave\r\nmaster_host:fd00::1\r\nmaster_port:6379\r\ndssm_role:replica\r\n"
        #expect(DatabaseAnswer(bulk(replica))?.vote == PeerAddress("fd00::1", 6379))
        #expect(DatabaseAnswer(bulk("role:master\r\ndssm_role:primary\r\n"))?.vote == nil)
    }

    @Test("INFO of stock Redis tells its role and whether it loads")
    func stock() {
        #expect(DatabaseAnswer(bulk("role:master\r\nloading:0\r\n"))?.role == .primary)
        #expect(DatabaseAnswer(bulk("role:slave\r\nloading:0\r\n"))?.role == .replica)
        #expect(DatabaseAnswer(bulk("role:master\r\nloading:1\r\n"))?.role == .loading)
        #expect(DatabaseAnswer(.error("NOAUTH")) == nil)
        #expect(DatabaseAnswer(bulk("hello")) == nil)
    }

    @Test("A record survives being written and read; anything else is none")
    func records() {
        for record in [RoleRecord.primary(since: 1_700_000_000_000), .replica(offset: 0)] {
            #expect(RoleRecord(record.text) == record)
        }
        for text in [
            "", "primary", "primary,", "primary,-1", "primary,1,2", "leader,1", "replica,99999999999999999999",
        ] {
            #expect(RoleRecord(text) == nil)
        }
    }

    @Test("Names are the same in any case and with a final dot")
    func addresses() {
        #expect(PeerAddress("DB-0.svc.", 1) == PeerAddress("db-0.svc", 1))
        #expect(PeerAddress("db-0", 1) != PeerAddress("db-0", 2))
        for address in [PeerAddress("db-0.svc", 1), PeerAddress("fd00::1", 65535)] {
            #expect(PeerAddress(address.description) == address)
        }
        for text in ["", ":1", "db-0", "db-0:", "db-0:0", "db-0:65536", "db-0:x"] { #expect(PeerAddress(text) == nil) }
    }
}

@Suite("Whom a sentinel without memory monitors")
struct SentinelSituationTests {
    private static let databases = [PeerAddress("db-0", 6379), PeerAddress("db-1", 6379)]

    private func decide(
        _ peers: [SentinelAnswer], _ roles: [DatabaseAnswer.Role?], waited: Bool = false
    ) -> SentinelSituation.Decision {
        SentinelSituation(
            peers: peers, databases: Self.databases,
            answers: roles.map { $0.map { DatabaseAnswer($0, hasData: true) } },
            hasWaited: waited
        ).decide()
    }

    private func monitors(_ decision: SentinelSituation.Decision, _ index: Int, _ epoch: UInt64) -> Bool {
        guard case .monitor(let address, let found, _) = decision else { return false }
        return address == Self.databases[index] && found == epoch
    }

    @Test("What another sentinel names, the newest configuration first, whatever the dbs say")
    func peers() {
        #expect(monitors(decide([.names(Self.databases[1], configEpoch: 4), .unreachable], [.primary, nil]), 1, 4))
        let differing = [
            SentinelAnswer.names(Self.databases[1], configEpoch: 4), .names(Self.databases[0], configEpoch: 5),
        ]
        #expect(monitors(decide(differing, [nil, nil]), 0, 5))
    }

    @Test("Else the db that takes itself for the primary, if a majority of the sentinels knows no better")
    func claims() {
        #expect(monitors(decide([.namesNone, .unreachable], [.replica, .primary]), 1, 0))
        guard case .wait = decide([.unreachable, .unreachable], [.replica, .primary]) else {
            Issue.record("it must wait for its peers")
            return
        }
        #expect(monitors(decide([.unreachable, .unreachable], [.replica, .primary], waited: true), 1, 0))
    }

    @Test("It waits while no db is the primary, and while two are")
    func waits() {
        for roles in [[.undecided, .undecided], [nil, .loading], [.primary, .primary]] as [[DatabaseAnswer.Role?]] {
            guard case .wait = decide([.namesNone, .namesNone], roles, waited: true) else {
                Issue.record("\(roles)")
                return
            }
        }
    }
}
