// The append-only log: switched on and off, rewritten, watched.
//
// A rewrite is a walk whose file becomes the log's base. At the moment the walk begins the log begins a new increment;
// so base plus new increment are the whole. Until the base is in place the old base and all increments stay, and a
// failure changes nothing but the number of increments.
// A log that is switched on while there is data starts with such a rewrite, and counts only when its base is there.
//
// - Spec: Redis command reference 7.2: BGREWRITEAOF; redis.conf: appendonly, appendfsync, auto-aof-rewrite-percentage,
//   auto-aof-rewrite-min-size, no-appendfsync-on-rewrite.
import ByteStorage
import CLinux
import DatabaseEngine
import DatabasePersistence
import RESP
import Reactor

/// A rewrite of the log on its way.
final class RewriteJob: FileWalkJob {
    /// The log is being switched on: it does not exist until the walk begins.
    let startsLog: Bool
    private(set) var problem: String?

    init(server: Server, startsLog: Bool) {
        self.startsLog = startsLog
        super.init(.rewrite, server: server)
    }

    override var temporaryPath: String {
        "\(server.logDirectory.path)/\(server.logDirectory.temporaryBaseName)"
    }
    override var isLogBase: Bool { true }

    override func prepare() -> Bool {
        if startsLog {
            if let reason = server.createLog() {
                failed(reason)
                return false
            }
            return true
        }
        guard let log = server.persistence.log else {
            failed("the log was switched off")
            return false
        }
        log.writer.beginIncrement()
        return true
    }

    /// The base is whole; the log's worker puts it in place and tells by an event.
    override func finished(bytes: Int64) {
        guard let log = server.persistence.log else { return failed("the log was switched off") }
        log.writer.finishRewrite(format: .rdb)
    }

    override func failed(_ reason: String) {
        problem = reason
        server.rewriteFailed(self, reason)
    }
}

extension Server {
    var logDirectory: AOFDirectory {
        AOFDirectory(
            dataFolder: settings.directory, folderName: settings.appendDirectory, fileName: settings.appendFile)
    }

    var logBufferBytes: Int {
        guard let statistics = persistence.log?.writer.statistics else { return 0 }
        return statistics.pendingBytes + statistics.queuedBytes
    }

    // MARK: On and off

    /// Opens the log behind what was loaded from it.
    func openLog(_ manifest: AOFManifest) throws(PersistenceError) {
        try setLog(manifest, awaitsBase: false)
    }

    /// Makes a log that counts from its first base on. What an earlier log left becomes history then.
    fileprivate func createLog() -> String? {
        do throws(PersistenceError) {
            let manifest = try logDirectory.open()
            try setLog(manifest, awaitsBase: true)
            return nil
        } catch {
            return error.description
        }
    }

    private func setLog(_ manifest: AOFManifest, awaitsBase: Bool) throws(PersistenceError) {
        let mail = LoopMail(reactor) { [unowned self] in logProgressed() }
        persistence.log = try CommandLog(
            directory: logDirectory, manifest: manifest, settings: AOFWriter.Settings(), awaitsBase: awaitsBase,
            startOffset: streamOffset, mail: mail)
        engine.state.pointee.stream.selectedDatabase = nil
        persistence.logFailure = nil
        updateStreamEnabled()
    }

    /// CONFIG SET appendonly. Returns why it cannot be done.
    func switchLog(on: Bool) -> String? {
        if isLoading { return "the dataset is being loaded" }
        if on {
            guard persistence.log == nil, persistence.rewrite == nil else { return nil }
            do throws(PersistenceError) { _ = try logDirectory.open() } catch {
                log.warning("log-open-failed", "Can't open the append-only log: \(error)")
                return "\(error)"
            }
            startRewrite(startsLog: true)
            return nil
        }
        persistence.rewrite?.abandon("the log is switched off")
        drainStream()
        endLog()
        log.notice("log-off", "The append-only log is switched off.")
        return nil
    }

    private func endLog() {
        if let log = persistence.log, !log.close(timeoutMilliseconds: Server.logCloseMilliseconds) {
            self.log.warning("log-close-failed", "The append-only log could not be synchronised when it was ended.")
        }
        persistence.log = nil
        persistence.logFailure = nil
        updateStreamEnabled()
        updateReleasedTicket()
        updateLongWay()
    }

    /// The dataset was replaced as a whole by a full sync: the log begins anew with a base of it. Until that is there,
    /// the old log on the disk stays what it was.
    func replicatedDatasetChanged() {
        guard settings.appendOnly else { return }
        persistence.rewrite?.abandon("the dataset was replaced by a full sync")
        endLog()
        startRewrite(startsLog: true)
    }

    private static let logCloseMilliseconds = 2000

    // MARK: Rewrite

    func rewriteLog(_ c: CommandContext) {
        if let job = persistence.rewrite, !walks.isWaiting(job) {
            return c.reply.error("ERR Background append only file rewriting already in progress")
        }
        guard persistence.log != nil || persistence.rewrite != nil else {
            return c.reply.error("ERR The append only file is off: CONFIG SET appendonly yes writes a new one")
        }
        let isOtherActive = walks.isWalking || persistence.save != nil
        if persistence.rewrite == nil { startRewrite(startsLog: false) }
        c.reply.simple("Background append only file rewriting \(isOtherActive ? "scheduled" : "started")")
    }

    func startRewrite(startsLog: Bool) {
        let job = RewriteJob(server: self, startsLog: startsLog)
        persistence.rewrite = job
        requestWalk(job)
    }

    /// Makes the first base at once, over data that came from a snapshot. Returns why it failed.
    func createLogNow() -> String? {
        let job = RewriteJob(server: self, startsLog: true)
        persistence.rewrite = job
        guard walks.runNow(job, waitForRoom: { job.waitForRoom(until: nil) }) else {
            job.poll()
            return job.problem ?? "the base could not be written"
        }
        job.waitForEnd()
        // The log's worker answers at once or reports a failure: it never leaves a rewrite's end unanswered.
        while persistence.rewrite === job {
            logProgressed()
            if persistence.rewrite === job { usleep(500) }
        }
        return job.problem
    }

    private func rewriteFinished(base: String, bytes: Int64) {
        let milliseconds = Reactor.monotonicMilliseconds() - (persistence.rewrite?.began ?? 0)
        persistence.rewrite = nil
        persistence.log?.isComplete = true
        persistence.lastRewriteOutcome = .ok
        persistence.lastRewriteSeconds = milliseconds / 1000
        persistence.rewrites += 1
        persistence.rewriteFailures = 0
        log.notice("log-rewritten", "Append-only log rewritten: base \(base), \(bytes) bytes, in \(milliseconds) ms")
    }

    func rewriteFailed(_ job: RewriteJob, _ reason: String) {
        guard persistence.rewrite === job else { return }
        persistence.rewrite = nil
        persistence.lastRewriteOutcome = .err
        persistence.rewriteFailures = min(persistence.rewriteFailures + 1, 6)
        persistence.nextAutomaticRewrite = reactor.monotonicNow + 1000 << Int64(persistence.rewriteFailures)
        log.warning("log-rewrite-failed", "Rewriting the append-only log failed: \(reason)")
    }

    // MARK: Progress

    /// The log's worker has moved on: replies may leave, and something may have to be told.
    func logProgressed() {
        guard let commandLog = persistence.log else { return }
        for event in commandLog.writer.takeEvents() {
            switch event {
            case .incrementBegan: break
            case .rewriteFinished(let base, let bytes): rewriteFinished(base: base, bytes: bytes)
            case .rewriteFailed(let error):
                if let job = persistence.rewrite {
                    job.abandon(error.description)
                    rewriteFailed(job, error.description)
                }
            case .failing(let error):
                persistence.logFailure = error
                persistence.logErrors += 1
                updateLongWay()
                log.warning(
                    "log-failing", "Error writing the append-only log, writes are refused until it recovers: \(error)")
            case .recovered:
                persistence.logFailure = nil
                updateLongWay()
                log.notice("log-recovered", "The append-only log can be written again.")
            }
        }
        updateReleasedTicket()
    }

    /// Ten times a second: rewrites that are due by size, or after lost bytes, or because the first base failed.
    func checkLog() {
        guard !isLoading, !isShuttingDown else { return }
        guard let commandLog = persistence.log else {
            guard settings.appendOnly, persistence.rewrite == nil,
                reactor.monotonicNow >= persistence.nextAutomaticRewrite
            else { return }
            return startRewrite(startsLog: true)
        }
        // What the loop writes by itself fails without a message from the worker. With `always` the loop does not write,
        // and a failure must be learned before a turn's commands are executed, not after: see `isDataHidden`.
        if settings.appendFsync != .always { logProgressed() }
        let isWalkedForDisk = persistence.save != nil || persistence.rewrite != nil
        commandLog.writer.settings.pausesFsync = settings.noFsyncOnRewrite && isWalkedForDisk
        guard persistence.rewrite == nil, persistence.logFailure == nil,
            reactor.monotonicNow >= persistence.nextAutomaticRewrite
        else { return }
        let statistics = commandLog.writer.statistics
        if !commandLog.isComplete || statistics.needsRewrite {
            log.notice("log-rewrite", "Starting the rewrite that makes the append-only log whole")
            return startRewrite(startsLog: false)
        }
        guard settings.autoRewritePercentage > 0, statistics.currentBytes > Int64(settings.autoRewriteMinBytes),
            !walks.isWalking
        else { return }
        let base = max(1, statistics.baseBytes)
        let growth = Double(statistics.currentBytes - base) * 100 / Double(base)
        guard growth >= Double(settings.autoRewritePercentage) else { return }
        log.notice("log-rewrite", "Starting automatic rewriting of AOF on \(Int(min(growth, 1e15)))% growth")
        startRewrite(startsLog: false)
    }
}
