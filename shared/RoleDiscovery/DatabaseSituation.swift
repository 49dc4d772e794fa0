// What a db that has just started makes of the answers: be the primary, follow one, or wait.
//
// Problem: pods start in any order, all at once, with or without their volume. Two that take themselves for the primary lose
// writes; an empty one that becomes the primary makes its replicas throw their data away.
//
// Approach: a decision needs a majority of the sentinels. What they remember decides, the newest configuration first, with one
// exception: a db without data does not become the primary of others that have some. Sentinels without memory (a first start, or
// all of them deleted) leave it to what the dbs remember: the one that became the primary last; else the replica that had followed
// farthest; else the only one with data; and if nobody has any, the first of the list. Only where that is known of all dbs, or of
// a majority after `discovery-wait`, because the missing one may be the best. Where nothing decides, the db waits and says why.
//
// Dbs that see different others come to different choices. So a choice is only a vote, and a db becomes the primary by memory only
// with the votes of a majority of all dbs, its own among them; each db has one vote (`RoleElection`). What the sentinels remember needs
// no votes: theirs were cast when they chose.
// Rejected: a lock at the Kubernetes API (a second authority besides the sentinels, and rights for every pod); a fixed first
// pod (overwrites the data of the others once its volume is lost).
import RESPClient

/// All that a db knows when it decides.
public struct DatabaseSituation: Equatable, Sendable {
    public var own: PeerAddress
    public var ownState: DatabaseAnswer
    public var sentinels: [SentinelAnswer]
    /// All dbs of the release, the own one included; the first is the one that may be the first primary.
    public var databases: [PeerAddress]
    /// What they answered, in the same order; the own place is not looked at.
    public var answers: [DatabaseAnswer?]
    /// `discovery-wait` has passed since the first question.
    public var hasWaited: Bool
    /// Whom this db supports, as it tells the others.
    public var ownVote: PeerAddress?

    public init(
        own: PeerAddress, ownState: DatabaseAnswer, sentinels: [SentinelAnswer], databases: [PeerAddress],
        answers: [DatabaseAnswer?], hasWaited: Bool, ownVote: PeerAddress? = nil
    ) {
        self.own = own
        self.ownState = ownState
        self.sentinels = sentinels
        self.databases = databases
        self.answers = answers
        self.hasWaited = hasWaited
        self.ownVote = ownVote
    }

    public enum Decision: Equatable, Sendable {
        case becomePrimary(String)
        case follow(PeerAddress, String)
        case wait(String)
    }

    private typealias Known = (index: Int, address: PeerAddress, answer: DatabaseAnswer)
    private typealias Choice = (index: Int, address: PeerAddress, reason: String)

    /// What the answers say: it is decided, or a majority of the dbs has to agree to a choice.
    private enum Outcome {
        case decided(Decision)
        case choice(Choice)
    }

    public func decide() -> Decision {
        switch outcome() {
        case .decided(let decision): return decision
        case .choice(let choice):
            guard choice.index == ownIndex else {
                return .wait("no sentinel knows a primary; \(choice.address) has to become it (\(choice.reason))")
            }
            guard let lack = missingSupport() else { return .becomePrimary(choice.reason) }
            return .wait("no sentinel knows a primary; this db should become it (\(choice.reason)), but \(lack)")
        }
    }

    /// The db that should become the primary as far as this one sees; nil: that is decided by others, or not known.
    public var choice: PeerAddress? {
        guard case .choice(let choice) = outcome() else { return nil }
        return choice.address
    }

    /// What is missing to be the primary with the consent of a majority of the dbs; nil: nothing.
    private func missingSupport() -> String? {
        let supporters = others.count { $0.answer.vote == own } + (ownVote == own ? 1 : 0)
        guard supporters <= databases.count / 2 else { return nil }
        var text = "\(supporters) of \(databases.count) dbs support it, a majority is needed"
        for known in others {
            guard let vote = known.answer.vote, vote != own else { continue }
            text += "; \(known.address) \(known.answer.role == .replica ? "follows" : "supports") \(vote)"
        }
        return text
    }

    private func outcome() -> Outcome {
        let reachable = sentinels.count { $0 != .unreachable }
        guard reachable > sentinels.count / 2 else {
            return .decided(.wait("\(reachable) of \(sentinels.count) sentinels answer, a majority is needed"))
        }
        var newest: (address: PeerAddress, epoch: UInt64)?
        for case .names(let address, let epoch) in sentinels {
            if let present = newest, present.epoch == epoch, present.address != address {
                return .decided(.wait("the sentinels do not agree: \(present.address) or \(address)"))
            }
            if epoch >= newest?.epoch ?? 0 { newest = (address, epoch) }
        }
        guard let newest else { return byMemory() }
        return .decided(newest.address == own ? named() : .follow(newest.address, "the sentinels name it"))
    }

    // MARK: The sentinels name us

    private func named() -> Decision {
        if let rival = others.first(where: { $0.answer.role == .primary }) {
            return .wait("the sentinels name this db, but \(rival.address) takes itself for the primary")
        }
        if ownState.hasData { return .becomePrimary("the sentinels name it") }
        if let holder = others.first(where: { $0.answer.hasData }) {
            return .wait(
                "this db has lost its data and \(holder.address) has some: the sentinels have to choose another primary"
            )
        }
        if let missing = missingForDecision() {
            return .wait("this db has no data, and whether others have is not known: \(missing)")
        }
        return .becomePrimary("the sentinels name it, and no db has data")
    }

    // MARK: No sentinel remembers

    private func byMemory() -> Outcome {
        let claims = others.filter { $0.answer.role == .primary }
        if claims.count > 1 {
            return .decided(
                .wait(
                    "\(claims.map(\.address.description).joined(separator: " and ")) take themselves for the primary"))
        }
        if let claim = claims.first {
            return .decided(.follow(claim.address, "it is the primary, though no sentinel knows it yet"))
        }
        if let missing = missingForDecision() {
            return .decided(.wait("no sentinel knows a primary, and \(missing)"))
        }
        let all = others + [(ownIndex, own, ownState)]
        let holders = all.filter { $0.answer.hasData }
        let candidates = holders.isEmpty ? all : holders
        if let choice = best(candidates, anyoneHasData: !holders.isEmpty) { return .choice(choice) }
        return .decided(
            .wait(
                "no sentinel knows a primary, and \(holders.map(\.address.description).sorted().joined(separator: ", "))"
                    + " have data without a record of their role: make one the primary by REPLICAOF NO ONE"))
    }

    private func best(_ candidates: [Known], anyoneHasData: Bool) -> Choice? {
        var latest: (known: Known, since: Int64)?
        var farthest: (known: Known, offset: Int64)?
        for known in candidates.sorted(by: { $0.index < $1.index }) {
            switch known.answer.record {
            case .primary(let since):
                if since > latest?.since ?? -1 { latest = (known, since) }
            case .replica(let offset):
                if offset > farthest?.offset ?? -1 { farthest = (known, offset) }
            case nil: break
            }
        }
        if let known = latest?.known { return (known.index, known.address, "it was the primary before") }
        if let known = farthest?.known { return (known.index, known.address, "of the former replicas it has the most") }
        if anyoneHasData {
            guard candidates.count == 1, let only = candidates.first else { return nil }
            return (only.index, only.address, "it alone has data")
        }
        return databases.first.map { (0, $0, "it is the first of a new cluster") }
    }

    // MARK: Who is known

    public var ownIndex: Int { databases.firstIndex(of: own) ?? -1 }

    private var others: [Known] {
        var result: [Known] = []
        for (index, address) in databases.enumerated() where index != ownIndex {
            if index < answers.count, let answer = answers[index] { result.append((index, address, answer)) }
        }
        return result
    }

    /// What is missing for a decision that depends on all dbs; nil if nothing is.
    private func missingForDecision() -> String? {
        let present = others
        if let loading = present.first(where: { $0.answer.role == .loading }) {
            return "\(loading.address) is still loading its data"
        }
        let count = present.count + 1
        if count == databases.count { return nil }
        let absent = databases.enumerated().filter { index, _ in
            index != ownIndex && !present.contains { $0.index == index }
        }
        let names = absent.map(\.element.description).joined(separator: ", ")
        if count <= databases.count / 2 { return "\(names) cannot be reached: a majority of the dbs is needed" }
        return hasWaited ? nil : "\(names) cannot be reached yet"
    }
}
