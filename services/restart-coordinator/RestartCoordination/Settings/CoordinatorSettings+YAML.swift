// The settings file: YAML, every key known, every mistake with file and line.
import Foundation
import TLS
import Telemetry
import YAML

extension CoordinatorSettings {
    /// Reads a settings file.
    public init(file: String) throws(SettingsError) {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw SettingsError(file: file, line: 0, "cannot be read")
        }
        try self.init(yaml: String(decoding: data, as: UTF8.self), file: file)
    }

    /// - Parameter file: its name, for messages.
    public init(yaml text: String, file: String) throws(SettingsError) {
        self.init()
        let document: YAMLNode?
        do throws(YAMLError) {
            document = try YAMLParser.parse(text)
        } catch {
            throw SettingsError(file: file, line: error.line, error.message)
        }
        let root = try SettingsNode(
            document, file: file, name: "", line: 1,
            keys: [
                "namespace", "db", "sentinel", "primary-name", "cluster-domain", "certificate", "tls", "windows",
                "blackouts",
                "now-duration", "tmm", "step-allowance", "reload-grace", "sync-lag-bytes", "interval", "busy-interval",
                "probe-timeout", "state", "lease", "lease-duration", "http", "log",
            ])
        try readNames(root)
        try readTLS(root)
        try readWindows(root)
        try readWorkloads(root)
        try readTimes(root)
        try readService(root)
    }

    private mutating func readNames(_ root: SettingsNode) throws(SettingsError) {
        if let name = try root.string("namespace") { namespace = name }
        if let name = try root.string("db") { db = name }
        if let name = try root.string("sentinel") { sentinel = name }
        if let name = try root.string("primary-name") { primaryName = name }
        if let name = try root.string("cluster-domain") { clusterDomain = name }
        if let name = try root.string("state") { stateConfigMap = name }
        if let name = try root.string("lease") { lease = name }
        let certificate = try root.child("certificate", keys: ["secret", "item"])
        if let name = try certificate.string("secret") { certificatesSecret = name }
        if let name = try certificate.string("item") { certificateItem = name }
    }

    private mutating func readTLS(_ root: SettingsNode) throws(SettingsError) {
        let node = try root.child("tls", keys: ["enabled", "ca-file", "certificate-file", "key-file"])
        guard try node.bool("enabled") ?? true else {
            tls = nil
            return
        }
        var files = CoordinatorSettings.mountedTLS
        if let path = try node.string("ca-file") { files.caFile = path }
        if let path = try node.string("certificate-file") { files.certificateFile = path }
        if let path = try node.string("key-file") { files.keyFile = path }
        tls = files
    }

    // MARK: Windows

    private mutating func readWindows(_ root: SettingsNode) throws(SettingsError) {
        for node in try root.children("windows", keys: ["name", "cron", "time-zone", "duration"]) {
            guard let cron = try node.string("cron") else { throw node.error("cron", "is missing") }
            let opens: CronExpression
            do throws(CronExpression.Problem) {
                opens = try CronExpression(cron)
            } catch { throw node.error("cron", error.description) }
            let zoneName = try node.string("time-zone") ?? "UTC"
            guard let timeZone = TimeZones.find(zoneName) else {
                throw node.error("time-zone", "'\(zoneName)' is no time zone, such as UTC or Europe/Berlin")
            }
            guard let seconds = try node.seconds("duration", 60...604_800) else {
                throw node.error("duration", "is missing")
            }
            let name = try node.string("name") ?? "window-\(windows.count + 1)"
            guard !windows.contains(where: { $0.name == name }) else {
                throw node.error("name", "'\(name)' is there twice")
            }
            windows.append(
                MaintenanceWindow(
                    name: name, opens: opens, cron: cron, timeZone: timeZone, duration: .seconds(seconds)))
        }
        for text in try root.strings("blackouts") {
            do throws(CronExpression.Problem) {
                blackouts.append((text, try Blackout(text)))
            } catch { throw root.error("blackouts", error.description) }
        }
        if let seconds = try root.seconds("now-duration", 60...604_800) { nowDuration = .seconds(seconds) }
    }

    // MARK: TMM

    private mutating func readWorkloads(_ root: SettingsNode) throws(SettingsError) {
        let tmm = try root.child("tmm", keys: ["restart", "workloads"])
        policy.stopsWorkloads = try tmm.bool("restart") ?? false
        for node in try tmm.children("workloads", keys: ["namespace", "name", "selector"]) {
            guard let namespace = try node.string("namespace") else { throw node.error("namespace", "is missing") }
            switch (try node.string("name"), try node.string("selector")) {
            case (let name?, nil): workloads.append(WorkloadSelection(namespace: namespace, .name(name)))
            case (nil, let labels?): workloads.append(WorkloadSelection(namespace: namespace, .labels(labels)))
            default: throw node.error("name", "either a name or a selector is needed")
            }
        }
        guard !policy.stopsWorkloads || !workloads.isEmpty else {
            throw tmm.error("restart", "there are no workloads to restart")
        }
    }

    private mutating func readTimes(_ root: SettingsNode) throws(SettingsError) {
        if let seconds = try root.seconds("step-allowance", 1...86_400) { policy.stepAllowance = .seconds(seconds) }
        if let seconds = try root.seconds("reload-grace", 0...86_400) { reloadGrace = .seconds(seconds) }
        if let bytes = try root.bytes("sync-lag-bytes", 0...(1 << 40)) { syncLagBytes = Int64(bytes) }
        if let milliseconds = try root.milliseconds("interval", 100...3_600_000) { interval = milliseconds }
        if let milliseconds = try root.milliseconds("busy-interval", 10...60_000) { busyInterval = milliseconds }
        if let milliseconds = try root.milliseconds("probe-timeout", 100...60_000) { probeTimeout = milliseconds }
        if let seconds = try root.seconds("lease-duration", 1...3600) { leaseDuration = .seconds(seconds) }
    }

    private mutating func readService(_ root: SettingsNode) throws(SettingsError) {
        let http = try root.child("http", keys: ["host", "port"])
        if let host = try http.string("host") { httpHost = host }
        if let port = try http.integer("port", 0...65535) { httpPort = UInt16(port) }
        let log = try root.child("log", keys: ["level", "format"])
        if let name = try log.string("level") {
            guard let level = LogLevel(name: name) else {
                throw log.error("level", "must be one of \(LogLevel.allCases.map(\.name).joined(separator: ", "))")
            }
            logLevel = level
        }
        if let format = try log.choice("format", LogFormat.self) { logFormat = format }
    }
}

extension SettingsNode {
    /// A time such as `500ms`, `15s` or `1m`.
    fileprivate func milliseconds(_ key: String, _ range: ClosedRange<Int64>) throws(SettingsError) -> Duration? {
        guard let text = try string(key) else { return nil }
        var milliseconds: Int64?
        if text.hasSuffix("ms") {
            milliseconds = Int64(text.dropLast(2))
        } else {
            milliseconds = TimeSpan.seconds(text).flatMap { $0 > range.upperBound ? nil : $0 * 1000 }
        }
        guard let milliseconds, range.contains(milliseconds) else {
            throw error(
                key, "must be a time such as 500ms or 15s, from \(range.lowerBound) to \(range.upperBound) ms")
        }
        return .milliseconds(milliseconds)
    }
}
