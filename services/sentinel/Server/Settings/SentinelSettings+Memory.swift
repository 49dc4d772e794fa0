// The sentinel's memory in a file of its own (`state-file`), so that the settings may be read-only and change between lives.
import RESPClient
import RoleDiscovery
import SentinelCore
import ServerConfiguration

extension SentinelSettings {
    /// Where the memory is; nil when it is in the settings file itself.
    public var statePath: String? {
        stateFile.isEmpty ? nil : stateFile.hasPrefix("/") ? stateFile : "\(directory)/\(stateFile)"
    }

    /// Takes over what the state file says; without a memory of the first primary, and with somebody to ask, that one is looked
    /// for before it is monitored.
    public mutating func remember(_ directives: [Directive]) throws(ConfigurationError) {
        var lines: [SentinelDirective] = []
        for directive in directives where directive.name == "sentinel" {
            do throws(SentinelDirectiveError) {
                lines.append(try SentinelDirective.parse(directive.arguments))
            } catch {
                throw ConfigurationError("\(error)", file: directive.file, line: directive.line)
            }
        }
        let memory: SentinelConfiguration
        do throws(SentinelDirectiveError) {
            memory = try SentinelConfiguration(lines)
        } catch {
            throw ConfigurationError("\(error)", file: statePath ?? "")
        }
        sentinel.resume(from: memory)
        // All dbs are known from the beginning: a sentinel that ended before it had heard of the replicas has to find a successor too.
        if !sentinel.primaries.isEmpty {
            let dbs = discoveryDatabases.map { Endpoint($0.host, $0.port) }
            let known = sentinel.primaries[0].replicas
            sentinel.primaries[0].replicas += dbs.filter { $0 != sentinel.primaries[0].endpoint && !known.contains($0) }
        }
        var first = sentinel.primaries.first
        guard let name = first?.name, !memory.primaries.contains(where: { $0.name == name }),
            !discoverySentinels.isEmpty || !discoveryDatabases.isEmpty
        else { return }
        first?.replicas = discoveryDatabases.map { Endpoint($0.host, $0.port) }
        withheldPrimary = first
        sentinel.primaries.removeAll { $0.name == name }
    }
}
