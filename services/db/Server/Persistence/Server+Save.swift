// Snapshots: SAVE, BGSAVE, save rules, the snapshot at the end.
//
// - Spec: Redis command reference 7.2: SAVE, BGSAVE, LASTSAVE; redis.conf: save, stop-writes-on-bgsave-error. Nothing
//   is forked: BGSAVE walks the keyspace between turns, SAVE walks it at once.
import ByteStorage
import DatabaseEngine
import DatabasePersistence
import RESP
import Reactor

/// A snapshot on its way.
final class SaveJob: FileWalkJob {
    private var changesAtBegin = 0
    /// Why the file could not be made.
    private(set) var problem: String?

    init(server: Server) { super.init(.save, server: server) }

    override var temporaryPath: String { server.snapshotPath(temporary: true) }
    override var finalPath: String? { server.snapshotPath(temporary: false) }

    override func prepare() -> Bool {
        changesAtBegin = server.engine.state.pointee.dirty
        server.persistence.lastSaveAttempt = server.reactor.monotonicNow
        return true
    }

    override func finished(bytes: Int64) { server.saveEnded(self, changes: changesAtBegin, bytes: bytes) }

    override func failed(_ reason: String) {
        problem = reason
        server.saveFailed(self, reason)
    }
}

extension Server {
    var lastSaveSeconds: Int { Int(persistence.lastSave) }

    func snapshotPath(temporary: Bool) -> String {
        "\(settings.directory)/\(temporary ? "temp-" : "")\(settings.snapshotFile)"
    }

    var changesSinceSave: Int { engine.state.pointee.dirty - persistence.savedChanges }

    // MARK: Commands

    func save(_ c: CommandContext) {
        if let problem = lockDirectory(settings.directory) { return c.reply.error("ERR \(problem)") }
        if persistence.save != nil { return c.reply.error("ERR Background save already in progress") }
        if walks.isWalking {
            guard let job = walks.running as? FileWalkJob, walks.finishNow(waitForRoom: { job.waitForRoom(until: nil) })
            else {
                return c.reply.error("ERR A full synchronization is in progress: can't SAVE right now")
            }
        }
        if let problem = saveNow(deadline: nil) {
            c.reply.error("ERR \(problem)")
        } else {
            c.reply.ok()
        }
    }

    func backgroundSave(_ c: CommandContext) {
        let isSchedule = c.count == 2 && c.isWord(1, "schedule")
        guard c.count == 1 || isSchedule else { return c.syntaxError() }
        if let problem = lockDirectory(settings.directory) { return c.reply.error("ERR \(problem)") }
        if let job = persistence.save, !walks.isWaiting(job) {
            return c.reply.error("ERR Background save already in progress")
        }
        let isOtherActive = persistence.rewrite != nil || walks.isWalking
        if isOtherActive, !isSchedule {
            return c.reply.error(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible."
            )
        }
        if persistence.save == nil { startSave() }
        c.reply.simple(isOtherActive ? "Background saving scheduled" : "Background saving started")
    }

    private func startSave() {
        let job = SaveJob(server: self)
        persistence.save = job
        requestWalk(job)
    }

    /// Writes a snapshot and waits for it. No walk may be under way.
    ///
    /// - Parameter deadline: monotonic milliseconds after which it is given up.
    /// - Returns: why it failed.
    func saveNow(deadline: Int64?) -> String? {
        let job = SaveJob(server: self)
        persistence.save = job
        if walks.runNow(job, waitForRoom: { job.waitForRoom(until: deadline) }) {
            job.waitForEnd()
        } else {
            job.poll()
            job.abandon("it took longer than it may")
        }
        return job.problem
    }

    // MARK: Outcome

    func saveEnded(_ job: SaveJob, changes: Int, bytes: Int64) {
        let milliseconds = Reactor.monotonicMilliseconds() - (job.began ?? 0)
        persistence.save = nil
        persistence.savedChanges = changes
        persistence.lastSave = reactor.now / 1000
        persistence.lastSaveOutcome = .ok
        persistence.lastSaveSeconds = milliseconds / 1000
        persistence.saves += 1
        updateLongWay()
        log.notice("saved", "DB saved on disk: \(bytes) bytes in \(milliseconds) ms")
    }

    func saveFailed(_ job: SaveJob, _ reason: String) {
        persistence.save = nil
        persistence.lastSaveOutcome = .err
        updateLongWay()
        log.warning("save-failed", "Snapshot failed: \(reason)")
    }

    // MARK: By itself

    /// Looks at the save rules, ten times a second.
    func checkSaveRules() {
        guard persistence.save == nil, !isLoading, !isShuttingDown else { return }
        let changes = changesSinceSave
        guard changes > 0 else { return }
        let now = reactor.now / 1000
        for rule in settings.saveRules where changes >= rule.changes && now - persistence.lastSave > Int64(rule.seconds)
        {
            if persistence.lastSaveOutcome == .err, let attempt = persistence.lastSaveAttempt,
                reactor.monotonicNow - attempt < Server.saveRetryMilliseconds
            {
                return
            }
            guard !walks.isWalking else { return }
            log.notice("save-rule", "\(rule.changes) changes in \(rule.seconds) seconds. Saving...")
            return startSave()
        }
    }

    private static let saveRetryMilliseconds: Int64 = 5000
}
