// The event loop of db and sentinel: epoll, level-triggered, one thread.
//
// A turn has four phases: take events and receive from every ready socket; let the service process all ready connections
// together (so that it can batch and prefetch across them); let it finish the turn (propagation, timers); send every output
// buffer that got bytes, once. Receiving everything before processing anything was measured at 13% less CPU on SET than
// going connection by connection.
// Buffers belong to connections only while they hold bytes: an idle connection costs its state, so ten thousand of them cost
// a few megabytes. TLS handshakes run on a worker thread: an RSA signature takes milliseconds.
// Other threads reach the loop through `post` only.
import ByteStorage
import CLinux
import Synchronization
import TLS

/// What a service does with its connections. All calls come on the reactor's thread.
public protocol ReactorHandler: AnyObject {
    /// A socket was accepted; close it here to refuse it. With TLS, the handshake is still to come.
    func accepted(_ connection: Connection)
    /// The connection can carry data: after the handshake, or after an outgoing connect.
    func opened(_ connection: Connection)
    /// Connections with input. Each handler consumes what it can.
    func process(_ ready: UnsafeBufferPointer<Connection>)
    /// Called once for each connection that ends, accepted or outgoing.
    func closed(_ connection: Connection, _ reason: CloseReason)
    /// The peer does not take all that is sent: `pendingOutput` tells how much waits.
    func outputPending(_ connection: Connection)
    /// After processing, before sending.
    func endTurn()
    /// Milliseconds until the service wants a turn without events; nil: none.
    func idleMilliseconds() -> Int64?
    /// SIGTERM, SIGINT, SIGHUP and the like.
    func signalled(_ number: Int32)
}

/// What went through the sockets of a reactor since it was made.
public struct TrafficTotals: Sendable {
    public init() {}
    public var reads: UInt64 = 0
    public var writes: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var bytesSent: UInt64 = 0
}

public final class Reactor {
    public internal(set) var traffic = TrafficTotals()
    /// Received at most from one socket in one turn, bytes.
    public static let receiveBytes = 16 << 10
    /// Buffers larger than this are freed instead of kept for reuse.
    static let pooledBytes = 64 << 10
    static let pooledBuffers = 256
    static let acceptsPerTurn = 256

    private let epoll: Int32
    private let wakeUp = EventCounter()
    private let inbox = Mutex<[@Sendable () -> Void]>([])
    private var signals: Int32 = -1
    private var events: UnsafeMutablePointer<epoll_event>
    private static let maximumEvents = 1024
    var ready: [Connection] = []
    var readyNext: [Connection] = []
    var flushList: [Connection] = []
    var graveyard: [Connection] = []
    private var buffers: [OutputBuffer] = []
    let cipherInput: UnsafeMutableRawPointer
    var nextID: UInt64 = 1
    private var timers = TimerQueue()
    var deadlineWatch: Set<Connection> = []
    private var nextDeadlineCheck: Int64 = 0
    /// Listeners that are open: their timers may fire after they were closed.
    var listening: Set<Connection> = []
    private var isStopped = false
    private var afterTurn: [() -> Void] = []
    public weak var handler: (any ReactorHandler)?
    /// Where handshakes run.
    public let workers: WorkQueue
    let resolver: NameResolver
    /// Milliseconds since 1970, taken once a turn.
    public private(set) var now: Int64 = 0
    /// Monotonic milliseconds, taken once a turn.
    public private(set) var monotonicNow: Int64 = 0
    public private(set) var turns = 0
    /// The longest handshake that is waited for.
    public var handshakeMilliseconds: Int64 = 10_000
    public internal(set) var openConnections = 0
    /// See `Reactor+Hold.swift`.
    public var turnTicket: UInt64 = 0
    public internal(set) var releasedTicket: UInt64 = 0
    var heldConnections: Set<Connection> = []

    /// - Parameter lookUp: what asks for a name's addresses, on a thread of its own; tests have another one.
    public init(lookUp: @escaping NameResolver.LookUp = SocketAddress.resolve) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "epoll_create1 failed")
        events = .allocate(capacity: Reactor.maximumEvents)
        cipherInput = allocateBytes(Reactor.receiveBytes + 1024)
        workers = WorkQueue(name: "handshake")
        resolver = NameResolver(lookUp: lookUp)
        register(fd: wakeUp.fd, token: 1)
        cl_ignore_sigpipe()
        readClock()
    }

    // MARK: Running

    /// Runs until `stop` is called.
    public func run() {
        while !isStopped {
            turn()
            runWorkAfterTurn()
        }
    }

    /// What `runAfterTurn` has put off. Public for those who drive the loop turn by turn.
    public func runWorkAfterTurn() {
        while !afterTurn.isEmpty { afterTurn.removeFirst()() }
    }

    /// Runs `body` between turns: it may take long and call `turn` itself, as loading a dataset does.
    public func runAfterTurn(_ body: @escaping () -> Void) { afterTurn.append(body) }

    public func stop() { isStopped = true }

    /// Runs `job` on the loop's thread in its next turn. From any thread.
    public func post(_ job: @escaping @Sendable () -> Void) {
        inbox.withLock { $0.append(job) }
        wakeUp.signal()
    }

    /// Runs `body` once after `milliseconds`, on the loop's thread.
    @discardableResult
    public func schedule(after milliseconds: Int64, _ body: @escaping () -> Void) -> TimerID {
        timers.add(at: Reactor.monotonicMilliseconds() + max(0, milliseconds), body)
    }

    public func cancel(_ timer: TimerID) { timers.cancel(timer) }

    /// Blocks the signals in this thread and delivers them to the handler.
    public func catchSignals(_ numbers: [Int32]) {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signals = signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
        register(fd: signals, token: 2)
    }

    public static func monotonicMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
    }

    private func readClock() {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        now = Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
        monotonicNow = Reactor.monotonicMilliseconds()
    }

    private func waitMilliseconds() -> Int32 {
        if !readyNext.isEmpty || !afterTurn.isEmpty { return 0 }
        var wait: Int64 = deadlineWatch.isEmpty ? 1000 : Reactor.deadlineResolution
        if let idle = handler?.idleMilliseconds() { wait = min(wait, max(0, idle)) }
        if let deadline = timers.nextDeadline { wait = min(wait, max(0, deadline - Reactor.monotonicMilliseconds())) }
        return Int32(wait)
    }

    /// One turn of the loop. Public for tests and for loading, which must answer while it works.
    public func turn(blocking: Bool = true) {
        let count = Int(epoll_wait(epoll, events, Int32(Reactor.maximumEvents), blocking ? waitMilliseconds() : 0))
        readClock()
        turns &+= 1
        swap(&ready, &readyNext)
        var index = 0
        while index < count {
            let token = UInt(truncatingIfNeeded: events[index].data.u64)
            if token <= 2 { handleSpecial(token) } else { handle(token, events[index].events) }
            index &+= 1
        }
        for connection in ready { connection.state.pointee.isQueuedAsReady = false }
        if !ready.isEmpty {
            ready.withUnsafeBufferPointer { handler?.process($0) }
        }
        if let deadline = timers.nextDeadline, deadline <= monotonicNow {
            let last = timers.lastNumber
            while let body = timers.takeNext(dueAt: monotonicNow, upTo: last) { body() }
        }
        checkDeadlines()
        handler?.endTurn()
        flushAll()
        for connection in ready { recycleInput(connection) }
        ready.removeAll(keepingCapacity: true)
        bury()
    }

    private func handleSpecial(_ token: UInt) {
        if token == 1 {
            wakeUp.drain()
            let jobs = inbox.withLock { jobs in
                let taken = jobs
                jobs.removeAll(keepingCapacity: true)
                return taken
            }
            for job in jobs { job() }
            return
        }
        var info = signalfd_siginfo()
        while read(signals, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
            handler?.signalled(Int32(info.ssi_signo))
        }
    }

    @inline(__always) private func handle(_ token: UInt, _ flags: UInt32) {
        // SAFETY: tokens above 2 are addresses of connection states, which are freed only after `bury`, when no event of
        // theirs can be in `events` any more.
        let state = UnsafeMutablePointer<Connection.State>(bitPattern: token).unsafelyUnwrapped
        let connection = Connection(state)
        switch state.pointee.phase {
        case .open:
            if state.pointee.isListener { return acceptAll(connection) }
            if flags & EPOLLOUT.rawValue != 0 { queueFlush(connection) }
            if flags & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue | EPOLLRDHUP.rawValue) != 0 {
                receive(connection, flags)
            }
        case .handshaking:
            if !state.pointee.isWithWorker { continueHandshake(connection, flags) }
        case .connecting: finishConnect(connection)
        case .resolving, .closed: break
        }
    }

    // MARK: Buffers

    @inline(__always) func takeBuffer() -> OutputBuffer {
        buffers.popLast() ?? OutputBuffer.create(capacity: Reactor.receiveBytes + 64)
    }

    @inline(__always) func giveBuffer(_ buffer: OutputBuffer) {
        if buffer.capacity > Reactor.pooledBytes || buffers.count >= Reactor.pooledBuffers { return buffer.destroy() }
        buffer.removeAll()
        buffers.append(buffer)
    }

    // MARK: Epoll

    private func register(fd: Int32, token: UInt64) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = token
        let result = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)
        precondition(result == 0, "epoll refuses a descriptor: \(String(cString: strerror(cl_errno())))")
    }

    func add(_ connection: Connection, _ interest: UInt32) {
        var event = epoll_event()
        event.events = interest
        event.data.u64 = UInt64(UInt(bitPattern: connection.state))
        connection.state.pointee.interest = interest
        if epoll_ctl(epoll, EPOLL_CTL_ADD, connection.state.pointee.fd, &event) != 0 {
            close(connection, .socket(cl_errno()))
        }
    }

    func modify(_ connection: Connection, _ interest: UInt32) {
        var event = epoll_event()
        event.events = interest
        event.data.u64 = UInt64(UInt(bitPattern: connection.state))
        if epoll_ctl(epoll, EPOLL_CTL_MOD, connection.state.pointee.fd, &event) != 0 {
            close(connection, .socket(cl_errno()))
        }
    }

    // MARK: Deadlines

    func watchDeadline(_ connection: Connection) { deadlineWatch.insert(connection) }
    func unwatchDeadline(_ connection: Connection) { deadlineWatch.remove(connection) }

    /// Milliseconds between two looks at the deadlines of connections: there may be thousands in a handshake.
    private static let deadlineResolution: Int64 = 20

    private func checkDeadlines() {
        guard !deadlineWatch.isEmpty, monotonicNow >= nextDeadlineCheck else { return }
        nextDeadlineCheck = monotonicNow + Reactor.deadlineResolution
        for connection in deadlineWatch where connection.state.pointee.deadline <= monotonicNow {
            let isHandshake = connection.phase != .open
            close(connection, .local(isHandshake ? "timed out while connecting" : "timed out while closing"))
        }
    }

    // MARK: For other files of the module

    func notifyAccepted(_ connection: Connection) { handler?.accepted(connection) }
    func notifyOpened(_ connection: Connection) { handler?.opened(connection) }
    func queueReadyAfterOpen(_ connection: Connection) { queueReady(connection) }
    var cipherBuffer: UnsafeMutableRawPointer { cipherInput }
    func noteActivity(_ connection: Connection, received: Int) {
        connection.state.pointee.lastActivity = monotonicNow
        connection.state.pointee.bytesReceived &+= UInt64(received)
        traffic.reads &+= 1
        traffic.bytesReceived &+= UInt64(received)
    }
}
