import ByteStorage
import RESP
import Reactor

/// A replica's link to its primary.
final class PrimaryLink {
    enum State {
        /// Not connected; the next attempt is scheduled.
        case idle
        case connecting
        /// Waits for the answer to a step of the introduction.
        case handshake(Step)
        case receivingSnapshot(SnapshotReceiver)
        case loading
        case connected

        /// Redis's name in ROLE.
        var name: String {
            switch self {
            case .idle: "connect"
            case .connecting, .handshake: "connecting"
            case .receivingSnapshot, .loading: "sync"
            case .connected: "connected"
            }
        }
    }

    enum Step: CaseIterable {
        case ping, auth, port, address, capabilities, psync
    }

    let host: String
    let port: Int
    var state = State.idle
    var connection: Connection?
    /// Commands from the primary come into this pseudo client.
    var client: Client?
    /// The database that the primary's stream has selected.
    var database = 0
    var isInTransaction = false
    /// Bytes of input without which parsing again would be in vain.
    var needed = 0
    /// Of a transaction that has not come whole: bytes from its MULTI on that hold no EXEC.
    var scannedOfTransaction = 0
    /// Of the long command that has not come whole, and where it begins in the input.
    var progress: RequestProgress?
    var progressStart = 0
    /// Set when a full sync must not be answered with our own offset.
    var askedFor: (id: String, offset: Int64) = ("?", -1)
    /// Monotonic milliseconds.
    var lastData: Int64 = 0
    var downSince: Int64
    var acknowledgedOffset: Int64 = -1
    /// What was last said to be on disk here.
    var reportedDurableOffset: Int64 = 0
    var lastAcknowledgement: Int64 = 0
    var failures = 0
    /// A sentinel told us to stop following this primary: see `Server.fence`.
    var isFenced = false
    var retry: TimerID?

    init(host: String, port: Int, now: Int64) {
        self.host = host
        self.port = port
        downSince = now
    }

    var isConnected: Bool {
        if case .connected = state { return true }
        return false
    }
}

/// Where a full sync's snapshot goes while it arrives: a temporary file.
final class SnapshotReceiver {
    let id: String
    let offset: Int64
    let path: String
    let file: Int32
    /// Bytes still to come; nil: until the end mark.
    var remaining: Int?
    let endMark: [UInt8]
    /// The last bytes received, in which the end mark is looked for.
    var tail: [UInt8] = []
    var received = 0
    let startedAt: Int64
    /// Set when the file could not be written.
    var problem: String?

    init(id: String, offset: Int64, path: String, file: Int32, remaining: Int?, endMark: [UInt8], startedAt: Int64) {
        self.id = id
        self.offset = offset
        self.path = path
        self.file = file
        self.remaining = remaining
        self.endMark = endMark
        self.startedAt = startedAt
    }
}
