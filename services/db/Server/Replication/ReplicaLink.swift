import ByteStorage
import Reactor

/// What a primary knows of one of its replicas.
final class ReplicaLink {
    enum State {
        /// Has sent REPLCONF, not yet PSYNC.
        case negotiating
        /// Waits for its full sync to begin.
        case waiting
        /// Gets the snapshot; the stream is kept in `queue` meanwhile.
        case receivingSnapshot
        /// Has got the snapshot and must acknowledge it before the stream follows: the end mark must be the last bytes.
        case settling
        case online

        /// Redis's names in INFO.
        var name: String {
            switch self {
            case .negotiating, .waiting: "wait_bgsave"
            case .receivingSnapshot, .settling: "send_bulk"
            case .online: "online"
            }
        }
    }

    var state = State.negotiating
    var listeningPort = 0
    var announcedHost = ""
    var understandsEndMark = false
    var understandsPSYNC2 = false
    /// Offset up to which it has processed the stream.
    var acknowledged: Int64 = 0
    /// Offset up to which it has the stream on disk, if it says so.
    var acknowledgedOnDisk: Int64 = 0
    /// Monotonic milliseconds of the last acknowledgement.
    var acknowledgedAt: Int64 = 0
    /// The stream since the snapshot's point in time.
    var queue: OutputBuffer?
    /// Came by SYNC instead of PSYNC: knows no acknowledgements.
    var wantsOldSync = false

    /// Where the snapshot ends in all that was ever written to the link; 0 when there is none.
    var snapshotEnd = 0

    /// Bytes of the snapshot that still wait in the output.
    func pendingSnapshotBytes(_ client: Client) -> Int { max(0, snapshotEnd - client.connection.sentPlainOutput) }

    deinit { queue?.destroy() }
}
