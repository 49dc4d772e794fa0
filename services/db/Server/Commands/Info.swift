// INFO: sections and field names as Redis users know them.
//
// - Spec: Redis command reference 7.2: INFO. Fields that describe what does not exist here (fork, jemalloc, Lua) are left out or
//   constant, and said so where they are written.
import ByteStorage
import CLinux
import DatabaseEngine
import RESP
import Reactor
import TLS
import Telemetry

extension Server {
    private static let defaultSections = [
        "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "errorstats", "cluster",
        "keyspace",
    ]

    func info(_ c: CommandContext) {
        var wanted: [String] = []
        for index in 1..<max(1, c.count) {
            let name = c.text(index).lowercased()
            switch name {
            case "all", "everything": wanted += Server.defaultSections + ["commandstats", "latencystats"]
            case "default": wanted += Server.defaultSections
            default: wanted.append(name)
            }
        }
        if c.count == 1 { wanted = Server.defaultSections }
        var text = ""
        var seen: Set<String> = []
        for section in wanted where seen.insert(section).inserted {
            guard let fields = infoSection(section) else { continue }
            if !text.isEmpty { text += "\r\n" }
            text += "# \(section == "cpu" ? "CPU" : section.prefix(1).uppercased() + section.dropFirst())\r\n"
            for (name, value) in fields { text += "\(name):\(value)\r\n" }
        }
        c.reply.verbatim(text)
    }

    private func infoSection(_ section: String) -> [(String, String)]? {
        switch section {
        case "server": infoServer()
        case "clients": infoClients()
        case "memory": infoMemory()
        case "persistence": infoPersistence()
        case "stats": infoStats()
        case "replication": infoReplication()
        case "cpu": infoCPU()
        case "modules": []
        case "errorstats": []
        case "cluster": [("cluster_enabled", "0")]
        case "keyspace": infoKeyspace()
        case "commandstats": infoCommandStats()
        case "latencystats": []
        case "tls": infoTLS()
        default: nil
        }
    }

    private func infoServer() -> [(String, String)] {
        let uptime = (reactor.now - startedAt) / 1000
        return [
            ("redis_version", Server.redisVersion), ("dssm_version", ProductVersion.current),
            ("redis_git_sha1", "00000000"),
            ("redis_git_dirty", "0"), ("redis_mode", "standalone"), ("os", Server.operatingSystem),
            ("arch_bits", "64"), ("monotonic_clock", "POSIX clock_gettime"), ("multiplexing_api", "epoll"),
            ("process_id", "\(getpid())"), ("process_supervised", "no"), ("run_id", runID),
            ("tcp_port", "\(settings.port > 0 ? settings.port : settings.tlsPort)"),
            ("server_time_usec", "\(reactor.now * 1000)"), ("uptime_in_seconds", "\(uptime)"),
            ("uptime_in_days", "\(uptime / 86400)"), ("hz", "\(settings.hertz)"),
            ("configured_hz", "\(settings.hertz)"),
            ("lru_clock", "\(reactor.now / 1000 & 0xff_ffff)"), ("executable", CommandLine.arguments.first ?? ""),
            ("config_file", settings.configurationFile ?? ""), ("io_threads_active", "0"),
        ] + infoTLS()
    }

    private static let operatingSystem: String = {
        var name = utsname()
        guard uname(&name) == 0 else { return "Linux" }
        func text<Value>(_ value: Value) -> String {
            withUnsafeBytes(of: value) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        return "\(text(name.sysname)) \(text(name.release)) \(text(name.machine))"
    }()

    private func infoTLS() -> [(String, String)] {
        guard let certificate = tlsServerContext?.certificate else { return [] }
        return [
            ("tls_certificate_subject", certificate.subject),
            ("tls_certificate_not_after", "\(certificate.notAfter)"),
            ("tls_certificate_days_left", "\(certificate.daysLeft(now: reactor.now / 1000))"),
        ]
    }

    private func infoClients() -> [(String, String)] {
        let all = clients.values
        let subscribers = all.reduce(0) { $0 + ($1.has(.subscribed) ? 1 : 0) }
        return [
            ("connected_clients", "\(all.reduce(0) { $0 + ($1.has(.replica) ? 0 : 1) })"), ("cluster_connections", "0"),
            ("maxclients", "\(settings.maxClients)"),
            ("client_recent_max_input_buffer", "\(all.map { $0.connection.input.count }.max() ?? 0)"),
            ("client_recent_max_output_buffer", "\(all.map { $0.connection.pendingOutput }.max() ?? 0)"),
            ("blocked_clients", "\(blocked.count)"), ("tracking_clients", "0"), ("pubsub_clients", "\(subscribers)"),
            ("watching_clients", "\(all.reduce(0) { $0 + ($1.details.watched.isEmpty ? 0 : 1) })"),
            ("clients_in_timeout_table", "0"), ("total_watched_keys", "\(watchers.count)"),
            ("total_blocking_keys", "\(blocked.byKey.count)"),
        ]
    }

    /// Bytes of connections' buffers and of the replication stream: what counts for maxmemory beyond the dataset is none of
    /// these, as in Redis replicas' buffers are not counted.
    func infoMemory() -> [(String, String)] {
        let used = engine.usedBytes
        let resident = Server.residentBytes()
        peakMemory = max(peakMemory, used)
        let clientBytes = clients.values.reduce(0) { $0 + $1.connection.bufferBytes + 1024 }
        let limit = settings.engine.maxMemoryBytes
        return [
            ("used_memory", "\(used)"), ("used_memory_human", Server.human(used)), ("used_memory_rss", "\(resident)"),
            ("used_memory_rss_human", Server.human(resident)), ("used_memory_peak", "\(peakMemory)"),
            ("used_memory_peak_human", Server.human(peakMemory)), ("used_memory_dataset", "\(used)"),
            ("mem_clients_normal", "\(clientBytes)"), ("mem_replication_backlog", "\(backlogMemory)"),
            ("mem_aof_buffer", "\(logBufferBytes)"), ("maxmemory", "\(limit)"),
            ("maxmemory_human", Server.human(limit)),
            ("maxmemory_policy", settings.engine.maxMemoryPolicy.rawValue),
            ("mem_fragmentation_ratio", Server.ratio(resident, used)), ("mem_allocator", "dssm-slab"),
            ("lazyfree_pending_objects", "\(engine.objectsToReclaim)"),
            ("lazyfreed_objects", "\(engine.reclaimedObjects)"), ("active_defrag_running", "0"),
        ]
    }

    static func ratio(_ left: Int, _ right: Int) -> String {
        guard right > 0 else { return "0.00" }
        let hundredths = left * 100 / right
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// Redis's human form: `1.50M`.
    static func human(_ bytes: Int) -> String {
        for (unit, factor) in [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)] where bytes >= factor {
            return ratio(bytes, factor) + unit
        }
        return "\(bytes)B"
    }

    static func residentBytes() -> Int {
        let fd = cl_open("/proc/self/statm", O_RDONLY, 0)
        guard fd >= 0 else { return 0 }
        defer { _ = close(fd) }
        var buffer = [UInt8](repeating: 0, count: 128)
        let count = read(fd, &buffer, buffer.count)
        guard count > 0 else { return 0 }
        let fields = String(decoding: buffer[..<count], as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4096 : 0
    }

    private func infoStats() -> [(String, String)] {
        let counters = engine.state.pointee.statistics
        var received = statistics.bytesReceived
        var sent = statistics.bytesSent
        for client in clients.values {
            received += client.connection.state.pointee.bytesReceived
            sent += client.connection.state.pointee.bytesSent
        }
        return [
            ("total_connections_received", "\(statistics.connectionsReceived)"),
            ("total_commands_processed", "\(statistics.commandsProcessed)"),
            ("instantaneous_ops_per_sec", "\(instantaneousOperations)"), ("total_net_input_bytes", "\(received)"),
            ("total_net_output_bytes", "\(sent)"), ("rejected_connections", "\(statistics.rejectedConnections)"),
            ("sync_full", "\(statistics.fullSyncs)"), ("sync_partial_ok", "\(statistics.partialSyncs)"),
            ("sync_partial_err", "\(statistics.partialSyncErrors)"), ("expired_keys", "\(counters.expiredKeys)"),
            ("expired_stale_perc", "0.00"), ("expired_time_cap_reached_count", "0"),
            ("evicted_keys", "\(counters.evictedKeys)"), ("evicted_clients", "0"),
            ("keyspace_hits", "\(counters.keyspaceHits)"), ("keyspace_misses", "\(counters.keyspaceMisses)"),
            ("pubsub_channels", "\(pubsub.channels.count)"), ("pubsub_patterns", "\(pubsub.patterns.count)"),
            ("pubsubshard_channels", "\(pubsub.shardChannels.count)"), ("latest_fork_usec", "0"), ("total_forks", "0"),
            ("total_error_replies", "\(statistics.errorReplies)"),
            ("client_output_buffer_limit_disconnections", "\(statistics.outputLimitDisconnections)"),
            ("tls_handshake_failures", "\(statistics.tlsFailures)"), ("held_replies", "\(reactor.heldConnectionCount)"),
        ]
    }

    private func infoCPU() -> [(String, String)] {
        func usage(_ who: Int32) -> (String, String) {
            var usage = rusage()
            getrusage(who, &usage)
            func text(_ time: timeval) -> String {
                let micro = String(time.tv_usec)
                return "\(time.tv_sec).\(String(repeating: "0", count: max(0, 6 - micro.count)))\(micro)"
            }
            return (text(usage.ru_stime), text(usage.ru_utime))
        }
        let own = usage(cl_rusage_self())
        return [("used_cpu_sys", own.0), ("used_cpu_user", own.1)]
    }

    private func infoKeyspace() -> [(String, String)] {
        (0..<settings.databases).filter { engine.keyCount($0) > 0 }.map {
            ("db\($0)", "keys=\(engine.keyCount($0)),expires=\(engine.expiryCount($0)),avg_ttl=0")
        }
    }

    private func infoCommandStats() -> [(String, String)] {
        var fields: [(String, String)] = []
        for spec in commands.specs {
            let calls = commandCalls[Int(spec.id.rawValue)]
            guard calls > 0 else { continue }
            let timed = timings.entries[Int(spec.id.rawValue)]
            let micros = timed.nanoseconds / 1000
            let perCall = timed.calls > 0 ? Server.ratio(Int(micros), Int(timed.calls)) : "0.00"
            fields.append(
                (
                    "cmdstat_\(spec.name)",
                    "calls=\(calls),usec=\(micros),usec_per_call=\(perCall),rejected_calls=0,failed_calls=0"
                ))
        }
        return fields
    }
}
