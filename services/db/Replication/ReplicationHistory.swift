// Which stream this server speaks for: its replication ID and offset, and the ID that it had before.
//
// - Spec: Redis replication documentation, "Replication ID explained".

/// Identity and position in the replication stream.
public struct ReplicationHistory: Equatable, Sendable {
    /// 40 hexadecimal digits: names the history of writes.
    public private(set) var id: String
    /// The ID of the former primary, valid up to `secondEndOffset`: its other replicas can go on with us.
    public private(set) var secondID: String
    public private(set) var secondEndOffset: Int64
    /// Offset of the last byte of the stream.
    public var offset: Int64

    public static let noID = String(repeating: "0", count: 40)

    public init(id: String, offset: Int64 = 0) {
        self.id = id
        secondID = ReplicationHistory.noID
        secondEndOffset = -1
        self.offset = offset
    }

    /// A replica becomes primary: a new history begins, and the old one remains valid up to here.
    public mutating func promote(newID: String) {
        secondID = id
        secondEndOffset = offset + 1
        id = newID
    }

    /// A replica takes over its primary's history after a full sync.
    public mutating func adopt(id: String, offset: Int64) {
        self.id = id
        self.offset = offset
        secondID = ReplicationHistory.noID
        secondEndOffset = -1
    }

    /// The primary answered +CONTINUE with another ID: it was promoted since, and its history continues ours.
    public mutating func renamed(to newID: String) {
        guard newID != id else { return }
        secondID = id
        secondEndOffset = offset + 1
        id = newID
    }

    /// Can a replica with history `requestedID` that wants the stream from `from` on be continued with ours?
    public func continues(_ requestedID: String, from: Int64) -> Bool {
        if requestedID == id { return true }
        return requestedID == secondID && secondID != ReplicationHistory.noID && from <= secondEndOffset
    }
}

/// What a primary answers to PSYNC.
public enum SynchronisationPlan: Equatable, Sendable {
    /// Send the stream from this offset on.
    case partial(from: Int64)
    case full(Reason)

    public enum Reason: String, Sendable {
        case asked = "full resync requested"
        case otherHistory = "replication ID mismatch"
        case noBacklog = "no backlog yet"
        case tooFarBack = "the backlog does not reach back to the requested offset"
    }

    /// - Parameters:
    ///   - requestedID: `?` asks for a full sync.
    ///   - from: offset of the first byte wanted.
    public static func plan(
        requestedID: String, from: Int64, history: ReplicationHistory, backlog: ReplicationBacklog?
    ) -> SynchronisationPlan {
        if requestedID == "?" { return .full(.asked) }
        guard history.continues(requestedID.lowercased(), from: from) else { return .full(.otherHistory) }
        guard let backlog else { return .full(.noBacklog) }
        return backlog.covers(from) ? .partial(from: from) : .full(.tooFarBack)
    }
}
