// `write-quorum N`: replies leave only when N replicas have acknowledged everything that they may depend on.
//
// Each drain of the stream notes which replication offset belongs to which ticket. An acknowledgement moves the ticket that N
// replicas have reached; `updateReleasedTicket` takes it from here. A primary without its quorum keeps accepting and stops
// answering: it cannot say that something is safe which is not. Replicas of ours acknowledge at the end of the turn in which
// they got the bytes; a stock Redis does once a second.
import DatabaseReplication
import Reactor

struct WriteQuorum {
    private struct Mark {
        let replicationOffset: Int64
        let ticket: UInt64
    }

    private var marks: [Mark] = []
    private var first = 0
    /// The ticket that the quorum has reached.
    private(set) var reached: UInt64 = 0

    /// Everything up to here counts as safe: the quorum is demanded from now on.
    mutating func begin(at ticket: UInt64) {
        marks.removeAll()
        first = 0
        reached = ticket
    }

    mutating func note(replicationOffset: Int64, ticket: UInt64) {
        marks.append(Mark(replicationOffset: replicationOffset, ticket: ticket))
    }

    /// - Parameter offset: the replication offset that enough replicas have acknowledged.
    mutating func acknowledged(_ offset: Int64) {
        while first < marks.count, marks[first].replicationOffset <= offset {
            reached = marks[first].ticket
            first += 1
        }
        if first > 1024 {
            marks.removeFirst(first)
            first = 0
        }
    }
}

extension Server {
    /// Whether replies wait for replicas here.
    var isQuorumDemanded: Bool { settings.writeQuorum > 0 && !isReplicaRole }

    /// The highest offset that `write-quorum` replicas have acknowledged; nil when there are not that many.
    private var quorumOffset: Int64? {
        let offsets = replicas.compactMap { client -> Int64? in
            guard let link = client.details.replica, link.state == .online else { return nil }
            return link.acknowledged
        }
        guard offsets.count >= settings.writeQuorum else { return nil }
        return offsets.sorted(by: >)[settings.writeQuorum - 1]
    }

    /// Notes the position after a drain of the stream.
    func noteForQuorum() {
        if isQuorumDemanded { quorum.note(replicationOffset: history.offset, ticket: streamOffset) }
    }

    /// A replica acknowledged, came or went.
    func advanceQuorum() {
        guard isQuorumDemanded, let offset = quorumOffset else { return }
        quorum.acknowledged(offset)
        updateReleasedTicket()
    }

    /// The setting or the role has changed: from here on, or not at all.
    func restartQuorum() {
        quorum.begin(at: streamOffset)
        if isQuorumDemanded { makeBacklog() }
        updateStreamEnabled()
        updateReleasedTicket()
    }
}
