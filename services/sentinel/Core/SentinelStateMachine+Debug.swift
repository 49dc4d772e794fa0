// SENTINEL DEBUG, INFO-CACHE and SIMULATE-FAILURE: for tests and for those who look for the cause of something.

extension SentinelStateMachine {
    // MARK: DEBUG

    private static let periods: [(name: String, path: any WritableKeyPath<SentinelTiming, Milliseconds> & Sendable)] = [
        ("info-period", \.informationPeriod), ("ping-period", \.pingPeriod), ("ask-period", \.askPeriods[1]),
        ("publish-period", \.helloPeriod), ("tilt-trigger", \.tiltTrigger), ("tilt-period", \.tiltPeriod),
        ("slave-reconf-timeout", \.replicaReconfigurationTimeout), ("min-link-reconnect-period", \.minimumLinkAge),
        ("election-timeout", \.electionTimeout), ("script-max-runtime", \.scriptRuntime),
        ("script-retry-delay", \.scriptRetryDelay),
    ]

    /// Without arguments all periods; else pairs of a period and its new value, all of them or none.
    func debug(_ arguments: [String]) -> Reply {
        if arguments.isEmpty {
            return .map(
                Self.periods.flatMap { [.bulk($0.name.uppercased()), .bulk(String(timing[keyPath: $0.path]))] })
        }
        var changed = timing
        for index in stride(from: 0, to: arguments.count, by: 2) {
            let name = arguments[index]
            guard let period = Self.periods.first(where: { $0.name == name.lowercased() }), index + 1 < arguments.count
            else { return .error("ERR Unknown option or number of arguments for SENTINEL DEBUG '\(name.prefix(128))'") }
            guard let value = Milliseconds(arguments[index + 1]), (1...maximumPeriod).contains(value) else {
                let shown = arguments[index + 1].prefix(128)
                return .error("ERR Invalid argument '\(shown)' for SENTINEL DEBUG '\(name)'")
            }
            changed[keyPath: period.path] = value
        }
        timing = changed
        return .ok
    }

    // MARK: INFO-CACHE

    /// Longest text that is kept of an INFO reply, bytes.
    static let cachedInformationBytes = 64 << 10

    /// For each primary its name and, for it and its replicas, the age and the text of the last INFO.
    func informationCache(_ names: [String]) -> Reply {
        let chosen = names.isEmpty ? groups : names.compactMap { group($0) }
        return .map(
            chosen.flatMap { group -> [Reply] in
                let entries = group.databases.map { instance -> Reply in
                    let age = instance.informationRefreshed.map { now - $0 } ?? 0
                    return .array([.integer(age), instance.informationText.map { .bulk($0) } ?? .null])
                }
                return [.bulk(group.name), .array(entries)]
            })
    }

    // MARK: SIMULATE-FAILURE

    /// Where the process is to end, as a test of the others.
    struct SimulatedFailures: OptionSet {
        let rawValue: Int
        static let crashAfterElection = SimulatedFailures(rawValue: 1)
        static let crashAfterPromotion = SimulatedFailures(rawValue: 2)
    }

    func simulateFailure(_ arguments: [String]) -> Reply {
        var chosen: SimulatedFailures = []
        for argument in arguments {
            switch argument.lowercased() {
            case "crash-after-election": chosen.insert(.crashAfterElection)
            case "crash-after-promotion": chosen.insert(.crashAfterPromotion)
            case "help": return .array([.bulk("crash-after-election"), .bulk("crash-after-promotion")])
            default: return .error("ERR Unknown failure simulation specified")
            }
        }
        simulatedFailures = chosen
        return .ok
    }

    func crashIfSimulated(_ failure: SimulatedFailures) {
        guard simulatedFailures.contains(failure) else { return }
        actions.append(.crash("Sentinel CRASH because of SENTINEL simulate-failure"))
    }
}
