// /healthz, /readyz and /metrics.
import ByteStorage
import DatabaseEngine
import Reactor
import TLS
import Telemetry

extension Server: HealthSource {
    /// Connections to the metrics port at one time: probes and scrapers, which need no more.
    private static let maximumHTTPConnections = 64
    /// Milliseconds after which a connection to the metrics port ends.
    private static let httpConnectionMilliseconds: Int64 = 60_000

    func acceptedHTTP(_ connection: Connection) {
        guard httpConnections.count < Server.maximumHTTPConnections else {
            return connection.close(.local("too many connections to the metrics port"))
        }
        httpConnections.insert(connection.id)
        let id = connection.id
        reactor.schedule(after: Server.httpConnectionMilliseconds) { [unowned self] in
            // The handle is valid as long as the connection is known.
            if httpConnections.contains(id) { connection.close(.local("the metrics port keeps no connection longer")) }
        }
    }

    func answerHTTP(_ connection: Connection) {
        var health = healthConnections[connection.id] ?? HealthConnection()
        let input = connection.input
        let output = health.receive(input.buffer, source: self)
        connection.consumeInput(input.count)
        if !output.isEmpty { connection.output.append(output) }
        if health.shouldClose {
            healthConnections[connection.id] = nil
            connection.closeAfterFlush(withinMilliseconds: 1000)
        } else {
            healthConnections[connection.id] = health
        }
    }

    public func livenessProblem() -> String? { nil }

    public func readinessProblem() -> String? {
        if isLoading { return "loading the dataset" }
        if isShuttingDown { return "shutting down" }
        if let failure = persistence.logFailure { return "the append-only log cannot be written: \(failure)" }
        return replicationReadinessProblem()
    }

    public func appendMetrics(to text: inout PrometheusText) {
        text.gauge("dssm_up", "1 while the server answers.", Int64(1))
        text.gauge("dssm_role_primary", "1 on a primary, 0 on a replica.", Int64(isReplicaRole ? 0 : 1))
        text.gauge("dssm_uptime_seconds", "Seconds since start.", (reactor.now - startedAt) / 1000)
        text.gauge("dssm_connected_clients", "Client connections.", Int64(clients.count))
        text.gauge("dssm_blocked_clients", "Clients in a blocking command.", Int64(blocked.count))
        text.counter("dssm_connections_received_total", "Connections accepted.", UInt64(statistics.connectionsReceived))
        text.counter(
            "dssm_rejected_connections_total", "Connections over maxclients.", UInt64(statistics.rejectedConnections))
        text.counter("dssm_commands_processed_total", "Commands executed.", UInt64(statistics.commandsProcessed))
        text.counter("dssm_error_replies_total", "Error replies sent.", UInt64(errors.total))
        text.counter("dssm_tls_failures_total", "Refused or failed TLS handshakes.", UInt64(statistics.tlsFailures))
        text.counter(
            "dssm_output_limit_disconnections_total", "Clients closed at their output limit.",
            UInt64(statistics.outputLimitDisconnections))
        let counters = engine.state.pointee.statistics
        text.counter("dssm_keyspace_hits_total", "Look-ups that found their key.", UInt64(counters.keyspaceHits))
        text.counter("dssm_keyspace_misses_total", "Look-ups that did not.", UInt64(counters.keyspaceMisses))
        text.counter(
            "dssm_expired_keys_total", "Keys deleted because their time had come.", UInt64(counters.expiredKeys))
        text.counter("dssm_evicted_keys_total", "Keys deleted for maxmemory.", UInt64(counters.evictedKeys))
        text.gauge("dssm_memory_used_bytes", "Bytes of the dataset.", Int64(engine.usedBytes))
        text.gauge("dssm_memory_max_bytes", "maxmemory, 0 for none.", Int64(settings.engine.maxMemoryBytes))
        text.family("dssm_db_keys", .gauge, "Keys of a database.")
        for database in 0..<settings.databases where engine.keyCount(database) > 0 {
            text.sample(Int64(engine.keyCount(database)), [(name: "db", value: String(database))])
        }
        if let certificate = tlsServerContext?.certificate {
            text.gauge(
                "dssm_certificate_expiry_seconds", "Unix time at which the server's certificate expires.",
                certificate.notAfter)
        }
        appendReplicationMetrics(&text)
        appendPersistenceMetrics(&text)
    }
}
