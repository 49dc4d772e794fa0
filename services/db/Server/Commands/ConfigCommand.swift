// CONFIG GET, SET, RESETSTAT, REWRITE.
//
// CONFIG SET changes all of its parameters or none: they are set on a copy, the copy is tried on the parts of the server that
// can refuse it, and only then takes the place of the old one.
//
// - Spec: Redis command reference 7.2: CONFIG.
import ByteStorage
import DatabaseEngine
import RESP
import Reactor
import ServerConfiguration
import TLS
import Telemetry

extension Server {
    func config(_ c: CommandContext) {
        if c.isWord(1, "get"), c.count >= 3 {
            configGet(c)
        } else if c.isWord(1, "set"), c.count >= 4 {
            configSet(c)
        } else if c.isWord(1, "resetstat"), c.count == 2 {
            resetStatistics()
            c.reply.ok()
        } else if c.isWord(1, "rewrite"), c.count == 2 {
            configRewrite(c)
        } else if c.isWord(1, "help"), c.count == 2 {
            replyHelp(
                c, "CONFIG",
                [
                    "GET <pattern> [<pattern> ...]", "SET <directive> <value> [<directive> <value> ...]", "RESETSTAT",
                    "REWRITE",
                ])
        } else if c.isWord(1, "get") || c.isWord(1, "set") {
            c.wrongArity(c.isWord(1, "get") ? "config|get" : "config|set")
        } else {
            c.subcommandSyntaxError("CONFIG")
        }
    }

    private func configGet(_ c: CommandContext) {
        var found: [(String, String)] = []
        var seen: Set<String> = []
        for index in 2..<c.count {
            let pattern = c.text(index).lowercased()
            for parameter in ParameterTable.all {
                for name in [parameter.name, parameter.alias].compactMap({ $0 }) where !seen.contains(name) {
                    let matches = Array(pattern.utf8).withView { pattern in
                        Array(name.utf8).withView { matchesGlob(pattern, $0) }
                    }
                    guard matches else { continue }
                    seen.insert(name)
                    found.append((name, parameter.get(settings)))
                }
            }
        }
        c.reply.map(found.count)
        for (name, value) in found {
            c.reply.bulk(name)
            c.reply.bulk(value)
        }
    }

    /// Whether the client may use what a setting guards.
    func allows(_ guarded: GuardedCommand, _ client: Client) -> Bool {
        switch guarded {
        case .yes: true
        case .no: false
        case .local:
            client.has(.unixSocket) || client.connection.remoteHost == "::1"
                || client.connection.remoteHost.hasPrefix("127.")
        }
    }

    private func configSet(_ c: CommandContext) {
        guard c.count % 2 == 0 else { return c.syntaxError() }
        var changed = settings
        var names: Set<String> = []
        for index in stride(from: 2, to: c.count, by: 2) {
            let name = c.text(index).lowercased()
            guard let parameter = ParameterTable.byName[name] else {
                return c.reply.error("ERR Unknown option or number of arguments for CONFIG SET - '\(name)'")
            }
            guard !parameter.isImmutable else {
                return c.reply.error(
                    "ERR CONFIG SET failed (possibly related to argument '\(name)') - can't set immutable config")
            }
            guard !parameter.isProtected || allows(settings.enableProtectedConfigs, c.client) else {
                return c.reply.error(
                    "ERR CONFIG SET failed (possibly related to argument '\(name)') - can't set protected config")
            }
            guard names.insert(parameter.name).inserted else {
                return c.reply.error(
                    "ERR CONFIG SET failed (possibly related to argument '\(name)') - duplicate parameter")
            }
            let words =
                parameter.isMultiWord
                ? c.text(index + 1).split(separator: " ").map(String.init) : [c.text(index + 1)]
            do throws(ConfigurationValueError) {
                try parameter.set(&changed, words)
            } catch {
                return c.reply.error(
                    "ERR CONFIG SET failed (possibly related to argument '\(name)') - \(error.message)")
            }
        }
        let formerLock = persistence.directoryLock
        if let problem = apply(changed, names) {
            persistence.directoryLock = formerLock
            return c.reply.error("ERR CONFIG SET failed (possibly related to argument '\(problem.0)') - \(problem.1)")
        }
        c.reply.ok()
    }

    /// Puts new settings into force. Returns the parameter and the reason when a part of the server refuses them; then nothing
    /// has changed.
    private func apply(_ changed: ServerSettings, _ names: Set<String>) -> (String, String)? {
        if names.contains(where: { $0.hasPrefix("tls-") }) {
            if let problem = applyTLS(changed) { return (names.first { $0.hasPrefix("tls-") } ?? "tls", problem) }
        }
        if names.contains("dir"), changed.directory != settings.directory {
            if let problem = changeDirectory(changed.directory) { return ("dir", problem) }
        }
        if !names.isDisjoint(with: ["save", "appendonly", "dir"]), Server.persists(changed), !isLoading,
            let resolved = Server.resolvedDirectory(changed.directory), let problem = lockDirectory(resolved)
        {
            return (names.first { ["save", "appendonly", "dir"].contains($0) } ?? "dir", problem)
        }
        if !names.isDisjoint(with: ["port", "tls-port", "bind"]) {
            if let problem = rebind(changed) { return ("port", problem) }
        }
        if names.contains("appendonly"), changed.appendOnly != settings.appendOnly {
            if let problem = switchLog(on: changed.appendOnly) { return ("appendonly", problem) }
        }
        let old = settings
        settings = changed
        log.sink.level = changed.logLevel
        log.sink.fileLimits = changed.logFileLimits
        applySettings()
        persistenceSettingsChanged(from: old)
        settingsChanged(from: old)
        return nil
    }

    /// Opens the listeners of the new settings before it closes the old ones.
    private func rebind(_ changed: ServerSettings) -> String? {
        var opened: [Connection] = []
        let kept = Set(listeners.filter { $0.tag != ConnectionTag.client })
        let current = listeners.filter { $0.tag == ConnectionTag.client }
        // The same port on the same address cannot be bound twice: give up the old ones first, and take them back on failure.
        for listener in current { listener.close(.local("rebinding")) }
        func open(_ settings: ServerSettings) -> String? {
            for host in settings.bindAddresses {
                let isOptional = host.hasPrefix("-")
                let address = isOptional ? String(host.dropFirst()) : host
                do throws(SocketError) {
                    if settings.port > 0 {
                        opened.append(
                            try reactor.listen(host: address, port: UInt16(settings.port), tag: ConnectionTag.client))
                    }
                    if settings.tlsPort > 0, let context = tlsServerContext {
                        opened.append(
                            try reactor.listen(
                                host: address, port: UInt16(settings.tlsPort), tag: ConnectionTag.client, tls: context))
                    }
                } catch {
                    if !isOptional { return "\(error)" }
                }
            }
            return nil
        }
        if let problem = open(changed) {
            for listener in opened { listener.close(.local("rebinding")) }
            opened = []
            if let worse = open(settings) { log.warning("listen-failed", "Cannot listen again: \(worse)") }
            listeners = Array(kept) + opened
            return "Unable to listen on this port: \(problem)"
        }
        listeners = Array(kept) + opened
        return nil
    }

    func resetStatistics() {
        let replication = replicationTraffic
        let received = statistics.replicationBytesReceived &- replication.input
        let sent = statistics.replicationBytesSent &- replication.output
        engine.resetReclaimedObjects()
        statistics = ServerStatistics()
        statistics.replicationBytesReceived = received
        statistics.replicationBytesSent = sent
        statistics.trafficBefore = reactor.traffic
        errors = ErrorStatistics()
        engine.state.pointee.statistics = EngineStatistics()
        timings.reset()
        for index in 0..<commands.slotCount { commandCalls[index] = 0 }
    }

    // MARK: REWRITE

    private func configRewrite(_ c: CommandContext) {
        guard let file = settings.configurationFile else {
            return c.reply.error("ERR The server is running without a config file")
        }
        do throws(ConfigurationError) {
            var rewriter = try ConfigurationRewriter(existing: try ConfigurationFile.read(file), file: file)
            let defaults = ServerSettings()
            for parameter in ParameterTable.all {
                let value = parameter.get(settings)
                let isDefault = value == parameter.get(defaults)
                if let alias = parameter.alias { rewriter.set(alias, []) }
                rewriter.set(parameter.name, rewrittenLines(parameter, value), isDefault: isDefault)
            }
            try ConfigurationFile.write(file, rewriter.text())
            log.notice("config-rewrite", "CONFIG REWRITE executed with success.")
            c.reply.ok()
        } catch {
            log.warning("config-rewrite-failed", "CONFIG REWRITE failed: \(error)")
            c.reply.error("ERR Rewriting config file: \(error.message)")
        }
    }

    /// The lines of a parameter, each as its words.
    private func rewrittenLines(_ parameter: Parameter, _ value: String) -> [[[UInt8]]] {
        let words = value.split(separator: " ").map { Array($0.utf8) }
        switch parameter.name {
        case "save" where !words.isEmpty:
            return stride(from: 0, to: words.count, by: 2).map { [words[$0], words[$0 + 1]] }
        case "client-output-buffer-limit":
            return stride(from: 0, to: words.count, by: 4).map { Array(words[$0..<$0 + 4]) }
        case "replicaof" where words.isEmpty: return []
        default:
            return parameter.isMultiWord && !words.isEmpty ? [words] : [[Array(value.utf8)]]
        }
    }
}
