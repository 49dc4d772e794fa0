import DatabasePersistence

/// What the server knows of its snapshots and its log.
final class PersistenceState {
    enum Outcome: String {
        case ok, err
    }

    /// Held while this process writes to its data folder.
    var directoryLock: DirectoryLock?

    // Snapshots
    var save: SaveJob?
    /// Unix seconds.
    var lastSave: Int64 = 0
    var lastSaveOutcome = Outcome.ok
    /// -1: none yet.
    var lastSaveSeconds: Int64 = -1
    /// Monotonic milliseconds of the last attempt.
    var lastSaveAttempt: Int64?
    /// The engine's count of changes at the last snapshot.
    var savedChanges = 0
    var saves = 0

    // Log
    var log: CommandLog?
    var rewrite: RewriteJob?
    var lastRewriteOutcome = Outcome.ok
    var lastRewriteSeconds: Int64 = -1
    var rewrites = 0
    /// Monotonic milliseconds before which no rewrite starts by itself, after failures.
    var nextAutomaticRewrite: Int64 = 0
    var rewriteFailures = 0
    var logFailure: PersistenceError?
    var logErrors: UInt64 = 0

    // Loading
    /// Keys of the snapshot that was loaded last.
    var lastLoad = (loaded: 0, expired: 0)
    var loading: LoadingState?
    /// The data is final: nothing more is executed.
    var isEnded = false
}

struct LoadingState {
    /// Unix seconds.
    var started: Int64
    var totalBytes: Int64 = 0
    var loadedBytes: Int64 = 0
    /// Monotonic milliseconds of the last line about it.
    var lastReport: Int64
    var startedMonotonic: Int64
}
