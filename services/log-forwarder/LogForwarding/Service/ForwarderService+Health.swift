// Events of the reactor, and what probes and scrapers are told.
import ByteStorage
import CLinux
import Logging
import Reactor
import Telemetry

extension ForwarderService: ReactorHandler {
    public func accepted(_ connection: Connection) {
        if connection.tag & 0xff == ConnectionTag.lines { return linesAccepted(connection) }
        if healthConnections.count >= 64 { return connection.close(.local("too many health connections")) }
        healthConnections[connection.id] = HealthConnection()
    }

    public func opened(_ connection: Connection) {
        if connection.tag & 0xff == ConnectionTag.server { serverOpened(connection) }
    }

    public func process(_ ready: UnsafeBufferPointer<Connection>) {
        for connection in ready where connection.isOpen {
            switch connection.tag & 0xff {
            case ConnectionTag.http: answerHTTP(connection)
            case ConnectionTag.lines: linesReceived(connection)
            default: serverReceived(connection)
            }
        }
    }

    public func closed(_ connection: Connection, _ reason: CloseReason) {
        switch connection.tag & 0xff {
        case ConnectionTag.http: healthConnections[connection.id] = nil
        case ConnectionTag.lines: linesClosed(connection)
        default: serverClosed(connection, reason)
        }
    }

    public func outputPending(_ connection: Connection) {}

    public func endTurn() {}

    public func idleMilliseconds() -> Int64? { nil }

    public func signalled(_ number: Int32) {
        if number == SIGHUP {
            sink.reopen()
            return log.event(.notice, "log-reopened", "Log file reopened after SIGHUP")
        }
        shutDown("Received \(number == SIGTERM ? "SIGTERM" : "SIGINT")")
    }

    private func answerHTTP(_ connection: Connection) {
        guard var health = healthConnections[connection.id] else { return }
        let input = connection.input
        let answer = health.receive(input.buffer, source: self)
        connection.consumeInput(input.count)
        healthConnections[connection.id] = health
        if !answer.isEmpty { connection.output.append(answer) }
        if health.shouldClose { connection.closeAfterFlush(withinMilliseconds: 1000) }
    }
}

extension ForwarderService: HealthSource {
    public func livenessProblem() -> String? { nil }

    /// Ready as long as it can store: a receiver that is down is what the buffer is for, and no reason to take a pod out of service.
    public func readinessProblem() -> String? {
        if shutdownDeadline != nil { return "shutting down" }
        return retryBufferAt == nil ? nil : "the buffer cannot be written"
    }

    public func appendMetrics(to text: inout PrometheusText) {
        text.family("dssm_build_info", .gauge, "Version of the process.")
        text.sample(Int64(1), [("version", ProductVersion.current), ("service", "log-forwarder")])
        text.gauge(
            "dssm_uptime_seconds", "Seconds since the start.", (Reactor.monotonicMilliseconds() - startedAt) / 1000)
        text.counter("dssm_forwarder_records_total", "Records read.", statistics.records)
        text.counter("dssm_forwarder_record_bytes_total", "Bytes of the lines read.", statistics.recordBytes)
        text.counter(
            "dssm_forwarder_acknowledged_records_total", "Records that a server has acknowledged.",
            statistics.acknowledgedRecords)
        text.counter("dssm_forwarder_sent_chunks_total", "Chunks sent, repetitions included.", statistics.sentChunks)
        text.counter(
            "dssm_forwarder_repeated_chunks_total", "Chunks sent again, because their connection broke.",
            statistics.repeatedChunks)
        text.counter(
            "dssm_forwarder_ack_timeouts_total", "Connections given up for want of an ack.", statistics.ackTimeouts)
        text.counter(
            "dssm_forwarder_connection_failures_total", "Connections that failed or broke.",
            statistics.connectionFailures)
        text.counter(
            "dssm_forwarder_dropped_records_total", "Records lost at the buffer's bound, or to damage.",
            buffer.statistics.droppedRecords)
        text.counter(
            "dssm_forwarder_damaged_blocks_total", "Blocks of the buffer that could not be read.",
            buffer.statistics.damagedBlocks)
        text.counter(
            "dssm_forwarder_buffer_failures_total", "Failed writes to the buffer.", statistics.bufferFailures)
        text.gauge("dssm_forwarder_buffer_bytes", "Bytes of the buffer on disk.", Int64(buffer.totalBytes))
        text.gauge(
            "dssm_forwarder_buffer_limit_bytes", "Bound of the buffer.", Int64(settings.bufferMaximumBytes))
        text.gauge("dssm_forwarder_buffered_records", "Records that wait for an ack.", Int64(buffer.liveRecords))
        text.gauge(
            "dssm_forwarder_buffer_writable", "1 while the buffer can be written.", retryBufferAt == nil ? 1 : Int64(0))
        text.gauge("dssm_forwarder_files", "Files that are followed.", Int64(follower.fileCount))
        text.family("dssm_forwarder_file_lag_bytes", .gauge, "Bytes written and not read yet.")
        for (path, bytes) in follower.lags { text.sample(Int64(bytes), [("path", path)]) }
        text.family("dssm_forwarder_server_ready", .gauge, "1 while chunks can be sent to the server.")
        for (index, link) in links.enumerated() {
            text.sample(pool.phase(index) == .ready ? Int64(1) : 0, [("server", link.server.name)])
        }
        text.family("dssm_forwarder_server_acknowledged_chunks_total", .counter, "Chunks acknowledged by the server.")
        for link in links { text.sample(link.acknowledgedChunks, [("server", link.server.name)]) }
        text.counter("dssm_log_dropped_lines_total", "Log lines that standard output did not take.", sink.droppedLines)
    }
}
