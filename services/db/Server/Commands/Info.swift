// INFO: sections and field names as Redis users know them.
//
// Every field is measured. Those of what cannot exist here (fork, jemalloc, Lua, active defragmentation, client-side caching,
// I/O threads) have the value that Redis shows while it does not use it, and stand together in `absentStats` and `absentMemory`.
//
// - Spec: Redis command reference 7.2: INFO.
import ByteStorage
import CLinux
import DatabaseEngine
import RESP
import Reactor
import TLS
import Telemetry

extension Server {
    /// In the order of the reply, whatever the order of the request.
    private static let sections = [
        "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "commandstats",
        "errorstats", "latencystats", "cluster", "keyspace", "tls",
    ]
    private static let defaultSections = Set(sections).subtracting(["commandstats", "latencystats", "tls"])

    func info(_ c: CommandContext) {
        var wanted: Set<String> = []
        for index in 1..<max(1, c.count) {
            let name = c.text(index).lowercased()
            switch name {
            case "all", "everything": wanted.formUnion(Server.defaultSections.union(["commandstats", "latencystats"]))
            case "default": wanted.formUnion(Server.defaultSections)
            default: wanted.insert(name)
            }
        }
        if c.count == 1 { wanted = Server.defaultSections }
        var text = ""
        for section in Server.sections where wanted.contains(section) {
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
        case "errorstats": errors.counts.sorted { $0.key < $1.key }.map { ("errorstat_\($0)", "count=\($1)") }
        case "cluster": [("cluster_enabled", "0")]
        case "keyspace": infoKeyspace()
        case "commandstats": infoCommandStats()
        case "latencystats": infoLatencyStats()
        case "tls": infoTLS()
        default: nil
        }
    }

    private func infoServer() -> [(String, String)] {
        let uptime = (reactor.now - startedAt) / 1000
        return [
            ("redis_version", Server.redisVersion), ("dssm_version", ProductVersion.current),
            ("redis_git_sha1", "00000000"),
            ("redis_git_dirty", "0"), ("redis_build_id", Server.buildID), ("redis_mode", "standalone"),
            ("os", Server.operatingSystem),
            ("arch_bits", "64"), ("monotonic_clock", "POSIX clock_gettime"), ("multiplexing_api", "epoll"),
            ("atomicvar_api", "swift-synchronization"), ("gcc_version", "0.0.0"),
            ("process_id", "\(getpid())"), ("process_supervised", "no"), ("run_id", runID),
            ("tcp_port", "\(settings.port > 0 ? settings.port : settings.tlsPort)"),
            ("server_time_usec", "\(reactor.now * 1000)"), ("uptime_in_seconds", "\(uptime)"),
            ("uptime_in_days", "\(uptime / 86400)"), ("hz", "\(settings.hertz)"),
            ("configured_hz", "\(settings.hertz)"),
            ("lru_clock", "\(reactor.now / 1000 & 0xff_ffff)"), ("executable", CommandLine.arguments.first ?? ""),
            ("config_file", settings.configurationFile ?? ""), ("io_threads_active", "0"),
        ] + infoListeners() + infoTLS()
    }

    /// Sixteen digits that differ between versions.
    private static let buildID: String = {
        let hash = "dssm-db \(ProductVersion.current) \(redisVersion)".utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: max(0, 16 - digits.count)) + digits
    }()

    private func infoListeners() -> [(String, String)] {
        let addresses = settings.bindAddresses.map { "bind=\($0)" }.joined(separator: ",")
        var listeners: [String] = []
        if settings.port > 0 { listeners.append("name=tcp,\(addresses),port=\(settings.port)") }
        if !settings.unixSocket.isEmpty { listeners.append("name=unix,bind=\(settings.unixSocket)") }
        if settings.tlsPort > 0 { listeners.append("name=tls,\(addresses),port=\(settings.tlsPort)") }
        return listeners.enumerated().map { ("listener\($0)", $1) }
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
            ("clients_in_timeout_table", "\(blocked.timedCount)"), ("total_watched_keys", "\(watchers.count)"),
            ("total_blocking_keys", "\(blocked.byKey.count)"), ("total_blocking_keys_on_nokey", "0"),
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

    private func infoCPU() -> [(String, String)] {
        func usage(_ who: Int32, _ suffix: String) -> [(String, String)] {
            var usage = rusage()
            getrusage(who, &usage)
            func text(_ time: timeval) -> String {
                let micro = String(time.tv_usec)
                return "\(time.tv_sec).\(String(repeating: "0", count: max(0, 6 - micro.count)))\(micro)"
            }
            return [("used_cpu_sys\(suffix)", text(usage.ru_stime)), ("used_cpu_user\(suffix)", text(usage.ru_utime))]
        }
        return usage(cl_rusage_self(), "") + usage(cl_rusage_children(), "_children")
            + usage(cl_rusage_thread(), "_main_thread")
    }

    private func infoKeyspace() -> [(String, String)] {
        (0..<settings.databases).filter { engine.keyCount($0) > 0 }.map {
            (
                "db\($0)",
                "keys=\(engine.keyCount($0)),expires=\(engine.expiryCount($0)),avg_ttl=\(engine.averageTTL($0))"
            )
        }
    }

    // MARK: Commands

    private func infoCommandStats() -> [(String, String)] {
        var fields: [(String, String)] = []
        for spec in commands.allSpecs {
            let calls = commandCalls[spec.slot]
            let timed = timings.entries[spec.slot]
            guard calls > 0 || timed.rejected > 0 else { continue }
            let perCall = timed.calls > 0 ? Double(timed.nanoseconds) / 1000 / Double(timed.calls) : 0
            fields.append(
                (
                    "cmdstat_\(spec.name)",
                    "calls=\(calls),usec=\(Int((perCall * Double(calls)).rounded())),usec_per_call="
                        + Server.fixed(perCall, digits: 2)
                        + ",rejected_calls=\(timed.rejected),failed_calls=\(timed.failed)"
                ))
        }
        return fields
    }

    private func infoLatencyStats() -> [(String, String)] {
        var fields: [(String, String)] = []
        for spec in commands.allSpecs {
            guard let histogram = timings.entries[spec.slot].histogram else { continue }
            let parts = settings.latencyPercentiles.map {
                "p\(Server.shortest($0))=" + Server.fixed(Double(histogram.percentile($0)) / 1000, digits: 3)
            }
            fields.append(("latency_percentiles_usec_\(spec.name)", parts.joined(separator: ",")))
        }
        return fields
    }

    /// A number with so many digits after the point.
    static func fixed(_ value: Double, digits: Int) -> String {
        let factor = (0..<digits).reduce(1) { result, _ in result * 10 }
        let scaled = Int((min(max(value, 0), 1e12) * Double(factor)).rounded())
        let rest = String(scaled % factor)
        return "\(scaled / factor).\(String(repeating: "0", count: max(0, digits - rest.count)))\(rest)"
    }

    /// The shortest text of a number: `50`, `99.9`.
    static func shortest(_ value: Double) -> String {
        value.rounded() == value && value.magnitude < 1e15 ? "\(Int(value))" : "\(value)"
    }
}
