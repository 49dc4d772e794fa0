// INFO, health and metrics.

import ByteStorage
import CLinux
import RESP
import Reactor
import SentinelCore
import TLS
import Telemetry

extension SentinelServer {
    // MARK: INFO

    func information(_ request: Request) -> String {
        let wanted = Set((1..<max(request.count, 1)).map { request.word($0).lowercased() })
        let isAll = wanted.isEmpty || !wanted.isDisjoint(with: ["all", "default", "everything"])
        var sections: [String] = []
        func add(_ name: String, _ text: () -> String) { if isAll || wanted.contains(name) { sections.append(text()) } }
        add("server") { serverSection }
        add("clients") { clientsSection }
        add("stats") { statisticsSection }
        add("cpu") { processorSection }
        add("sentinel") { machine.informationSection(now: Reactor.monotonicMilliseconds()) }
        add("forwarding") { forwardingSection }
        return sections.joined(separator: "\r\n")
    }

    private func section(_ name: String, _ fields: [(String, String)]) -> String {
        "# \(name)\r\n" + fields.map { "\($0.0):\($0.1)\r\n" }.joined()
    }

    var uptimeSeconds: Int64 { (Reactor.monotonicMilliseconds() - startedAt) / 1000 }

    private var serverSection: String {
        section(
            "Server",
            [
                ("redis_version", Self.compatibleVersion), ("dssm_version", ProductVersion.current),
                ("redis_mode", "sentinel"), ("arch_bits", "64"), ("multiplexing_api", "epoll"),
                ("process_id", "\(getpid())"), ("run_id", machine.myID), ("tcp_port", "\(settings.announcedPort)"),
                ("server_time_usec", "\(reactor.now * 1000)"), ("uptime_in_seconds", "\(uptimeSeconds)"),
                ("uptime_in_days", "\(uptimeSeconds / 86400)"), ("hz", "10"), ("configured_hz", "10"),
                ("config_file", file),
            ])
    }

    private var clientsSection: String {
        section(
            "Clients",
            [
                ("connected_clients", "\(clients.count)"), ("maxclients", "\(settings.maxClients)"),
                ("blocked_clients", "\(forwarder.waiting.count)"),
                ("pubsub_clients", "\(clients.values.count { $0.isSubscribed })"),
            ])
    }

    private var statisticsSection: String {
        section(
            "Stats",
            [
                ("total_connections_received", "\(statistics.connectionsReceived)"),
                ("total_commands_processed", "\(statistics.commandsProcessed)"),
                ("total_net_input_bytes", "\(statistics.bytesReceived)"),
                ("total_net_output_bytes", "\(statistics.bytesSent)"),
                ("rejected_connections", "\(statistics.rejectedConnections)"),
                ("total_error_replies", "\(statistics.errorReplies)"),
                ("client_output_buffer_limit_disconnections", "\(statistics.outputLimitDisconnections)"),
                ("tls_failures", "\(statistics.tlsFailures)"),
                ("pubsub_channels", "\(subscriptions.channels.count)"),
                ("pubsub_patterns", "\(subscriptions.patterns.count)"),
            ])
    }

    private var processorSection: String {
        var usage = rusage()
        getrusage(0, &usage)
        func seconds(_ time: timeval) -> String {
            let micros = String(Int(time.tv_usec) + 1_000_000).dropFirst()
            return "\(time.tv_sec).\(micros)"
        }
        return section(
            "CPU", [("used_cpu_sys", seconds(usage.ru_stime)), ("used_cpu_user", seconds(usage.ru_utime))])
    }

    private var forwardingSection: String {
        section(
            "Forwarding",
            [
                ("forward_enabled", settings.forwardsCommands ? "1" : "0"),
                ("forward_primary", forwarder.target.map { "\($0)" } ?? ""),
                ("forward_links", "\(forwarder.all.count)"), ("forward_own_links", "\(forwarder.ownLinkCount)"),
                ("forward_waiting_clients", "\(forwarder.waiting.count)"),
                ("forward_waiting_bytes", "\(forwarder.waitingBytes)"),
                ("forwarded_commands", "\(forwarder.forwardedCommands)"),
                ("forward_repeated_commands", "\(forwarder.repeatedCommands)"),
                ("forward_uncertain_commands", "\(forwarder.uncertainWrites)"),
                ("forward_refused_commands", "\(forwarder.refusedCommands)"),
            ])
    }

    // MARK: HTTP

    func answerHTTP(_ connection: Connection) {
        guard var health = healthConnections[connection.id] else { return }
        let input = connection.input
        let answer = health.receive(input.buffer, source: self)
        connection.consumeInput(input.count)
        healthConnections[connection.id] = health
        if !answer.isEmpty { connection.output.append(answer) }
        if health.shouldClose { connection.closeAfterFlush(withinMilliseconds: 1000) }
    }
}

extension SentinelServer: HealthSource {
    public func livenessProblem() -> String? { nil }

    /// Ready as soon as its identity is on disk. That a primary is down is no reason to hide the sentinel: it is then that
    /// clients need it.
    public func readinessProblem() -> String? {
        if isShuttingDown { return "shutting down" }
        if let primarySearch { return "whom to monitor is not known: \(primarySearch.reason)" }
        return machine.isDurable || statistics.eventCounts["-persistence-failed"] == nil ? nil : "settings not saved"
    }

    public func appendMetrics(to text: inout PrometheusText) {
        text.family("dssm_build_info", .gauge, "Version of the process.")
        text.sample(Int64(1), [("version", ProductVersion.current), ("service", "sentinel")])
        text.gauge("dssm_uptime_seconds", "Seconds since the start.", uptimeSeconds)
        text.gauge("dssm_sentinel_tilt", "Whether the sentinel is in TILT mode.", Int64(machine.isInTilt ? 1 : 0))
        text.gauge("dssm_sentinel_current_epoch", "The highest epoch seen.", Int64(clamping: machine.epoch))
        appendPrimaries(&text)
        text.family("dssm_sentinel_events_total", .counter, "Events by type.")
        for (type, count) in statistics.eventCounts.sorted(by: { $0.key < $1.key }) {
            text.sample(count, [("event", type)])
        }
        text.gauge("dssm_connected_clients", "Connected clients.", Int64(clients.count))
        text.counter("dssm_connections_total", "Accepted connections.", statistics.connectionsReceived)
        text.counter("dssm_rejected_connections_total", "Refused connections.", statistics.rejectedConnections)
        text.counter("dssm_commands_total", "Executed commands, forwarded ones included.", statistics.commandsProcessed)
        text.counter("dssm_error_replies_total", "Replies that were errors.", statistics.errorReplies)
        text.counter("dssm_tls_failures_total", "Failed TLS handshakes.", statistics.tlsFailures)
        text.counter("dssm_forwarded_commands_total", "Commands sent to the primary.", forwarder.forwardedCommands)
        text.counter("dssm_forward_repeated_commands_total", "Commands sent again.", forwarder.repeatedCommands)
        text.counter(
            "dssm_forward_uncertain_commands_total", "Commands whose link broke before the reply.",
            forwarder.uncertainWrites)
        text.counter(
            "dssm_forward_refused_commands_total", "Commands refused for want of a primary.", forwarder.refusedCommands)
        text.gauge("dssm_forward_waiting_clients", "Clients that wait for a primary.", Int64(forwarder.waiting.count))
        text.gauge("dssm_forward_links", "Connections to the primary.", Int64(forwarder.all.count))
        text.counter("dssm_log_dropped_lines_total", "Log lines that standard output did not take.", sink.droppedLines)
        if let certificate = tlsServerContext?.certificate {
            text.gauge(
                "dssm_tls_certificate_expiry_seconds", "Seconds until the certificate expires.",
                certificate.notAfter - reactor.now / 1000)
        }
    }

    private func appendPrimaries(_ text: inout PrometheusText) {
        let states = machine.primaryStates
        func gauge(_ name: String, _ help: String, _ value: (SentinelStateMachine.PrimaryState) -> Int) {
            text.family(name, .gauge, help)
            for state in states { text.sample(Int64(value(state)), [("name", state.name)]) }
        }
        gauge("dssm_sentinel_primary_ok", "Whether the primary is up in this sentinel's view.") {
            $0.status == "ok" ? 1 : 0
        }
        gauge("dssm_sentinel_replicas", "Known replicas.") { $0.replicas }
        gauge("dssm_sentinel_usable_replicas", "Replicas that are up and linked to the primary.") { $0.usableReplicas }
        gauge("dssm_sentinel_sentinels", "Known sentinels, this one included.") { $0.sentinels }
        gauge("dssm_sentinel_usable_sentinels", "Sentinels that are up, this one included.") { $0.usableSentinels }
        gauge("dssm_sentinel_failover_in_progress", "Whether this sentinel leads a failover.") {
            $0.isFailingOver ? 1 : 0
        }
        gauge("dssm_sentinel_config_epoch", "Epoch of the configuration.") { Int(clamping: $0.configEpoch) }
    }
}
