// REPLICAOF, ROLE, and what INFO and the metrics say about replication.
//
// - Spec: Redis command reference 7.2: REPLICAOF, ROLE, INFO replication.
import ByteStorage
import DatabaseEngine
import DatabaseReplication
import RESP
import Reactor
import Telemetry

extension Server {
    func runReplicationCommand(_ c: CommandContext) -> Bool {
        switch c.shape.id {
        case .replicaof, .slaveof: replicaOf(c)
        case .role: role(c)
        case .replconf: replconf(c)
        case .psync: psync(c, isOldSync: false)
        case .sync: psync(c, isOldSync: true)
        case .wait: wait(c)
        case .dssm: dssm(c)
        case .waitaof: waitAOF(c)
        case .failover: c.reply.error("ERR FAILOVER is not supported yet")
        default: return false
        }
        return true
    }

    private func replicaOf(_ c: CommandContext) {
        if c.isWord(1, "no"), c.isWord(2, "one") {
            if let refusal = promotionRefusal() { return c.reply.error(refusal) }
            follow(nil)
            return c.reply.ok()
        }
        guard let port = parseInteger(c[2]), port >= 0, port <= 65535 else {
            return c.reply.error("ERR Invalid master port")
        }
        if c.client.has(.replica) {
            return c.reply.error("ERR Command is not valid when client is a replica.")
        }
        if let primary, !primary.isFenced, primary.host == c.text(1), primary.port == Int(port) {
            return c.reply.simple("OK Already connected to specified master")
        }
        follow((c.text(1), Int(port)))
        c.reply.ok()
    }

    /// DSSM FENCE epoch: our own extension, for sentinels of ours.
    private func dssm(_ c: CommandContext) {
        guard c.isWord(1, "fence"), c.count == 3 else { return c.subcommandSyntaxError("DSSM") }
        guard let epoch = c.integer(2) else { return }
        guard isReplicaRole else { return c.reply.error("ERR only a replica can be fenced") }
        c.reply.integer(fence(epoch: epoch))
    }

    private func role(_ c: CommandContext) {
        if let primary {
            c.reply.array(5)
            c.reply.bulk("slave")
            c.reply.bulk(primary.host)
            c.reply.integer(primary.port)
            c.reply.bulk(primary.state.name)
            c.reply.integer(primary.isConnected ? history.offset : -1)
            return
        }
        c.reply.array(3)
        c.reply.bulk("master")
        c.reply.integer(history.offset)
        let online = replicas.filter { $0.details.replica?.state == .online }
        c.reply.array(online.count)
        for client in online {
            guard let link = client.details.replica else { continue }
            c.reply.array(3)
            c.reply.bulk(address(client, link))
            c.reply.bulk(String(link.listeningPort))
            c.reply.bulk(String(link.acknowledged))
        }
    }

    private func address(_ client: Client, _ link: ReplicaLink) -> String {
        link.announcedHost.isEmpty ? client.connection.remoteHost : link.announcedHost
    }

    // MARK: What is refused for the role

    func roleRefusal(_ client: Client, _ shape: CommandShape) -> String? {
        if isReplicaRole {
            if settings.replicaReadOnly, shape.has(.write), !client.has(.primary) {
                return "READONLY You can't write against a read only replica."
            }
            if !settings.replicaServesStaleData, primary?.isConnected != true, !shape.has(.stale) {
                return "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
            }
            return nil
        }
        if settings.minReplicasToWrite > 0, shape.has(.write),
            goodReplicas(maximumLagSeconds: settings.minReplicasMaxLagSeconds) < settings.minReplicasToWrite
        {
            return "NOREPLICAS Not enough good replicas to write."
        }
        return nil
    }

    /// PUBLISH reaches the subscribers of replicas as well.
    func propagateMessage(_ c: CommandContext, shard: Bool) {
        guard !isReplicaRole, backlog != nil, pause == nil else { return }
        drainStream()
        let output = OutputBuffer.create(capacity: 256)
        defer { output.destroy() }
        let writer = ReplyWriter(output)
        writer.array(3)
        writer.bulk(shard ? "SPUBLISH" : "PUBLISH")
        writer.bulk(c[1])
        writer.bulk(c[2])
        sendToReplicas(output.view)
    }

    func replicationReadinessProblem() -> String? {
        if let roleDiscovery { return "the role is not decided: \(roleDiscovery.reason)" }
        guard let primary else { return nil }
        return primary.isConnected
            ? nil : "the link to the primary \(primary.host):\(primary.port) is down (\(primary.state.name))"
    }

    var backlogMemory: Int { backlog?.capacity ?? 0 }

    // MARK: INFO

    func infoReplication() -> [(String, String)] {
        var fields: [(String, String)] = [("role", isReplicaRole ? "slave" : "master")]
        if let primary {
            let now = reactor.monotonicNow
            fields += [
                ("master_host", primary.host), ("master_port", "\(primary.port)"),
                ("master_link_status", primary.isConnected ? "up" : "down"),
                ("master_last_io_seconds_ago", primary.isConnected ? "\((now - primary.lastData) / 1000)" : "-1"),
                ("master_sync_in_progress", primary.state.name == "sync" ? "1" : "0"),
                ("slave_read_repl_offset", "\(history.offset)"), ("slave_repl_offset", "\(history.offset)"),
            ]
            if case .receivingSnapshot(let receiver) = primary.state {
                fields += [
                    ("master_sync_total_bytes", "\(receiver.received + (receiver.remaining ?? 0))"),
                    ("master_sync_read_bytes", "\(receiver.received)"),
                    ("master_sync_last_io_seconds_ago", "\((now - primary.lastData) / 1000)"),
                ]
            }
            if !primary.isConnected {
                fields.append(("master_link_down_since_seconds", "\((now - primary.downSince) / 1000)"))
            }
            fields += [
                ("slave_priority", "\(settings.replicaPriority)"),
                ("slave_read_only", settings.replicaReadOnly ? "1" : "0"),
                ("replica_announced", settings.replicaAnnounced ? "1" : "0"),
            ]
        }
        fields += roleDiscoveryInformation()
        fields.append(("connected_slaves", "\(replicas.count)"))
        if settings.minReplicasToWrite > 0 {
            fields.append(
                ("min_slaves_good_slaves", "\(goodReplicas(maximumLagSeconds: settings.minReplicasMaxLagSeconds))"))
        }
        if settings.writeQuorum > 0 {
            fields += [
                ("write_quorum", "\(settings.writeQuorum)"),
                ("write_quorum_pending_bytes", "\(isQuorumDemanded ? streamOffset &- quorum.reached : 0)"),
            ]
        }
        for (index, client) in replicas.enumerated() {
            guard let link = client.details.replica else { continue }
            let lag = link.state == .online ? (reactor.monotonicNow - link.acknowledgedAt) / 1000 : 0
            fields.append(
                (
                    "slave\(index)",
                    "ip=\(address(client, link)),port=\(link.listeningPort),state=\(link.state.name),offset=\(link.acknowledged),lag=\(lag)"
                ))
        }
        fields += [
            ("master_failover_state", "no-failover"), ("master_replid", history.id),
            ("master_replid2", history.secondID),
            ("master_repl_offset", "\(history.offset)"), ("second_repl_offset", "\(history.secondEndOffset)"),
            ("repl_backlog_active", backlog == nil ? "0" : "1"),
            ("repl_backlog_size", "\(backlog?.capacity ?? settings.backlogBytes)"),
            ("repl_backlog_first_byte_offset", "\(backlog.map { $0.count > 0 ? $0.firstOffset : 0 } ?? 0)"),
            ("repl_backlog_histlen", "\(backlog?.count ?? 0)"),
        ]
        return fields
    }

    func appendReplicationMetrics(_ text: inout PrometheusText) {
        text.gauge("dssm_replication_offset", "Offset of the last byte of the stream.", history.offset)
        text.gauge("dssm_connected_replicas", "Replicas connected.", Int64(replicas.count))
        text.gauge(
            "dssm_online_replicas", "Replicas that follow the stream.",
            Int64(replicas.reduce(0) { $0 + ($1.details.replica?.state == .online ? 1 : 0) }))
        text.gauge(
            "dssm_primary_link_up", "1 on a replica whose link works; 1 on a primary.",
            Int64(primary?.isConnected ?? true ? 1 : 0))
        text.counter("dssm_full_syncs_total", "Full syncs given.", UInt64(statistics.fullSyncs))
        text.counter("dssm_partial_syncs_total", "Partial syncs given.", UInt64(statistics.partialSyncs))
        text.family("dssm_replica_lag_bytes", .gauge, "Bytes that a replica has not acknowledged.")
        for client in replicas {
            guard let link = client.details.replica, link.state == .online else { continue }
            text.sample(
                max(0, history.offset - link.acknowledged),
                [(name: "replica", value: "\(address(client, link)):\(link.listeningPort)")])
        }
    }
}
