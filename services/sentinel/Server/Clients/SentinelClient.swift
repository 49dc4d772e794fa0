import RESP
import Reactor

/// Whoever is connected to the sentinel's port: a client library, an operator, another sentinel.
final class SentinelClient {
    /// Why its next command cannot be executed yet. Its input stays where it is.
    enum Stall {
        /// No primary to send it to.
        case primary
        /// Replies to earlier commands are still to come, and the next command must not overtake them or would be one
        /// too many.
        case replies
    }

    let connection: Connection
    let id: UInt64
    var needsAuthentication: Bool
    /// It has shown the credentials that the primary asks for.
    var hasPrimaryCredentials = false
    var isRESP3 = false
    var name = ""
    var libraryName = ""
    var libraryVersion = ""
    var lastCommand = ""
    var commandCount: UInt64 = 0
    /// Nothing more is executed.
    var isClosing = false
    /// Bytes of input without which parsing again would be in vain.
    var needed = 0
    /// Of the long command that the input begins with, when it has not come whole.
    var progress: RequestProgress?

    var outputWatch = OutputLimitWatch()
    var slots = ReplySlots()
    var channels: Set<String> = []
    var patterns: Set<String> = []

    // Forwarding
    var stall: Stall?
    var stalledBytes = 0
    var waitingSince: Int64 = 0
    /// It has waited for a primary as long as it may: commands fail at once until there is one.
    var hasWaitedEnough = false
    /// Commands that were sent to the primary and have no reply yet, all on the same link.
    var outstanding = 0
    var outstandingBytes = 0
    var currentLink: Upstream?
    /// Some of them are being sent again: later commands must not overtake them, whatever the link.
    var mustDrain = false
    var ownLink: Upstream?
    var isInTransaction = false
    var isWatching = false
    var database = 0

    init(_ connection: Connection, needsAuthentication: Bool) {
        self.connection = connection
        id = connection.id
        self.needsAuthentication = needsAuthentication
    }

    var isSubscribed: Bool { !channels.isEmpty || !patterns.isEmpty }
    var subscriptionCount: Int { channels.count + patterns.count }
    /// Its own link to the primary holds nothing that belongs to it alone.
    var isLinkClean: Bool { !isInTransaction && !isWatching && database == 0 }
}

/// The replies that a client is still to get, in the order of its commands.
///
/// Some replies come later than those of commands that were sent after them: from the primary, or from the state machine
/// once a vote is durable. Replies behind a missing one wait here.
struct ReplySlots {
    private var slots: [[UInt8]?] = []
    private var head = 0
    /// The number of the slot at `head`.
    private var firstNumber = 0

    var isEmpty: Bool { head == slots.count }
    var count: Int { slots.count - head }
    private(set) var bufferedBytes = 0

    /// Reserves the place of a reply that is still to come.
    mutating func append() -> Int {
        slots.append(nil)
        return firstNumber + count - 1
    }

    mutating func append(ready bytes: [UInt8]) {
        slots.append(bytes)
        bufferedBytes += bytes.count
    }

    func isFirst(_ number: Int) -> Bool { !isEmpty && number == firstNumber }

    mutating func fill(_ number: Int, _ bytes: [UInt8]) {
        let index = head + number - firstNumber
        guard number >= firstNumber, index < slots.count, slots[index] == nil else { return }
        slots[index] = bytes
        bufferedBytes += bytes.count
    }

    mutating func removeFirst() {
        bufferedBytes -= slots[head]?.count ?? 0
        slots[head] = nil
        head += 1
        firstNumber += 1
        if head == slots.count {
            slots.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 1024, head * 2 > slots.count {
            slots.removeFirst(head)
            head = 0
        }
    }

    /// The first reply, if it is there.
    var first: [UInt8]? { isEmpty ? nil : slots[head] }

    mutating func removeAll() {
        firstNumber += count
        slots = []
        head = 0
        bufferedBytes = 0
    }
}

/// An answer that the state machine owes.
struct PendingAnswer {
    let client: UInt64
    let slot: Int
}
