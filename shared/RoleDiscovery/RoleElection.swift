// A db's one vote for a primary that no sentinel remembers.
//
// Problem: two dbs that do not see each other may both see the third. Each would be the best of those that it sees.
//
// Approach: a db becomes the primary only with the votes of a majority, and each db supports one candidate at a time. A vote that
// somebody has been told counts for as long as that answer may still be used; so whoever changes his mind first supports nobody
// for longer than that. If the former candidate is not heard any more, it may be the primary by now: then `discovery-wait` passes before
// another one is supported. An answer is used only while it is fresh, and a process that starts again remembers what it has
// told shortly before. What remains: a candidate that becomes the primary and in the same moment is cut off from its voters and all
// sentinels for `discovery-wait`; with a write quorum it cannot acknowledge anything there.
// Rejected: the first in the list only (it may have lost its data, or never come); a vote for all time (a candidate that dies would
// block the start).
import RESPClient

/// Rounds of questions end here: the vote is cast, then the role is decided.
public struct RoleElection: Sendable {
    /// Milliseconds after the beginning of a round in which its answers count.
    public static let validMilliseconds: Int64 = 1500
    /// Milliseconds for which nobody is supported between two candidates.
    public static let pauseMilliseconds: Int64 = 2500

    /// Whom this db supports: what it tells whoever asks.
    public private(set) var vote: PeerAddress?
    /// The last decision was to wait for others' votes, which come soon.
    public private(set) var isShortOfVotes = false
    private var withdrawn: (candidate: PeerAddress, at: Int64)?
    private let waitMilliseconds: Int64

    /// - Parameters:
    ///   - recent: whom an earlier life of this process supported or followed last; that life may have ended just now.
    ///   - waitMilliseconds: `discovery-wait`.
    ///   - now: monotonic milliseconds, as everywhere here.
    public init(recent: PeerAddress?, waitMilliseconds: Int64, now: Int64) {
        self.waitMilliseconds = waitMilliseconds
        withdrawn = recent.map { ($0, now) }
    }

    /// - Parameter begunAt: when the first question of the round went out.
    public mutating func conclude(
        _ situation: DatabaseSituation, begunAt: Int64, now: Int64
    ) -> DatabaseSituation.Decision {
        isShortOfVotes = false
        guard now - begunAt <= RoleElection.validMilliseconds else {
            return .wait("the answers of the others are \(now - begunAt) ms old: this process was held up")
        }
        cast(situation, begunAt: begunAt, now: now)
        var situation = situation
        situation.ownVote = vote
        let decision = situation.decide()
        if case .wait = decision { isShortOfVotes = situation.choice == situation.own }
        return decision
    }

    /// Supports nobody from now on, as when a vote cannot be remembered.
    public mutating func withdraw(now: Int64) {
        if let vote { withdrawn = (vote, now) }
        vote = nil
    }

    private mutating func cast(_ situation: DatabaseSituation, begunAt: Int64, now: Int64) {
        guard let choice = situation.choice, choice != vote else { return }
        withdraw(now: now)
        // A vote for itself has helped nobody else: no pause.
        if let withdrawn, withdrawn.candidate != choice, withdrawn.candidate != situation.own,
            // One that is none of the release any more can win no election.
            let index = situation.databases.firstIndex(of: withdrawn.candidate)
        {
            let isHeard = index < situation.answers.count && situation.answers[index] != nil
            let wait = isHeard ? 0 : waitMilliseconds
            guard begunAt - withdrawn.at >= max(wait, RoleElection.pauseMilliseconds) else { return }
        }
        vote = choice
        withdrawn = nil
    }
}
