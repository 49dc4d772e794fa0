import ByteStorage
import CLinux
import TLS

/// Why a connection ended.
public enum CloseReason: Sendable, Equatable {
    /// The peer closed it.
    case peerClosed
    /// This side decided to, after the reason given.
    case local(String)
    /// An error of the socket: `errno`.
    case socket(Int32)
    /// The TLS layer refused the peer or was refused by it.
    case tls(String)
    /// The host name could not be resolved.
    case resolution(String)

    public var text: String {
        switch self {
        case .peerClosed: "closed by the peer"
        case .local(let text): text
        case .socket(let code): String(cString: strerror(code))
        case .tls(let text): text
        case .resolution(let text): text
        }
    }
}

/// One stream socket, listening sockets included: a trivial handle to state on the heap that the reactor owns.
///
/// A handle is valid until the end of the turn in which the handler's `closed` was called for it. Only the reactor's thread
/// may use it.
public struct Connection: Hashable {
    public enum Phase: UInt8 {
        case resolving, connecting, handshaking, open, closed
    }

    public struct State {
        let reactor: Reactor
        var fd: Int32
        var interest: UInt32 = 0
        public internal(set) var phase: Phase
        /// What the service wants to know it by: a listener's tag is inherited by what it accepts.
        public var tag: Int
        /// The service's own object for this connection.
        public var context: UnsafeMutableRawPointer?
        public let id: UInt64
        var input: OutputBuffer?
        var output: OutputBuffer?
        var cipherOutput: OutputBuffer?
        var tls: TLSSession?
        /// Bytes of `output` that may leave now; `.max`: all. See `Reactor+Hold.swift`.
        var sendable = Int.max
        /// Plain bytes that have left `output` since the beginning.
        var outputConsumed = 0
        /// What of the output had been released when it was last flushed and did not fit into the socket.
        var releasedAtLastFlush = 0
        /// Output that waits for a ticket, oldest first.
        var holds: [OutputHold] = []
        /// Replies to clients wait for tickets; the links of replicas do not.
        public var isGated = false
        var isListener = false
        var isOutgoing = false
        var isQueuedForFlush = false
        var isQueuedAsReady = false
        var isWithWorker = false
        var isClosingAfterFlush = false
        var isReadingPaused = false
        /// While reading is paused, the peer's end counts although bytes before it have not been read.
        var endsWhilePaused = false
        var peerClosed = false
        var deadline: Int64 = .max
        /// Monotonic milliseconds of the last bytes received or sent.
        public internal(set) var lastActivity: Int64
        public let created: Int64
        public internal(set) var bytesReceived: UInt64 = 0
        public internal(set) var bytesSent: UInt64 = 0
        var remoteAddress: String?
        var localAddress: String?
        var serverName: String?
        /// Addresses of the peer's name that have not been tried yet.
        var untriedAddresses: [SocketAddress] = []
        var sourceAddress: String?
        var tlsContext: TLSContext?
    }

    public let state: UnsafeMutablePointer<State>

    init(_ state: UnsafeMutablePointer<State>) { self.state = state }

    public static func == (left: Connection, right: Connection) -> Bool { left.state == right.state }
    public func hash(into hasher: inout Hasher) { hasher.combine(state) }

    @inline(__always) public var phase: Phase { state.pointee.phase }
    @inline(__always) public var isOpen: Bool { state.pointee.phase == .open }
    public var id: UInt64 { state.pointee.id }
    public var fileDescriptor: Int32 { state.pointee.fd }
    public var tag: Int {
        get { state.pointee.tag }
        nonmutating set { state.pointee.tag = newValue }
    }
    @inline(__always) public var context: UnsafeMutableRawPointer? {
        get { state.pointee.context }
        nonmutating set { state.pointee.context = newValue }
    }

    // MARK: Input

    /// What was received and not consumed yet. Valid until the end of the turn. Eight bytes past its end can be read.
    @inline(__always) public var input: ByteView {
        state.pointee.input?.view ?? ByteView(emptyByteBase, 0)
    }

    @inline(__always) public func consumeInput(_ count: Int) {
        if count > 0 { state.pointee.input?.consume(count) }
    }

    /// Stops or resumes reading: back-pressure. Input that is already here stays; on resuming it counts as ready.
    ///
    /// - Parameter endsWithPeer: the connection ends as soon as the peer has closed its side, although what it sent before has not been
    ///   read. Otherwise that is seen when reading goes on.
    public func setReadingPaused(_ paused: Bool, endsWithPeer: Bool = false) {
        guard state.pointee.isReadingPaused != paused else { return }
        state.pointee.endsWhilePaused = endsWithPeer
        state.pointee.isReadingPaused = paused
        updateInterest()
        if !paused, !input.isEmpty { state.pointee.reactor.queueReady(self) }
    }

    /// Has the service look at the remaining input again in the next turn, though nothing new may arrive.
    public func revisit() { state.pointee.reactor.queueReady(self) }

    // MARK: Output

    /// The buffer for what is to be sent. Asking for it queues the connection for the flush at the end of the turn.
    @inline(__always) public var output: OutputBuffer {
        if !state.pointee.isQueuedForFlush { state.pointee.reactor.queueFlush(self) }
        if let output = state.pointee.output { return output }
        return acquireOutput()
    }

    @inline(never) private func acquireOutput() -> OutputBuffer {
        let output = state.pointee.reactor.takeBuffer()
        state.pointee.output = output
        return output
    }

    /// Bytes that wait to be sent, plain and encrypted.
    @inline(__always) public var pendingOutput: Int {
        (state.pointee.output?.count ?? 0) &+ (state.pointee.cipherOutput?.count ?? 0)
    }

    /// Bytes of plain output that wait.
    @inline(__always) public var pendingPlainOutput: Int { state.pointee.output?.count ?? 0 }

    /// Bytes of plain output that have left since the connection was made.
    public var sentPlainOutput: Int { state.pointee.outputConsumed }

    public func queueFlush() { state.pointee.reactor.queueFlush(self) }

    // MARK: End

    /// Closes at once; output that waits is lost. The handler's `closed` is called before this returns.
    public func close(_ reason: CloseReason) { state.pointee.reactor.close(self, reason) }

    /// Closes when all output has left; nothing more is read. `withinMilliseconds` bounds the wait for a slow peer.
    public func closeAfterFlush(withinMilliseconds limit: Int64 = 10_000) {
        guard phase != .closed else { return }
        state.pointee.isClosingAfterFlush = true
        state.pointee.deadline = min(state.pointee.deadline, state.pointee.reactor.monotonicNow + limit)
        state.pointee.reactor.watchDeadline(self)
        updateInterest()
        state.pointee.reactor.queueFlush(self)
    }

    public var isClosingAfterFlush: Bool { state.pointee.isClosingAfterFlush }

    // MARK: Facts

    public var lastActivity: Int64 { state.pointee.lastActivity }
    public var created: Int64 { state.pointee.created }
    /// A listener that expects TLS.
    public var hasTLSContext: Bool { state.pointee.tlsContext != nil }
    public var isTLS: Bool { state.pointee.tls != nil }
    public var tlsSession: TLSSession? { state.pointee.tls }

    /// `host:port`, `[v6]:port`, or `path:0` for unix sockets.
    public var remoteAddress: String {
        if let known = state.pointee.remoteAddress { return known }
        let text = SocketAddress.remote(of: state.pointee.fd)
        state.pointee.remoteAddress = text
        return text
    }

    public var localAddress: String {
        if let known = state.pointee.localAddress { return known }
        let text = SocketAddress.local(of: state.pointee.fd)
        state.pointee.localAddress = text
        return text
    }

    /// The address of this end without the port.
    public var localHost: String { SocketAddress.host(localAddress) }
    public var remoteHost: String { SocketAddress.host(remoteAddress) }

    /// Memory held for buffers.
    public var bufferBytes: Int {
        (state.pointee.input?.capacity ?? 0) + (state.pointee.output?.capacity ?? 0)
            + (state.pointee.cipherOutput?.capacity ?? 0)
    }

    /// Sets SO_KEEPALIVE with probes after `seconds` of silence; 0 switches it off.
    public func setKeepAlive(seconds: Int) { Sockets.setKeepAlive(state.pointee.fd, seconds: seconds) }

    // MARK: Interest in readiness

    func updateInterest() {
        guard state.pointee.fd >= 0, phase != .closed, phase != .resolving else { return }
        var wanted: UInt32 = 0
        // Hang-ups are reported whatever the interest: once is enough while a worker has the session.
        if state.pointee.isWithWorker { wanted = EPOLLONESHOT.rawValue }
        if !state.pointee.isReadingPaused, !state.pointee.isWithWorker, !state.pointee.isClosingAfterFlush {
            wanted |= EPOLLIN.rawValue
        }
        if state.pointee.isReadingPaused, state.pointee.endsWhilePaused, !state.pointee.isClosingAfterFlush {
            wanted |= EPOLLRDHUP.rawValue
        }
        if phase == .connecting || wantsToWrite { wanted |= EPOLLOUT.rawValue }
        guard wanted != state.pointee.interest else { return }
        state.pointee.interest = wanted
        state.pointee.reactor.modify(self, wanted)
    }

    private var wantsToWrite: Bool {
        // The worker writes to the encrypted output.
        if state.pointee.isWithWorker { return false }
        if let cipher = state.pointee.cipherOutput, !cipher.isEmpty { return true }
        guard phase == .open, let output = state.pointee.output else { return false }
        return min(output.count, state.pointee.sendable) > 0
    }
}
