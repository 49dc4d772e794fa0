// INFO persistence and the metrics of persistence.
//
// - Spec: Redis command reference 7.2: INFO, section persistence. What describes a fork is constant.
import DatabasePersistence
import Reactor
import Telemetry

extension Server {
    func infoPersistence() -> [(String, String)] {
        let state = persistence
        func seconds(_ job: FileWalkJob?) -> String {
            job?.began.map { "\((reactor.monotonicNow - $0) / 1000)" } ?? "-1"
        }
        let isSaving = state.save?.began != nil
        let isRewriting = state.rewrite?.began != nil
        var fields = [
            ("loading", isLoading ? "1" : "0"), ("async_loading", "0"), ("current_cow_peak", "0"),
            ("current_cow_size", "0"),
            ("current_cow_size_age", "0"),
            ("current_fork_perc", "\(Server.hundredths((isSaving || isRewriting ? walks.progress ?? 1 : 0) * 100))"),
            ("current_save_keys_processed", "\(walks.visitedKeys)"),
            ("current_save_keys_total", "\(walks.running == nil ? 0 : walks.expectedKeys)"),
            ("rdb_changes_since_last_save", "\(changesSinceSave)"), ("rdb_bgsave_in_progress", isSaving ? "1" : "0"),
            ("rdb_last_save_time", "\(state.lastSave)"), ("rdb_last_bgsave_status", state.lastSaveOutcome.rawValue),
            ("rdb_last_bgsave_time_sec", "\(state.lastSaveSeconds)"),
            ("rdb_current_bgsave_time_sec", seconds(state.save)),
            ("rdb_saves", "\(state.saves)"), ("rdb_last_cow_size", "0"),
            ("rdb_last_load_keys_expired", "\(state.lastLoad.expired)"),
            ("rdb_last_load_keys_loaded", "\(state.lastLoad.loaded)"), ("aof_enabled", settings.appendOnly ? "1" : "0"),
            ("aof_rewrite_in_progress", isRewriting ? "1" : "0"),
            ("aof_rewrite_scheduled", state.rewrite != nil && !isRewriting ? "1" : "0"),
            ("aof_last_rewrite_time_sec", "\(state.lastRewriteSeconds)"),
            ("aof_current_rewrite_time_sec", seconds(state.rewrite)),
            ("aof_last_bgrewrite_status", state.lastRewriteOutcome.rawValue), ("aof_rewrites", "\(state.rewrites)"),
            ("aof_rewrites_consecutive_failures", "\(state.rewriteFailures)"),
            ("aof_last_write_status", state.logFailure == nil ? "ok" : "err"), ("aof_last_cow_size", "0"),
            ("module_fork_in_progress", "0"), ("module_fork_last_cow_size", "0"),
        ]
        if let statistics = state.log?.writer.statistics {
            fields += [
                ("aof_current_size", "\(statistics.currentBytes)"), ("aof_base_size", "\(statistics.baseBytes)"),
                ("aof_pending_rewrite", state.rewrite != nil && !isRewriting ? "1" : "0"),
                ("aof_buffer_length", "\(statistics.pendingBytes + statistics.queuedBytes)"),
                ("aof_pending_bio_fsync", statistics.isFsyncPending ? "1" : "0"),
                ("aof_delayed_fsync", "\(statistics.delayedFsyncs)"),
            ]
        }
        if let loading = state.loading { fields += infoLoading(loading) }
        return fields
    }

    private func infoLoading(_ loading: LoadingState) -> [(String, String)] {
        let share = loading.totalBytes > 0 ? Double(loading.loadedBytes) / Double(loading.totalBytes) : 0
        let elapsed = Reactor.monotonicMilliseconds() - loading.startedMonotonic
        let left = share > 0 ? Double(elapsed) * (1 - share) / share / 1000 : 1
        return [
            ("loading_start_time", "\(loading.started)"), ("loading_total_bytes", "\(loading.totalBytes)"),
            ("loading_loaded_bytes", "\(loading.loadedBytes)"), ("loading_loaded_perc", Server.hundredths(share * 100)),
            ("loading_eta_seconds", "\(Int64(min(left, 1e9)))"),
        ]
    }

    private static func hundredths(_ value: Double) -> String { ratio(Int(min(max(value, 0), 100) * 100), 100) }

    func appendPersistenceMetrics(_ text: inout PrometheusText) {
        let state = persistence
        text.gauge("dssm_loading", "1 while the dataset is being loaded.", Int64(isLoading ? 1 : 0))
        if let loading = state.loading {
            text.gauge("dssm_loading_total_bytes", "Bytes of the files being loaded.", loading.totalBytes)
            text.gauge("dssm_loading_loaded_bytes", "Bytes loaded so far.", loading.loadedBytes)
        }
        text.gauge(
            "dssm_snapshot_last_save_timestamp_seconds",
            "Unix time of the last snapshot, of the start before the first.",
            state.lastSave)
        text.gauge(
            "dssm_snapshot_last_status", "1 when the last snapshot succeeded.",
            Int64(state.lastSaveOutcome == .ok ? 1 : 0))
        text.gauge("dssm_snapshot_in_progress", "1 while a snapshot is written.", Int64(state.save != nil ? 1 : 0))
        text.gauge("dssm_snapshot_changes_pending", "Changes since the last snapshot.", Int64(changesSinceSave))
        text.counter("dssm_snapshots_total", "Snapshots written.", UInt64(state.saves))
        text.gauge(
            "dssm_walk_progress_ratio", "How far the walk for a snapshot, log base or full sync is; 0 when none runs.",
            walks.progress ?? 0)
        text.gauge("dssm_aof_enabled", "1 while the append-only log is on.", Int64(state.log != nil ? 1 : 0))
        text.gauge(
            "dssm_aof_last_write_status", "1 when the append-only log can be written.",
            Int64(state.logFailure == nil ? 1 : 0))
        text.counter("dssm_aof_errors_total", "Times at which the append-only log began to fail.", state.logErrors)
        text.gauge("dssm_aof_rewrite_in_progress", "1 while the log is rewritten.", Int64(state.rewrite != nil ? 1 : 0))
        text.gauge(
            "dssm_aof_last_rewrite_status", "1 when the last rewrite of the log succeeded.",
            Int64(state.lastRewriteOutcome == .ok ? 1 : 0))
        text.counter("dssm_aof_rewrites_total", "Rewrites of the log.", UInt64(state.rewrites))
        guard let statistics = state.log?.writer.statistics else { return }
        text.gauge("dssm_aof_size_bytes", "Bytes of the log's base and increments.", statistics.currentBytes)
        text.gauge("dssm_aof_base_size_bytes", "Bytes of the log's base.", statistics.baseBytes)
        text.gauge(
            "dssm_aof_buffer_bytes", "Bytes that wait for the disk.",
            Int64(statistics.pendingBytes + statistics.queuedBytes))
        text.counter("dssm_aof_delayed_fsync_total", "Writes that waited for a slow fsync.", statistics.delayedFsyncs)
    }
}
