// Becoming a replica, a primary, or neither for a while.
//
// - Spec: Redis command reference 7.2: REPLICAOF.
import DatabaseEngine
import DatabaseReplication
import RESP
import Reactor
import Telemetry

extension Server {
    /// Follows `host:port`, or becomes a primary with nil.
    func follow(_ target: (host: String, port: Int)?) {
        guard let target else { return promote() }
        if let primary, !primary.isFenced, primary.host == target.host, primary.port == target.port { return }
        endRoleDiscovery()
        // What was written in this turn is still part of our own history.
        drainStream()
        endPrimaryLink("following another primary")
        unblockAllForReplica()
        settings.replicaOf = target
        let former = primary
        let link = PrimaryLink(host: target.host, port: target.port, now: reactor.monotonicNow)
        // If the new primary continues the history, it continues in the database that the old one had selected.
        link.database = former?.database ?? engine.state.pointee.stream.selectedDatabase ?? 0
        primary = link
        updateEngineRole()
        log.sink.role = .replica
        releaseWritesAfterDemotion()
        disconnectReplicas("now a replica of another server")
        restartQuorum()
        updateStreamEnabled()
        updateLongWay()
        log.notice("replicaof", "REPLICAOF \(target.host):\(target.port) enabled")
        recordRole()
        connectToPrimary()
    }

    /// Keys of a replica expire by the primary's word alone. One that takes writes of its own expires them itself: a hidden
    /// expired key would otherwise be added a second time. In a pause nothing may be deleted either: replicas are to reach
    /// the end of a stream that stands still.
    func updateEngineRole() {
        engine.state.pointee.isReplica = isReplicaRole && settings.replicaReadOnly || pause != nil
    }

    private func promote() {
        guard primary != nil else { return }
        endRoleDiscovery()
        drainStream()
        endPrimaryLink("promoted")
        primary = nil
        settings.replicaOf = nil
        history.promote(newID: Server.randomHex(40))
        updateEngineRole()
        engine.state.pointee.stream.selectedDatabase = nil
        log.sink.role = .primary
        disconnectReplicas("this server was promoted")
        makeBacklog()
        restartQuorum()
        updateStreamEnabled()
        updateLongWay()
        log.notice(
            "promoted",
            "MASTER MODE enabled: replication ID \(history.id), former ID \(history.secondID) valid up to offset \(history.secondEndOffset)"
        )
        recordRole()
    }

    private static let forcedUnblockText: StaticString =
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"

    /// Blocked clients would wait for writes that can no longer come from here.
    private func unblockAllForReplica() {
        for client in clients.values where client.details.blocking != nil {
            unblock(client)
            lateReply(client).error(Server.forcedUnblockText)
            resume(client)
        }
        for waiting in waitingClients {
            guard let client = clients[waiting.clientID] else { continue }
            dropWaiting(client)
            lateReply(client).error(Server.forcedUnblockText)
            resume(client)
        }
    }

    /// Stops following the primary until the next REPLICAOF, so that this replica's acknowledgements cannot complete a quorum of
    /// a primary that is being replaced.
    ///
    /// - Returns: the offset up to which this replica has the stream.
    func fence(epoch: Int64) -> Int64 {
        guard let link = primary else { return history.offset }
        if !link.isFenced {
            link.isFenced = true
            endPrimaryLink("fenced by a sentinel, epoch \(epoch)")
            log.notice(
                "fenced", "Stopped following \(link.host):\(link.port) for epoch \(epoch) at offset \(history.offset)")
        }
        return history.offset
    }
}
