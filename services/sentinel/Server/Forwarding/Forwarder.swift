// Forwarding: commands that are not the sentinel's own go to the current primary, so that a client that knows one address
// needs nothing else.
//
// Clients share a few links to the primary. Replies on a link come in the order of its commands, so a queue of
// (client, slot) per link is all that is needed to bring them home, and each client's slots keep its own order. A client
// whose command makes state on the connection (MULTI, WATCH, SELECT) or keeps it busy (a blocking command) gets a link of
// its own until that state is gone.
//
// A command is given to a link only when the link is open, so whatever waits for a primary has certainly not been sent: it
// stays, unparsed, in its client's input, which also is the bounded queue of an election. When a link breaks, commands
// that were given to it may or may not have been executed: reads are sent again elsewhere (the link keeps copies), all others
// get an error that says so. What a former primary refuses with -READONLY was not executed: it is sent again, whatever it
// is.

import ByteStorage
import RESP
import Reactor
import SentinelCore

/// A connection to the primary.
final class Upstream {
    struct Pending {
        /// nil: a command of ours, whose reply is only checked for an error.
        let client: SentinelClient?
        let slot: Int
        /// Bytes of the command at the front of `copies` when its turn comes; 0 if it cannot be repeated.
        let retainedBytes: Int
        /// May be executed twice without harm.
        let isRead: Bool
        /// When it was given to a link for the first time.
        let since: Int64
        let sentBytes: Int
    }

    let connection: Connection
    let target: Endpoint
    let isRESP3: Bool
    /// The client that has it for itself. nil: shared, or idle.
    var owner: SentinelClient?
    /// Made for one client at a time.
    let isOwn: Bool
    /// Gets no more commands: the primary is another one now.
    var isRetired = false
    var isOpen = false
    var scanner = ReplyScanner(maximumBytes: 512 << 20)
    /// Copies of the commands that may be repeated, in the order of `pending`.
    let copies = OutputBuffer.create(capacity: 256)
    private var queue: [Pending] = []
    private var head = 0

    init(connection: Connection, target: Endpoint, isRESP3: Bool, isOwn: Bool) {
        self.connection = connection
        self.target = target
        self.isRESP3 = isRESP3
        self.isOwn = isOwn
    }

    deinit { copies.destroy() }

    var pendingCount: Int { queue.count - head }

    func append(_ pending: Pending) { queue.append(pending) }

    func popFirst() -> Pending? {
        guard head < queue.count else { return nil }
        let first = queue[head]
        head += 1
        if head == queue.count {
            queue.removeAll(keepingCapacity: queue.capacity <= 4096)
            head = 0
        } else if head > 1024, head * 2 > queue.count {
            queue.removeFirst(head)
            head = 0
        }
        return first
    }
}

/// A command that is to be sent again: a read whose link broke, or anything that a former primary refused as a replica.
struct RepeatedCommand {
    let client: SentinelClient
    let slot: Int
    let bytes: [UInt8]
    let isRead: Bool
    let since: Int64
}

/// The state of forwarding. Its behaviour is in the extensions of `SentinelServer`.
struct Forwarder {
    /// Where commands go now; nil while there is no primary that serves.
    var target: Endpoint?
    /// Whether the last target was given up because it did not answer any more.
    var isTargetDead = false
    /// A primary that has said to be a replica by now: until we hear who follows it, nothing is sent to it.
    var demoted: (target: Endpoint, since: Int64)?
    var shared: [Int: Upstream] = [:]
    var all: [UInt64: Upstream] = [:]
    /// Links that a client has had for itself and has left clean.
    var idle: [Upstream] = []
    var waiting: [UInt64: SentinelClient] = [:]
    var waitingBytes = 0
    var repeats: [RepeatedCommand] = []
    var isWatchingWaiters = false
    var nextAttempt: Int64 = 0

    // Counters
    var forwardedCommands: UInt64 = 0
    var repeatedCommands: UInt64 = 0
    var uncertainWrites: UInt64 = 0
    var refusedCommands: UInt64 = 0

    init(_ settings: SentinelSettings) {}

    var ownLinkCount: Int { all.values.count { $0.isOwn } }
}
