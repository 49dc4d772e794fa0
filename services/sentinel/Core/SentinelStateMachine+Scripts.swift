// Scripts of operators: one is told of warnings, one of new primaries. Queued, bounded in number and time, tried again.
//
// - Spec: comments of the stock sentinel.conf: `notification-script`, `client-reconfig-script`: an exit code of 1 or an end by
//   a signal means "try again", any other that it is done.

/// A script to run, once or again.
public struct ScriptJob: Equatable, Sendable {
    public let id: UInt64
    /// The path first.
    public let words: [String]
    var isRunning = false
    var startedAt: Milliseconds = 0
    var dueAt: Milliseconds = 0
    var attempts = 0
}

extension SentinelStateMachine {
    /// After an event about something monitored: the notification script gets its type and text.
    func notifyScript(_ group: MonitoredPrimary, _ type: String, _ payload: String) {
        if let path = group.notificationScript { enqueue([path, type, payload]) }
    }

    /// The script gets: name, our role in the failover, the state, the old and the new address.
    func reconfigureClients(_ group: MonitoredPrimary, to endpoint: Endpoint, isLeader: Bool) {
        guard let path = group.reconfigurationScript else { return }
        let old = announced(group.primary.endpoint)
        let new = announced(endpoint)
        enqueue([
            path, group.name, isLeader ? "leader" : "observer", "start", old.host, String(old.port), new.host,
            String(new.port),
        ])
    }

    private func enqueue(_ words: [String]) {
        if scripts.count >= timing.maximumScripts {
            // The oldest that waits is the least interesting by now.
            guard let index = scripts.firstIndex(where: { !$0.isRunning }) else { return }
            scripts.remove(at: index)
        }
        scripts.append(ScriptJob(id: nextNumber(), words: words, dueAt: now))
    }

    /// Starts what is due and fits.
    func runScripts() {
        var running = scripts.count(where: \.isRunning)
        for index in scripts.indices where !scripts[index].isRunning {
            if scripts[index].dueAt > now {
                schedule(scripts[index].dueAt)
                continue
            }
            guard running < timing.maximumRunningScripts else { return }
            running += 1
            scripts[index].isRunning = true
            scripts[index].startedAt = now
            scripts[index].attempts += 1
            actions.append(.runScript(scripts[index].id, scripts[index].words, limit: timing.scriptRuntime))
        }
    }

    /// - Parameter code: the exit code; nil when it was ended by a signal or could not be started.
    func scriptEnded(_ id: UInt64, _ code: Int32?) {
        guard let index = scripts.firstIndex(where: { $0.id == id && $0.isRunning }) else { return }
        let shown = "\(scripts[index].words[0]) \(code.map { "exit code \($0)" } ?? "killed")"
        guard code == nil || code == 1, scripts[index].attempts <= timing.scriptRetries else {
            if code != 0 { emit(.warning, "-script-error", shown) }
            scripts.remove(at: index)
            return
        }
        let delay = timing.scriptRetryDelay << Milliseconds(min(scripts[index].attempts - 1, 20))
        scripts[index].isRunning = false
        scripts[index].dueAt = now + delay
        emit(.notice, "-script-retry", shown)
    }

    var pendingScripts: Reply {
        .array(
            scripts.map { job in
                let time = job.isRunning ? now - job.startedAt : max(0, job.dueAt - now)
                return .map([
                    .bulk("argv"), .array(job.words.map { .bulk($0) }),
                    .bulk("flags"), .bulk(job.isRunning ? "running" : "scheduled"),
                    .bulk("pid"), .bulk("0"),
                    .bulk(job.isRunning ? "run-time" : "run-delay"), .bulk(String(time)),
                    .bulk("retry-num"), .bulk(String(max(0, job.attempts - 1))),
                ])
            })
    }
}
