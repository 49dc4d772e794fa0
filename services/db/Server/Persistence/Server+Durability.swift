// What a disk that refuses does to writes, and the end of the process.
import ByteStorage
import CLinux
import DatabaseEngine
import DatabasePersistence
import Reactor

extension Server {
    /// Whether writes are refused at present.
    var isDiskFailing: Bool { persistence.logFailure != nil || isSaveFailing }

    private var isSaveFailing: Bool {
        persistence.lastSaveOutcome == .err && settings.stopWritesOnSaveError && !settings.saveRules.isEmpty
    }

    /// Whether the log fails on which every reply depends: what is in memory may never become durable, so nobody may
    /// see it. Then only commands are answered that do not look at data, those that are allowed while loading.
    var isDataHidden: Bool { persistence.logFailure != nil && settings.appendFsync == .always }

    /// The error for a write, or a PING, while the disk refuses: a client that balances by PING goes elsewhere.
    func diskRefusal(_ client: Client, _ shape: CommandShape) -> String? {
        guard isDiskFailing, !client.has(.primary) else { return nil }
        func concerned(_ shape: CommandShape) -> Bool {
            isDataHidden ? !shape.has(.loading) : !isReplicaRole && (shape.has(.write) || shape.id == .ping)
        }
        guard concerned(shape) || shape.id == .exec && client.details.queued.contains(where: { concerned($0.shape) })
        else { return nil }
        if isSaveFailing, !isDataHidden {
            return
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
        }
        guard let failure = persistence.logFailure else { return nil }
        let reason = failure.errorNumber != 0 ? String(cString: strerror(failure.errorNumber)) : failure.detail
        return "MISCONF Errors writing to the AOF file: \(reason)"
    }

    /// Saves as configured or as wanted, and brings the log to the disk. Returns why the server should go on running.
    func saveBeforeExit(wanted: Bool?) -> String? {
        if isLoading { return endPersistence() }
        if wanted ?? !settings.saveRules.isEmpty {
            if let problem = lockDirectory(settings.directory) { return problem }
            if fullSync != nil { disconnectReplicas("the server shuts down") }
            for job in [walks.running].compactMap({ $0 }) + walks.queue {
                if let job = job as? FileWalkJob { job.abandon("the server shuts down") } else { walks.cancel(job) }
            }
            persistence.save?.abandon("the server shuts down")
            drainStream()
            // A log that is whole has everything: then a slow disk must not keep the process from ending.
            let isLogWhole = persistence.log?.isComplete ?? false && persistence.logFailure == nil
            let deadline =
                isLogWhole && wanted == nil ? Reactor.monotonicMilliseconds() + Server.exitSaveMilliseconds : nil
            log.notice("shutdown", "Saving the final RDB snapshot before exiting.")
            if let problem = saveNow(deadline: deadline), !(isLogWhole && wanted == nil) {
                return "Error trying to save the DB, can't exit: \(problem)"
            }
        }
        return endPersistence()
    }

    private static let exitSaveMilliseconds: Int64 = 10_000
    private static let exitSynchronizationMilliseconds = 10_000

    private func endPersistence() -> String? {
        drainStream()
        persistence.isEnded = true
        if let commandLog = persistence.log {
            log.notice("shutdown", "Calling fsync() on the AOF file.")
            if !commandLog.close(timeoutMilliseconds: Server.exitSynchronizationMilliseconds) {
                log.warning("log-close-failed", "The end of the append-only log could not be brought to the disk.")
            }
            updateReleasedTicket()
        }
        persistence.directoryLock = nil
        return nil
    }

    static func removeFile(_ path: String) { unlink(path) }

    /// CONFIG SET dir. Files that are open stay where they are.
    func changeDirectory(_ path: String) -> String? {
        if isLoading { return "the dataset is being loaded" }
        guard let resolved = Server.resolvedDirectory(path) else {
            return String(cString: strerror(cl_errno()))
        }
        guard access(resolved, W_OK | X_OK) == 0 else { return String(cString: strerror(cl_errno())) }
        guard persistence.log == nil, persistence.rewrite == nil, persistence.save == nil else {
            return "the append only file or a snapshot is being written there"
        }
        if persistence.directoryLock != nil { return lockDirectory(resolved) }
        return nil
    }

    /// The absolute path of a folder that exists; nil otherwise, with `errno` set.
    static func resolvedDirectory(_ path: String) -> String? {
        guard let resolved = realpath(path.isEmpty ? "." : path, nil) else { return nil }
        defer { free(resolved) }
        var status = stat()
        guard stat(resolved, &status) == 0 else { return nil }
        guard Int32(bitPattern: status.st_mode) & Int32(S_IFMT) == Int32(S_IFDIR) else {
            cl_set_errno(ENOTDIR)
            return nil
        }
        return String(cString: resolved)
    }

    func persistenceSettingsChanged(from old: ServerSettings) {
        if settings.directory != old.directory, let resolved = Server.resolvedDirectory(settings.directory) {
            settings.directory = resolved
        }
        if settings.appendFsync != old.appendFsync { drainStream() }
        updateLongWay()
    }
}
