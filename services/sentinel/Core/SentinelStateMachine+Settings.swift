// SENTINEL SET and SENTINEL CONFIG: settings at run time. All changes of one command are checked before any is made.

extension SentinelStateMachine {
    // MARK: SENTINEL SET

    func set(_ group: MonitoredPrimary, _ arguments: [String]) -> Reply {
        var changes: [(option: String, shown: String, directive: SentinelDirective?, quorum: Int?)] = []
        var rest = arguments[...]
        while let option = rest.popFirst() {
            let name = option.lowercased()
            let count = name == "rename-command" ? 2 : 1
            guard Self.options.contains(name), rest.count >= count else {
                return .error("ERR Unknown option or number of arguments for SENTINEL SET '\(option.prefix(128))'")
            }
            let values = Array(rest.prefix(count))
            rest = rest.dropFirst(count)
            let invalid = Reply.error("ERR Invalid argument '\(values[0].prefix(128))' for SENTINEL SET '\(option)'")
            switch name {
            case "notification-script" where global.denyScriptsReconfiguration,
                "client-reconfig-script" where global.denyScriptsReconfiguration:
                return .error(
                    "ERR Reconfiguration of scripts path is denied for security reasons. Check the "
                        + "deny-scripts-reconfig configuration directive in your Sentinel configuration")
            case "quorum":
                guard let quorum = Int(values[0]), (1...1000).contains(quorum) else { return invalid }
                changes.append((name, values[0], nil, quorum))
            default:
                guard let directive = try? SentinelDirective.parse([name, group.name] + values) else { return invalid }
                let shown = name == "auth-pass" ? "******" : values.joined(separator: " ")
                changes.append((name, shown, directive, nil))
            }
        }
        for change in changes {
            if let quorum = change.quorum { group.quorum = quorum }
            if let directive = change.directive { apply(directive, group) }
            emit(.warning, "+set", group, group.primary, " \(change.option) \(change.shown)")
        }
        if !changes.isEmpty { markChanged() }
        return .ok
    }

    private static let options: Set<String> = [
        "down-after-milliseconds", "failover-timeout", "parallel-syncs", "notification-script",
        "client-reconfig-script", "auth-pass", "auth-user", "quorum", "rename-command",
        "master-reboot-down-after-period", "write-quorum",
    ]

    private func apply(_ directive: SentinelDirective, _ group: MonitoredPrimary) {
        switch directive {
        case .downAfter(_, let value): group.downAfter = value
        case .failoverTimeout(_, let value): group.failoverTimeout = value
        case .parallelSyncs(_, let value): group.parallelSyncs = value
        case .rebootDownAfter(_, let value): group.rebootDownAfter = value
        case .writeQuorum(_, let value): group.writeQuorum = value
        case .renameCommand(_, let from, let to): group.renamedCommands[from] = from == to.uppercased() ? nil : to
        case .notificationScript(_, let path): group.notificationScript = path.isEmpty ? nil : path
        case .reconfigurationScript(_, let path): group.reconfigurationScript = path.isEmpty ? nil : path
        case .authPassword(_, let value):
            group.authPassword = value.isEmpty ? nil : value
            dropDatabaseLinks(group)
        case .authUser(_, let value):
            group.authUser = value.isEmpty ? nil : value
            dropDatabaseLinks(group)
        default: break
        }
    }

    /// Links with the old credentials end; new ones authenticate anew.
    private func dropDatabaseLinks(_ group: MonitoredPrimary) {
        for instance in group.databases {
            dropAll(instance)
            instance.lastAvailable = now
            instance.unansweredSince = nil
        }
    }

    // MARK: SENTINEL CONFIG

    func executeConfig(_ arguments: [String]) -> Reply {
        switch arguments[0].lowercased() {
        case "get" where arguments.count >= 2: return getGlobal(Array(arguments.dropFirst()))
        case "set" where arguments.count >= 3 && arguments.count % 2 == 1:
            return setGlobal(Array(arguments.dropFirst()))
        default:
            return .error("ERR Only SENTINEL CONFIG GET <option> / SET <option> <value> are supported.")
        }
    }

    private func getGlobal(_ patterns: [String]) -> Reply {
        let values: [(String, String)] = [
            ("resolve-hostnames", yesNo(global.resolveHostnames)),
            ("announce-hostnames", yesNo(global.announceHostnames)),
            ("announce-ip", global.announceHost),
            ("announce-port", String(global.announcePort)),
            ("sentinel-user", global.sentinelUser ?? ""),
            ("sentinel-pass", global.sentinelPassword ?? ""),
        ]
        let found = values.filter { value in
            patterns.contains { matchesGlob($0, value.0, ignoringCase: true) }
        }
        return .map(found.flatMap { [.bulk($0.0), .bulk($0.1)] })
    }

    private func setGlobal(_ arguments: [String]) -> Reply {
        var changed = global
        for index in stride(from: 0, to: arguments.count - 1, by: 2) {
            let name = arguments[index]
            let value = arguments[index + 1]
            guard Self.globalOptions.contains(name.lowercased()) else {
                return .error("ERR Invalid argument '\(name.prefix(128))' to SENTINEL CONFIG SET")
            }
            guard let directive = try? SentinelDirective.parse([name, value]) else {
                return .error("ERR Invalid value '\(value.prefix(128))' to SENTINEL CONFIG SET '\(name)'")
            }
            switch directive {
            case .resolveHostnames(let on): changed.resolveHostnames = on
            case .announceHostnames(let on): changed.announceHostnames = on
            case .announceHost(let host): changed.announceHost = host
            case .announcePort(let port): changed.announcePort = port
            case .sentinelUser(let user): changed.sentinelUser = user.isEmpty ? nil : user
            case .sentinelPassword(let password): changed.sentinelPassword = password.isEmpty ? nil : password
            default: break
            }
        }
        let mustReconnect =
            changed.sentinelUser != global.sentinelUser || changed.sentinelPassword != global.sentinelPassword
        global = changed
        markChanged()
        if mustReconnect {
            for group in groups { for sentinel in group.sentinels { dropAll(sentinel) } }
        }
        return .ok
    }

    private static let globalOptions: Set<String> = [
        "resolve-hostnames", "announce-hostnames", "announce-ip", "announce-port", "sentinel-user", "sentinel-pass",
    ]
}
