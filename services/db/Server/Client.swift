import ByteStorage
import DatabaseEngine
import RESP
import Reactor

/// What a client is or is in the middle of. None set: an ordinary client whose data commands take the short way.
struct ClientFlags: OptionSet {
    let rawValue: UInt32
    /// Must authenticate first.
    static let needsAuthentication = ClientFlags(rawValue: 1 << 0)
    static let inTransaction = ClientFlags(rawValue: 1 << 1)
    /// A queued command was refused: EXEC will fail.
    static let transactionBroken = ClientFlags(rawValue: 1 << 2)
    /// A watched key has changed: EXEC will do nothing.
    static let watchFailed = ClientFlags(rawValue: 1 << 3)
    /// Waits in a blocking command or CLIENT PAUSE: nothing of it is executed.
    static let blocked = ClientFlags(rawValue: 1 << 4)
    static let subscribed = ClientFlags(rawValue: 1 << 5)
    static let monitor = ClientFlags(rawValue: 1 << 6)
    static let replica = ClientFlags(rawValue: 1 << 7)
    /// The link to our primary: what comes here is executed and not answered.
    static let primary = ClientFlags(rawValue: 1 << 8)
    static let replyOff = ClientFlags(rawValue: 1 << 9)
    static let replySkipNext = ClientFlags(rawValue: 1 << 10)
    static let noEvict = ClientFlags(rawValue: 1 << 11)
    static let noTouch = ClientFlags(rawValue: 1 << 12)
    /// Nothing more of it is executed; it is closed when its replies are out.
    static let closing = ClientFlags(rawValue: 1 << 13)
    static let unixSocket = ClientFlags(rawValue: 1 << 14)

    /// With any of these, commands take the long way.
    static let special: ClientFlags = [
        .needsAuthentication, .inTransaction, .blocked, .subscribed, .monitor, .replica, .primary, .replyOff,
        .replySkipNext, .noTouch, .closing,
    ]
}

/// The parts of a client that ordinary data commands do not touch.
final class ClientDetails {
    var name = ""
    var libraryName = ""
    var libraryVersion = ""
    var user = "default"
    /// The subcommand of a container command, in lower case.
    var lastSubcommand: String?
    var lastCommandMilliseconds: Int64 = 0
    /// Commands of the open transaction.
    var queued: [QueuedCommand] = []
    var queuedBytes = 0
    var watched: [WatchedKey] = []
    var channels: Set<[UInt8]> = []
    var patterns: Set<[UInt8]> = []
    var shardChannels: Set<[UInt8]> = []
    var blocking: BlockedCommand?
    var replica: ReplicaLink?
    var outputWatch = OutputLimitWatch()
    /// Of the long command that the input begins with, when it has not come whole.
    var progress: RequestProgress?
    /// Offset in the propagation stream after this client's last write, for WAIT.
    var lastWriteOffset: UInt64 = 0

    var subscriptionCount: Int { channels.count + patterns.count }
}

struct QueuedCommand {
    let shape: CommandShape
    let arguments: [[UInt8]]
}

struct WatchedKey: Hashable {
    let database: Int
    let key: [UInt8]
}

struct ClientState {
    let connection: Connection
    let id: UInt64
    var flags: ClientFlags = []
    var isRESP3 = false
    var database = 0
    /// Bytes of the input that have been executed in this batch run; the rest stays in the input.
    var executed = 0
    /// Bytes of input without which parsing again would be in vain.
    var needed = 0
    var commandCount: UInt64 = 0
    var lastCommand: CommandID?
    let details: ClientDetails
}

/// A client: a trivial handle, like its connection.
struct Client: Hashable {
    let state: UnsafeMutablePointer<ClientState>

    @inline(__always) init(_ state: UnsafeMutablePointer<ClientState>) { self.state = state }

    static func make(_ connection: Connection) -> Client {
        let state = UnsafeMutablePointer<ClientState>.allocate(capacity: 1)
        state.initialize(to: ClientState(connection: connection, id: connection.id, details: ClientDetails()))
        connection.context = UnsafeMutableRawPointer(state)
        return Client(state)
    }

    /// The client of a connection whose context is one.
    @inline(__always) static func of(_ connection: Connection) -> Client? {
        connection.context.map { Client($0.assumingMemoryBound(to: ClientState.self)) }
    }

    func destroy() {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    static func == (left: Client, right: Client) -> Bool { left.state == right.state }
    func hash(into hasher: inout Hasher) { hasher.combine(state) }

    @inline(__always) var connection: Connection { state.pointee.connection }
    @inline(__always) var details: ClientDetails { state.pointee.details }
    var id: UInt64 { state.pointee.id }
    @inline(__always) var flags: ClientFlags {
        get { state.pointee.flags }
        nonmutating set { state.pointee.flags = newValue }
    }
    @inline(__always) var database: Int {
        get { state.pointee.database }
        nonmutating set { state.pointee.database = newValue }
    }

    func insert(_ flags: ClientFlags) { state.pointee.flags.insert(flags) }
    func remove(_ flags: ClientFlags) { state.pointee.flags.remove(flags) }
    @inline(__always) func has(_ flags: ClientFlags) -> Bool { !state.pointee.flags.isDisjoint(with: flags) }

    /// Where replies go.
    @inline(__always) var reply: ReplyWriter { ReplyWriter(connection.output, isRESP3: state.pointee.isRESP3) }
}
