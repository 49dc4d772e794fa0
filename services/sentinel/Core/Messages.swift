/// A reply as it goes over the wire, in both directions.
public indirect enum Reply: Equatable, Sendable {
    case simple(String)
    /// With its code but without the leading minus: `ERR no such ...`.
    case error(String)
    case integer(Int64)
    case bulk(String)
    case null
    /// RESP2 tells an absent array from an absent string.
    case nullArray
    case array([Reply])
    /// Keys and values in turn: a map in RESP3, a flat array in RESP2.
    case map([Reply])

    public static let ok = Reply.simple("OK")

    /// The text of a simple or bulk string.
    public var text: String? {
        switch self {
        case .simple(let text), .bulk(let text): text
        default: nil
        }
    }

    public var integerValue: Int64? {
        switch self {
        case .integer(let value): value
        case .bulk(let text), .simple(let text): Int64(text)
        default: nil
        }
    }
}

/// Why a link could not be made or ended.
public enum LinkFailure: String, Sendable {
    /// Nobody listens there: the process is dead. Counts at once as evidence that the instance is down.
    case refused
    /// The network says that the host is not there. Counts at once as well.
    case unreachable
    case reset
    case closed
    case timedOut
    case unresolved
    case handshake
    case protocolError
}

public enum LinkKind: String, Sendable {
    case command
    case pubSub
}

/// What a link leads to, for the choice of credentials and certificates.
public enum PeerKind: String, Sendable {
    case database
    case sentinel
}

public struct LinkTarget: Equatable, Sendable {
    public var endpoint: Endpoint
    public var peer: PeerKind
    public var kind: LinkKind

    public init(endpoint: Endpoint, peer: PeerKind, kind: LinkKind) {
        self.endpoint = endpoint
        self.peer = peer
        self.kind = kind
    }
}

/// What happened outside.
public enum Event: Sendable {
    /// The time that the last `Action.setTimer` asked for has come. Early or additional ones do no harm.
    case timer
    /// `localHost` is the numeric address of our end, which is announced unless `announce-ip` says otherwise.
    case linkConnected(LinkID, localHost: String)
    /// An attempt failed or a link ended. The link's id is dead from here on.
    case linkFailed(LinkID, LinkFailure)
    case reply(LinkID, RequestID, Reply)
    /// A pub/sub message on a link that sent `Command.subscribeHello` or `.subscribeHandover`.
    case message(LinkID, channel: String, payload: String)
    /// A SENTINEL or PUBLISH command from outside, complete with its name.
    case request(RequesterID, [String])
    /// A name was resolved (or not) by the shell, be it for a connection or for `Action.resolve`.
    case resolved(host: String, address: String?)
    /// The configuration of `Action.persist` with this version is on stable storage.
    case persisted(version: UInt64)
    case persistenceFailed(version: UInt64, reason: String)
    /// The script of `Action.runScript` has ended; nil: by a signal, or it could not be started.
    case scriptEnded(UInt64, code: Int32?)
}

/// What the shell is to do, in order.
public enum Action: Equatable, Sendable {
    case connect(LinkID, LinkTarget)
    case disconnect(LinkID)
    /// Replies to the commands of one link come in the order of the commands.
    case send(LinkID, RequestID, Command)
    case respond(RequesterID, Reply)
    /// To be logged and, if `published`, given to the subscribers of the channel named like its type.
    case emit(SentinelEvent)
    /// Put the directives on stable storage, then report `Event.persisted`. One at a time. Whatever must not happen
    /// before that (a vote's reply, a candidate's request for votes) is held back by the state machine itself.
    case persist(version: UInt64, [SentinelDirective])
    case resolve(host: String)
    /// Start a program, end it after `limit` milliseconds, report `Event.scriptEnded`.
    case runScript(UInt64, [String], limit: Milliseconds)
    /// End the process at once, as a crash would, after logging the text.
    case crash(String)
    /// Replaces the former timer.
    case setTimer(at: Milliseconds)
}

public enum EventLevel: String, Sendable {
    case debug, verbose, notice, warning
}

/// One line of the sentinel's story, in Redis Sentinel's words.
///
/// - Spec: Redis Sentinel documentation, "Pub/Sub messages": the payload of an event about an instance is
///   `<type> <name> <ip> <port>`, followed by ` @ <master-name> <master-ip> <master-port>` unless it is the primary.
public struct SentinelEvent: Equatable, Sendable {
    public var level: EventLevel
    public var type: String
    public var payload: String
    public var isPublished: Bool

    public init(_ level: EventLevel, _ type: String, _ payload: String, isPublished: Bool = true) {
        self.level = level
        self.type = type
        self.payload = payload
        self.isPublished = isPublished
    }
}

/// The channel of hello messages.
public let helloChannel = "__sentinel__:hello"

/// On this channel a db of ours says that it is about to stop and wants to be replaced first: the payload is for how many
/// milliseconds it will wait, 0 that it stays after all. Stock sentinels do not subscribe to it.
public let handoverChannel = "__dssm__:handover"
