import RESPClient
import RoleDiscovery
import Testing

private let databases = [PeerAddress("db-0", 6379), PeerAddress("db-1", 6379), PeerAddress("db-2", 6379)]
private let empty = DatabaseAnswer(.undecided, hasData: false)
private let full = DatabaseAnswer(.undecided, hasData: true)

private func names(_ index: Int, _ epoch: UInt64 = 1) -> SentinelAnswer { .names(databases[index], configEpoch: epoch) }

private let forgetful = [SentinelAnswer](repeating: .namesNone, count: 3)

/// The situation of db `index`, whose own state stands at its place in `states`. All see the same, and vote accordingly.
private func situation(
    _ index: Int, _ states: [DatabaseAnswer?], _ sentinels: [SentinelAnswer] = forgetful, waited: Bool = false
) -> DatabaseSituation {
    func withoutVotes(_ index: Int) -> DatabaseSituation {
        DatabaseSituation(
            own: databases[index], ownState: states[index] ?? empty, sentinels: sentinels, databases: databases,
            answers: states, hasWaited: waited)
    }
    var result = withoutVotes(index)
    result.ownVote = result.choice
    for other in states.indices where other != index && states[other]?.role == .undecided {
        result.answers[other]?.vote = withoutVotes(other).choice
    }
    return result
}

private func became(_ decision: DatabaseSituation.Decision) -> String {
    switch decision {
    case .becomePrimary: "primary"
    case .follow(let address, _): "follows \(address.host)"
    case .wait: "waits"
    }
}

private func outcome(
    _ index: Int, _ states: [DatabaseAnswer?], _ sentinels: [SentinelAnswer] = forgetful, waited: Bool = false
) -> String { became(situation(index, states, sentinels, waited: waited).decide()) }

@Suite("The role of a db at start")
struct DatabaseSituationTests {
    @Test("A majority of the sentinels has to answer")
    func majority() {
        #expect(outcome(0, [empty, empty, empty], [.namesNone, .unreachable, .unreachable]) == "waits")
        #expect(outcome(0, [empty, empty, empty], [.namesNone, .namesNone, .unreachable]) == "primary")
        #expect(outcome(1, [full, full, full], [names(0), .unreachable, .unreachable], waited: true) == "waits")
        #expect(outcome(0, [empty, empty, empty], [], waited: true) == "waits")
    }

    @Test("The first db of a new cluster becomes the primary, the others wait for it")
    func newCluster() {
        #expect((0..<3).map { outcome($0, [empty, empty, empty]) } == ["primary", "waits", "waits"])
        #expect((1..<3).map { outcome($0, [nil, empty, empty], waited: true) } == ["waits", "waits"])
    }

    @Test("The others follow the first as soon as it is the primary, before any sentinel knows it")
    func claimed() {
        let primary = DatabaseAnswer(.primary, hasData: false)
        #expect(outcome(1, [primary, empty, nil]) == "follows db-0")
        #expect(outcome(2, [primary, DatabaseAnswer(.primary, hasData: true), empty]) == "waits")
    }

    @Test("Without sentinels that remember, all dbs must be known, or a majority after the wait")
    func missingDatabases() {
        #expect(outcome(0, [empty, empty, nil]) == "waits")
        #expect(outcome(0, [empty, empty, nil], waited: true) == "primary")
        #expect(outcome(0, [empty, nil, nil], waited: true) == "waits")
        #expect(outcome(0, [empty, empty, DatabaseAnswer(.loading, hasData: false)], waited: true) == "waits")
    }

    @Test("The primary that the sentinels name is followed, the newest configuration first")
    func named() {
        #expect(outcome(0, [full, full, full], [names(1), names(1), names(1)]) == "follows db-1")
        #expect(outcome(0, [full, nil, nil], [names(1, 3), names(2, 4), .unreachable]) == "follows db-2")
        #expect(outcome(0, [full, nil, nil], [.namesNone, names(2, 4), .namesNone]) == "follows db-2")
        #expect(outcome(0, [full, full, full], [names(1, 3), names(2, 3), .namesNone]) == "waits")
    }

    @Test("The db that the sentinels name becomes the primary again if it has its data, or if nobody has any")
    func namedItself() {
        let all = [names(0), names(0), names(0)]
        #expect(outcome(0, [full, nil, nil], all) == "primary")
        #expect(outcome(0, [empty, empty, empty], all) == "primary")
        #expect(outcome(0, [empty, empty, nil], all) == "waits")
        #expect(outcome(0, [empty, empty, nil], all, waited: true) == "primary")
    }

    @Test("A db that has lost its data never becomes the primary of dbs that have some")
    func lostData() {
        let all = [names(0), names(0), names(0)]
        let replica = DatabaseAnswer(.replica, hasData: true)
        for waited in [false, true] {
            #expect(outcome(0, [empty, full, full], all, waited: waited) == "waits")
            #expect(outcome(0, [empty, replica, nil], all, waited: waited) == "waits")
            #expect(outcome(0, [empty, full, empty], waited: waited) == "waits")
        }
    }

    @Test("A named db waits while another one takes itself for the primary")
    func rival() {
        let rival = DatabaseAnswer(.primary, hasData: true)
        #expect(outcome(0, [full, rival, full], [names(0), names(0), names(0)], waited: true) == "waits")
    }

    @Test("Of the dbs' own memories the latest primary counts, then the farthest replica")
    func memories() {
        func had(_ record: RoleRecord, _ hasData: Bool = true) -> DatabaseAnswer {
            DatabaseAnswer(.undecided, hasData: hasData, record: record)
        }
        let states = [had(.primary(since: 100)), had(.primary(since: 200)), had(.replica(offset: 999))]
        #expect((0..<3).map { outcome($0, states) } == ["waits", "primary", "waits"])
        let replicas = [empty, had(.replica(offset: 50)), had(.replica(offset: 60))]
        #expect((0..<3).map { outcome($0, replicas) } == ["waits", "waits", "primary"])
        let even = [empty, had(.replica(offset: 60)), had(.replica(offset: 60))]
        #expect((0..<3).map { outcome($0, even) } == ["waits", "primary", "waits"])
        // A former primary whose data is gone is none.
        let emptied = [had(.primary(since: 300), false), had(.replica(offset: 5)), empty]
        #expect((0..<3).map { outcome($0, emptied) } == ["waits", "primary", "waits"])
    }

    @Test("Data without records: the only one that has some, else a person has to say")
    func foreignVolumes() {
        #expect((0..<3).map { outcome($0, [empty, empty, full]) } == ["waits", "waits", "primary"])
        #expect((0..<3).map { outcome($0, [full, empty, full], waited: true) } == ["waits", "waits", "waits"])
        guard case .wait(let reason) = situation(0, [full, empty, full]).decide() else { return }
        #expect(reason.contains("REPLICAOF NO ONE") && reason.contains("db-0:6379, db-2:6379"))
    }

    @Test("By memory nobody becomes the primary without the votes of a majority, and the reason says who supports whom")
    func votes() {
        func decide(_ own: PeerAddress?, _ second: DatabaseAnswer?, _ third: DatabaseAnswer?) -> String {
            let situation = DatabaseSituation(
                own: databases[0], ownState: empty, sentinels: forgetful, databases: databases,
                answers: [nil, second, third], hasWaited: true, ownVote: own)
            if case .wait(let reason) = situation.decide() { return reason }
            return became(situation.decide())
        }
        func voting(_ index: Int?, _ role: DatabaseAnswer.Role = .undecided) -> DatabaseAnswer {
            DatabaseAnswer(role, hasData: false, vote: index.map { databases[$0] })
        }
        #expect(decide(databases[0], voting(0), nil) == "primary")
        #expect(decide(databases[0], voting(0, .replica), nil) == "primary", "it follows this one")
        #expect(decide(nil, voting(0), voting(0)) == "primary")
        #expect(decide(databases[0], voting(nil), voting(nil)).contains("1 of 3 dbs support it, a majority is needed"))
        #expect(decide(databases[0], voting(1), nil).contains("db-1:6379 supports db-1:6379"))
        #expect(decide(databases[0], nil, voting(1, .replica)).contains("db-2:6379 follows db-1:6379"))
    }

    @Test("Whatever is known, two dbs that see the same never both become the primary")
    func atMostOne() {
        let states: [DatabaseAnswer?] = [
            nil, empty, full, DatabaseAnswer(.loading, hasData: false), DatabaseAnswer(.primary, hasData: true),
            DatabaseAnswer(.replica, hasData: true),
            DatabaseAnswer(.undecided, hasData: true, record: .primary(since: 7)),
            DatabaseAnswer(.undecided, hasData: true, record: .replica(offset: 7)),
            DatabaseAnswer(.undecided, hasData: false, record: .primary(since: 9)),
        ]
        let sentinels = [forgetful, [names(0), names(0), .unreachable], [names(1, 2), names(0, 1), .namesNone]]
        for first in states {
            for second in states {
                for third in states {
                    for answers in sentinels {
                        for waited in [false, true] {
                            let all = [first, second, third]
                            let asking = all.indices.filter { all[$0]?.role == .undecided }
                            let primaries = asking.filter { outcome($0, all, answers, waited: waited) == "primary" }
                            let claims = all.count { $0?.role == .primary }
                            #expect(primaries.count + min(claims, 1) <= 1, "\(all) \(answers)")
                        }
                    }
                }
            }
        }
    }
}
