// A planned stop: nothing that was acknowledged may be lost, and nobody should notice more than a pause.
//
// Writes wait from the signal on. Replicas get what is left (stock Redis does as much). Then, if sentinels of ours listen on
// `__dssm__:handover`, this primary waits to be replaced: they hold an election, see that a replica has everything, promote it and
// make this server its replica. Clients whose writes waited are answered with -READONLY, so that they know that nothing was
// done, and then closed. All of it takes at most `shutdown-timeout`; without replicas, without sentinels or with SHUTDOWN NOW there
// is nothing to wait for.
// Rejected: choosing and promoting a replica here, as FAILOVER of Redis does: the sentinels would take the change for a fault,
// and two authorities could promote two replicas.
import ByteStorage
import DatabaseReplication
import Reactor

/// A stop that waits for replicas and for a successor.
final class PlannedStop {
    /// Monotonic milliseconds.
    var deadline: Int64
    var nextAsking: Int64 = 0
    var hasAsked = false
    /// Since when no replica is left.
    var aloneSince: Int64?
    let then: () -> Void

    init(deadline: Int64, then: @escaping () -> Void) {
        self.deadline = deadline
        self.then = then
    }
}

extension Server {
    static let helloChannel: StaticString = "__sentinel__:hello"
    /// Where sentinels of ours listen.
    static let handoverChannel: StaticString = "__dssm__:handover"
    private static let handoverStepMilliseconds: Int64 = 10
    private static let handoverAskingMilliseconds: Int64 = 1000
    private static let lonelyMilliseconds: Int64 = 1000
    /// How long clients get answers after this server was demoted, before they are closed and before it ends.
    static let farewellMilliseconds: Int64 = 100

    private var onlineReplicas: [ReplicaLink] {
        replicas.compactMap { client in
            guard let link = client.details.replica, link.state == .online else { return nil }
            return link
        }
    }

    private var sentinelsListen: Bool {
        !(pubsub.channels[Array("\(Server.handoverChannel)".utf8)] ?? []).isEmpty
    }

    /// Lets the replicas take what is left and a successor take over, within `shutdown-timeout`, then goes on.
    func stopAsPlanned(isNow: Bool, _ then: @escaping () -> Void) {
        let patience = Int64(settings.shutdownTimeoutSeconds) * 1000
        guard !isReplicaRole, !isNow, patience > 0, !onlineReplicas.isEmpty else { return then() }
        pauseClients(milliseconds: patience, onlyWrites: true)
        drainStream()
        sendToReplicas(ByteView("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"))
        let stop = PlannedStop(deadline: Reactor.monotonicMilliseconds() + patience, then: then)
        plannedStop = stop
        step(stop)
    }

    private func step(_ stop: PlannedStop) {
        guard plannedStop === stop else { return }
        if let primary {
            log.notice("handed-over", "Handed over to \(primary.host):\(primary.port)")
            return end(stop, after: Server.farewellMilliseconds)
        }
        let now = Reactor.monotonicMilliseconds()
        let online = onlineReplicas
        let lagging = online.count { $0.acknowledged < history.offset }
        if now >= stop.deadline {
            if lagging > 0 { log.warning("shutdown-lag", "\(lagging) replica(s) lag behind at shutdown") }
            if stop.hasAsked { log.warning("handover-failed", "No sentinel has replaced this primary in time") }
            return end(stop, after: 0)
        }
        if !online.isEmpty {
            stop.aloneSince = nil
            if lagging == 0, !sentinelsListen { return end(stop, after: 0) }
        } else {
            // The replicas may follow a successor already, and the order to this server be on its way.
            let since = stop.aloneSince ?? now
            stop.aloneSince = since
            if !stop.hasAsked || now - since > Server.lonelyMilliseconds { return end(stop, after: 0) }
        }
        if now >= stop.nextAsking, sentinelsListen {
            if !stop.hasAsked { log.notice("handover", "Asking the sentinels for a successor") }
            stop.hasAsked = true
            stop.nextAsking = now + Server.handoverAskingMilliseconds
            tellSentinels(patience: stop.deadline - now)
        }
        reactor.schedule(after: Server.handoverStepMilliseconds) { [weak self, weak stop] in
            if let self, let stop { step(stop) }
        }
    }

    private func end(_ stop: PlannedStop, after milliseconds: Int64) {
        plannedStop = nil
        if milliseconds == 0 { return stop.then() }
        reactor.schedule(after: milliseconds) { [stop] in stop.then() }
    }

    private func tellSentinels(patience: Int64) {
        Array("\(patience)".utf8).withView { payload in
            _ = deliver(channel: ByteView(Server.handoverChannel), message: payload)
        }
    }

    /// A second signal: whoever sends it does not want to wait.
    func hurryPlannedStop() { plannedStop?.deadline = 0 }

    /// SHUTDOWN ABORT.
    ///
    /// - Returns: false when nothing is to be aborted any more.
    func abortPlannedStop() -> Bool {
        guard let stop = plannedStop else { return false }
        plannedStop = nil
        isShuttingDown = false
        if stop.hasAsked { tellSentinels(patience: 0) }
        log.notice("shutdown", "Shutdown manually aborted")
        endPause()
        updateLongWay()
        return true
    }

    /// This server has become a replica. Writes that a handover has held back cannot be done here any more: their clients
    /// get to know it before they are closed.
    func releaseWritesAfterDemotion() {
        guard pause?.onlyWrites == true else { return }
        farewellUntil = Reactor.monotonicMilliseconds() + Server.farewellMilliseconds
        endPause()
    }
}
