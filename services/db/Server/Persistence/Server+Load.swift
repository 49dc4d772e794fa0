// Loading: at start, with the listeners open and LOADING as the answer; and by DEBUG RELOAD and LOADAOF.
//
// With the log on, the log is the data. When it is switched on for the first time over an existing snapshot, stock
// servers start empty and write an empty base; here the snapshot is loaded and becomes the first base before any client
// is served, because nobody who switches a log on means to lose the data.
import ByteStorage
import CLinux
import DatabaseEngine
import DatabasePersistence
import DatabaseReplication
import Reactor

extension Server {
    /// Loads the data that the settings name, and opens the log. Call it once, after `start`.
    ///
    /// - Throws: `StartError` with exit code 2 when the data is damaged, 1 when it cannot be had for another reason.
    public func load() throws(StartError) {
        persistence.lastSave = startedAt / 1000
        try prepareDirectory()
        beginLoading()
        var position: ReplicationPosition?
        do throws(PersistenceError) {
            position = settings.appendOnly ? try loadLogAtStart() : try loadSnapshotAtStart()
        } catch {
            endLoading()
            if isShuttingDown { return }
            throw StartError("cannot load the data: \(error)", exitCode: error.isDamage ? 2 : 1)
        }
        endLoading()
        if !isShuttingDown { resumeReplication(from: position) }
    }

    /// What a snapshot says about its place in a replication stream.
    private struct ReplicationPosition {
        let id: String
        let offset: Int64
        let database: Int

        init?(_ sink: ReplaySink) {
            guard let id = sink.replicationID, let offset = sink.replicationOffset, offset >= 0 else { return nil }
            self.id = id
            self.offset = offset
            database = sink.replicationDatabase
        }
    }

    /// A replica goes on where its data ends. A primary begins a history of its own, which its former replicas may join
    /// at that place.
    private func resumeReplication(from position: ReplicationPosition?) {
        if let position {
            history.adopt(id: position.id, offset: position.offset)
            if settings.replicaOf == nil, roleDiscovery == nil { history.promote(newID: Server.randomHex(40)) }
        }
        if roleDiscovery != nil {
            if let position, (0..<settings.databases).contains(position.database) {
                primary?.database = position.database
            }
            return beginRoleDiscovery()
        }
        guard let target = settings.replicaOf else { return restartQuorum() }
        follow(target)
        if let position, (0..<settings.databases).contains(position.database) { primary?.database = position.database }
    }

    private func prepareDirectory() throws(StartError) {
        guard let resolved = Server.resolvedDirectory(settings.directory) else {
            throw StartError("data directory '\(settings.directory)': \(String(cString: strerror(cl_errno())))")
        }
        settings.directory = resolved
        if settings.appendOnly || !settings.saveRules.isEmpty, access(resolved, W_OK | X_OK) != 0 {
            throw StartError("data directory '\(resolved)' is not writable: \(String(cString: strerror(cl_errno())))")
        }
        guard Server.persists(settings) else { return }
        if let problem = lockDirectory(resolved) { throw StartError(problem, exitCode: 3) }
        unlink(snapshotPath(temporary: true))
    }

    // MARK: State

    private func beginLoading() {
        isLoading = true
        persistence.loading = LoadingState(
            started: reactor.now / 1000, lastReport: Reactor.monotonicMilliseconds(),
            startedMonotonic: Reactor.monotonicMilliseconds())
        prepareReplay()
        updateLongWay()
    }

    private func endLoading() {
        isLoading = false
        persistence.loading = nil
        finishReplay()
        updateLongWay()
    }

    /// While data is replayed, nothing expires, nothing is propagated and nobody is told.
    private func prepareReplay() {
        engine.state.pointee.obeysStream = true
        engine.state.pointee.stream.isEnabled = false
        engine.state.pointee.keyspaceEvents = []
    }

    private func finishReplay() {
        engine.state.pointee.obeysStream = false
        engine.state.pointee.keyspaceEvents = settings.keyspaceEvents
        engine.state.pointee.statistics = EngineStatistics()
        engine.setTime(reactor.now)
        updateStreamEnabled()
        persistence.savedChanges = engine.state.pointee.dirty
    }

    /// Between two megabytes: clients are answered, and the log says how far it is.
    private func noteProgress(_ progress: LoadProgress) {
        persistence.loading?.totalBytes = progress.bytesTotal
        persistence.loading?.loadedBytes = progress.bytesDone
        let now = Reactor.monotonicMilliseconds()
        if let last = persistence.loading?.lastReport, now - last >= Server.reportMilliseconds {
            persistence.loading?.lastReport = now
            let percent = progress.bytesTotal > 0 ? progress.bytesDone * 100 / progress.bytesTotal : 0
            log.notice(
                "loading",
                "Loading \(progress.file): \(percent)% (\(progress.bytesDone) of \(progress.bytesTotal) bytes)")
        }
        reactor.turn(blocking: false)
    }

    private static let reportMilliseconds: Int64 = 2000

    // MARK: At start

    private func loadSnapshotAtStart() throws(PersistenceError) -> ReplicationPosition? {
        let path = snapshotPath(temporary: false)
        guard access(path, F_OK) == 0 else { return nil }
        return ReplicationPosition(try loadSnapshot(path) { [unowned self] in noteProgress($0) })
    }

    private func loadLogAtStart() throws(PersistenceError) -> ReplicationPosition? {
        let manifest = try logDirectory.open()
        let snapshot = snapshotPath(temporary: false)
        if manifest.isEmpty, access(snapshot, F_OK) == 0 {
            log.warning(
                "log-from-snapshot",
                "appendonly is on, but there is no append-only log yet: taking the data of \(snapshot) as its base")
            let position = try loadSnapshotAtStart()
            if isShuttingDown { return nil }
            finishReplay()
            if let problem = createLogNow() {
                throw PersistenceError(.system, "cannot make the base of the log: \(problem)")
            }
            return position
        }
        var position: ReplicationPosition?
        if !manifest.isEmpty {
            let (sink, report) = try loadLog(manifest, cutsTornTail: settings.appendLoadTruncated) { [unowned self] in
                noteProgress($0)
            }
            // Commands after the base have moved the data on from the place that the base states.
            if report.commands == 0 { position = ReplicationPosition(sink) }
        }
        if !isShuttingDown { try openLog(manifest) }
        return position
    }

    // MARK: Files

    private func loadSnapshot(
        _ path: String, progress: ((LoadProgress) -> Void)?
    ) throws(PersistenceError) -> ReplaySink {
        let start = Reactor.monotonicMilliseconds()
        var sink = ReplaySink(self, skipsExpired: settings.replicaOf == nil)
        let summary = try SnapshotLoader.load(
            path, into: &sink, maximumStringBytes: settings.engine.maxStringBytes, progress: progress)
        persistence.lastLoad = (Int(summary.keys) - sink.expiredKeys, sink.expiredKeys)
        log.notice(
            "loaded",
            "DB loaded from \(path): \(summary.keys) keys, \(sink.expiredKeys) of them expired, RDB version \(summary.version), in \(Reactor.monotonicMilliseconds() - start) ms"
        )
        return sink
    }

    private func loadLog(
        _ manifest: AOFManifest, cutsTornTail: Bool, progress: ((LoadProgress) -> Void)?
    ) throws(PersistenceError) -> (ReplaySink, AOFLoadReport) {
        let start = Reactor.monotonicMilliseconds()
        var sink = ReplaySink(self, skipsExpired: false)
        var loader = AOFLoader(directory: logDirectory)
        loader.cutsTornTail = cutsTornTail
        loader.maximumBulkBytes = settings.engine.maxStringBytes
        let report = try loader.load(manifest, into: &sink, progress: progress)
        if let cut = report.cut {
            log.warning(
                "log-cut",
                "The append-only log ended inside \(cut.insideTransaction ? "a transaction" : "a command"): \(cut.file) was cut at offset \(cut.offset), \(cut.bytes) bytes were dropped"
            )
        }
        if sink.failedCommands > 0 {
            log.warning(
                "log-replay-errors",
                "\(sink.failedCommands) commands of the append-only log replied with an error, the first was \(sink.firstFailure)"
            )
        }
        log.notice(
            "loaded",
            "DB loaded from append only file: \(report.files) files, \(report.baseKeys) keys of the base, \(report.commands) commands, \(report.bytes) bytes, in \(Reactor.monotonicMilliseconds() - start) ms"
        )
        return (sink, report)
    }

    // MARK: DEBUG

    /// DEBUG RELOAD: writes a snapshot and loads it in place of the data.
    func reloadFromDisk() -> String? {
        guard let problem = abandonWalks() ?? saveNow(deadline: nil) else {
            return replaceData { () throws(PersistenceError) in
                _ = try loadSnapshot(snapshotPath(temporary: false), progress: nil)
            }
        }
        return problem
    }

    /// DEBUG LOADAOF: loads the log in place of the data.
    func reloadLog() -> String? {
        guard let commandLog = persistence.log, commandLog.isComplete else { return "the append only file is off" }
        if let problem = abandonWalks() { return problem }
        drainStream()
        guard commandLog.writer.synchronize(timeoutMilliseconds: 10_000) else {
            return "the log cannot be synchronised"
        }
        return replaceData { () throws(PersistenceError) in
            _ = try loadLog(try logDirectory.open(), cutsTornTail: false, progress: nil)
        }
    }

    private func abandonWalks() -> String? {
        persistence.save?.abandon("DEBUG replaces the data")
        persistence.rewrite?.abandon("DEBUG replaces the data")
        return !walks.isWalking ? nil : "a full synchronization is in progress"
    }

    private func replaceData(_ body: () throws(PersistenceError) -> Void) -> String? {
        drainStream()
        prepareReplay()
        defer { finishReplay() }
        for database in 0..<engine.databaseCount { engine.flush(database) }
        do throws(PersistenceError) {
            try body()
            return nil
        } catch {
            log.warning("reload-failed", "Reloading the data failed: \(error)")
            return "Error trying to load the data: \(error)"
        }
    }
}

extension PersistenceError {
    /// What is on the disk is not what it should be, as opposed to a system that refuses.
    var isDamage: Bool {
        switch code {
        case .truncated, .damaged, .checksum, .unsupported, .limit, .refused: true
        case .system: false
        }
    }
}
