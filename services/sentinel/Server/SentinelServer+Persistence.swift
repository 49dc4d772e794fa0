// The settings file: where the sentinel's memory is kept between lives.
//
// It is rewritten as a whole by a worker thread: a temporary file, fsync, rename, fsync of the folder. What a person wrote
// there stays: comments, `port`, `tls-*`, the order. Only `sentinel ...` lines are replaced.

import CLinux
import Reactor
import SentinelCore
import ServerConfiguration
import Telemetry

extension SentinelServer {
    /// The names of all directives that the sentinel writes, as the rewriter counts them.
    private static let directiveNames = [
        "myid", "deny-scripts-reconfig", "resolve-hostnames", "announce-hostnames", "announce-ip", "announce-port",
        "sentinel-user", "sentinel-pass", "monitor", "down-after-milliseconds", "failover-timeout", "parallel-syncs",
        "auth-pass", "auth-user", "master-reboot-down-after-period", "write-quorum", "rename-command",
        "notification-script", "client-reconfig-script", "config-epoch",
        "leader-epoch", "known-replica", "known-slave", "known-sentinel", "current-epoch",
    ]

    /// The new text of the file.
    static func rewritten(_ existing: [UInt8], _ directives: [SentinelDirective]) throws(ConfigurationError) -> [UInt8]
    {
        var rewriter = try ConfigurationRewriter(existing: existing, prefixes: ["sentinel"])
        var byName: [String: [[[UInt8]]]] = [:]
        for directive in directives {
            let words = directive.words
            byName[words[1], default: []].append(words.dropFirst(2).map { Array($0.utf8) })
        }
        for name in directiveNames { rewriter.set("sentinel \(name)", byName[name] ?? []) }
        return rewriter.text()
    }

    func persist(_ version: UInt64, _ directives: [SentinelDirective]) {
        let path = file
        persistenceQueue.submit { [reactor, box = WeakServer(self)] in
            var problem: String?
            do throws(ConfigurationError) {
                let text = try Self.rewritten(try ConfigurationFile.read(path), directives)
                try ConfigurationFile.write(path, text, mode: 0o600)
            } catch {
                problem = "\(error)"
            }
            reactor.post { [problem] in
                guard let server = box.server else { return }
                if let problem {
                    server.log.event(.warning, "settings-not-saved", "The settings file cannot be written: \(problem)")
                    server.handle(.persistenceFailed(version: version, reason: problem))
                } else {
                    server.handle(.persisted(version: version))
                }
            }
        }
    }

    /// A sentinel that cannot remember its votes must not run.
    func checkFile() throws(StartError) {
        do throws(ConfigurationError) {
            let isMissing = !settings.stateFile.isEmpty && access(file, F_OK) != 0
            let text = isMissing ? [] : try ConfigurationFile.read(file)
            try ConfigurationFile.write(file, text, mode: 0o600)
        } catch {
            throw StartError("the settings file must be writable, it is the sentinel's memory: \(error)")
        }
    }
}
