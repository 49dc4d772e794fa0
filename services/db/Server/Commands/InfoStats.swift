// INFO stats.
import DatabaseEngine
import Reactor

extension Server {
    func infoStats() -> [(String, String)] {
        let counters = engine.state.pointee.statistics
        let replication = replicationTraffic
        let traffic = reactor.traffic
        let before = statistics.trafficBefore
        func kilobytes(_ meter: RateMeter) -> String { Server.fixed(meter.perSecond / 1024, digits: 2) }
        return [
            ("total_connections_received", "\(statistics.connectionsReceived)"),
            ("total_commands_processed", "\(statistics.commandsProcessed)"),
            ("instantaneous_ops_per_sec", "\(Int(rates.commands.perSecond.rounded()))"),
            ("total_net_input_bytes", "\(traffic.bytesReceived &- before.bytesReceived)"),
            ("total_net_output_bytes", "\(traffic.bytesSent &- before.bytesSent)"),
            ("total_net_repl_input_bytes", "\(replication.input)"),
            ("total_net_repl_output_bytes", "\(replication.output)"),
            ("instantaneous_input_kbps", kilobytes(rates.input)),
            ("instantaneous_output_kbps", kilobytes(rates.output)),
            ("instantaneous_input_repl_kbps", kilobytes(rates.replicationInput)),
            ("instantaneous_output_repl_kbps", kilobytes(rates.replicationOutput)),
            ("rejected_connections", "\(statistics.rejectedConnections)"),
            ("sync_full", "\(statistics.fullSyncs)"), ("sync_partial_ok", "\(statistics.partialSyncs)"),
            ("sync_partial_err", "\(statistics.partialSyncErrors)"), ("expired_keys", "\(counters.expiredKeys)"),
            // Keys go when their time has come: none is stale but those of this turn.
            ("expired_stale_perc", "0.00"),
            ("expired_time_cap_reached_count", "\(statistics.expireBudgetReached)"),
            ("expire_cycle_cpu_milliseconds", "\(statistics.expireNanoseconds / 1_000_000)"),
            ("evicted_keys", "\(counters.evictedKeys)"), ("evicted_clients", "0"),
            (
                "total_eviction_exceeded_time",
                "\(statistics.evictionExceededMilliseconds + currentEvictionExcess)"
            ),
            ("current_eviction_exceeded_time", "\(currentEvictionExcess)"),
            ("keyspace_hits", "\(counters.keyspaceHits)"), ("keyspace_misses", "\(counters.keyspaceMisses)"),
            ("pubsub_channels", "\(pubsub.channels.count)"), ("pubsub_patterns", "\(pubsub.patterns.count)"),
            ("pubsubshard_channels", "\(pubsub.shardChannels.count)"),
            ("unexpected_error_replies", "\(statistics.unexpectedErrors)"),
            ("total_error_replies", "\(errors.total)"),
            ("dump_payload_sanitizations", "\(statistics.restoredPayloads)"),
            ("total_reads_processed", "\(traffic.reads &- before.reads)"),
            ("total_writes_processed", "\(traffic.writes &- before.writes)"),
            ("acl_access_denied_auth", "\(statistics.authenticationFailures)"),
            ("eventloop_cycles", "\(reactor.turns)"),
            ("instantaneous_eventloop_cycles_per_sec", "\(Int(rates.turns.perSecond.rounded()))"),
            ("client_query_buffer_limit_disconnections", "\(statistics.queryLimitDisconnections)"),
            ("client_output_buffer_limit_disconnections", "\(statistics.outputLimitDisconnections)"),
            ("tls_handshake_failures", "\(statistics.tlsFailures)"), ("held_replies", "\(reactor.heldConnectionCount)"),
        ] + Server.absentStats
    }

    private static let absentStats = [
        "latest_fork_usec", "total_forks", "migrate_cached_sockets", "slave_expires_tracked_keys", "active_defrag_hits",
        "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses", "total_active_defrag_time",
        "current_active_defrag_time", "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes",
        "io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks", "reply_buffer_expands",
        "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel",
    ].map { ($0, "0") }
}
