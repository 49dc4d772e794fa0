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
    public private(set) var traffic = TrafficTotals()
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
    private var ready: [Connection] = []
    private var readyNext: [Connection] = []
    private var flushList: [Connection] = []
    private var graveyard: [Connection] = []
    private var buffers: [OutputBuffer] = []
    private let cipherInput: UnsafeMutableRawPointer
    private var nextID: UInt64 = 1
    private var timers = TimerQueue()
    private var deadlineWatch: Set<Connection> = []
    private var nextDeadlineCheck: Int64 = 0
    /// Listeners that are open: their timers may fire after they were closed.
    var listening: Set<Connection> = []
    private var isStopped = false
    private var afterTurn: [() -> Void] = []
    public weak var handler: (any ReactorHandler)?
    /// Where handshakes and name resolution run.
    public let workers: WorkQueue
    private let resolver: WorkQueue
    /// Milliseconds since 1970, taken once a turn.
    public private(set) var now: Int64 = 0
    /// Monotonic milliseconds, taken once a turn.
    public private(set) var monotonicNow: Int64 = 0
    public private(set) var turns = 0
    /// The longest handshake that is waited for.
    public var handshakeMilliseconds: Int64 = 10_000
    public private(set) var openConnections = 0
    /// See `Reactor+Hold.swift`.
    public var turnTicket: UInt64 = 0
    public internal(set) var releasedTicket: UInt64 = 0
    var heldConnections: Set<Connection> = []

    public init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "epoll_create1 failed")
        events = .allocate(capacity: Reactor.maximumEvents)
        cipherInput = allocateBytes(Reactor.receiveBytes + 1024)
        workers = WorkQueue(name: "handshake")
        resolver = WorkQueue(name: "resolver")
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
            if flags & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { receive(connection, flags) }
        case .handshaking:
            if !state.pointee.isWithWorker { continueHandshake(connection, flags) }
        case .connecting: finishConnect(connection)
        case .resolving, .closed: break
        }
    }

    // MARK: Receiving

    @inline(__always) private func receive(_ connection: Connection, _ flags: UInt32) {
        let state = connection.state
        if state.pointee.isClosingAfterFlush || state.pointee.isReadingPaused {
            // Not reading: only a connection that is gone for good is worth a look.
            if flags & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
                close(connection, .socket(Sockets.pendingError(state.pointee.fd)))
            }
            return
        }
        let input: OutputBuffer
        if let existing = state.pointee.input {
            input = existing
        } else {
            input = takeBuffer()
            state.pointee.input = input
        }
        let isTLS = state.pointee.tls != nil
        // The extra bytes let the parser load whole words near the end.
        let target = isTLS ? cipherInput : input.reserve(Reactor.receiveBytes &+ 16)
        let received = recv(state.pointee.fd, target, Reactor.receiveBytes, 0)
        if received <= 0 {
            let code = cl_errno()
            if received < 0 && (code == EAGAIN || code == EINTR) { return }
            close(connection, received == 0 ? .peerClosed : .socket(code))
            return
        }
        state.pointee.lastActivity = monotonicNow
        state.pointee.bytesReceived &+= UInt64(received)
        traffic.reads &+= 1
        traffic.bytesReceived &+= UInt64(received)
        if isTLS {
            decrypt(connection, input, received)
        } else {
            input.commit(received)
        }
        if !input.isEmpty || state.pointee.peerClosed { queueReadyNow(connection) }
    }

    private func decrypt(_ connection: Connection, _ input: OutputBuffer, _ count: Int) {
        guard let tls = connection.state.pointee.tls else { return }
        switch tls.read(cipher: cipherInput, count: count, into: input) {
        case .ok: break
        case .closed:
            connection.state.pointee.peerClosed = true
            connection.closeAfterFlush(withinMilliseconds: 1000)
        case .failed(let reason): close(connection, .tls(reason))
        }
        if input.capacity &- input.end < 16 { _ = input.reserve(16) }
    }

    @inline(__always) private func queueReadyNow(_ connection: Connection) {
        guard connection.phase == .open, !connection.state.pointee.isQueuedAsReady else { return }
        connection.state.pointee.isQueuedAsReady = true
        ready.append(connection)
    }

    /// Puts the connection among the ready ones of the next turn.
    func queueReady(_ connection: Connection) {
        guard connection.phase == .open, !connection.state.pointee.isQueuedAsReady else { return }
        connection.state.pointee.isQueuedAsReady = true
        readyNext.append(connection)
    }

    private func recycleInput(_ connection: Connection) {
        guard connection.phase != .closed, let input = connection.state.pointee.input, input.isEmpty else { return }
        connection.state.pointee.input = nil
        giveBuffer(input)
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

    // MARK: Sending

    @inline(__always) func queueFlush(_ connection: Connection) {
        guard !connection.state.pointee.isQueuedForFlush else { return }
        connection.state.pointee.isQueuedForFlush = true
        flushList.append(connection)
    }

    private func flushAll() {
        var index = 0
        // Flushing may close connections, whose handlers may write to others: the list can grow.
        while index < flushList.count {
            let connection = flushList[index]
            connection.state.pointee.isQueuedForFlush = false
            if connection.phase != .closed { flush(connection) }
            index &+= 1
        }
        flushList.removeAll(keepingCapacity: true)
    }

    @inline(__always) private func flush(_ connection: Connection) {
        let state = connection.state
        guard state.pointee.phase == .open else { return flushHandshake(connection) }
        if turnTicket > releasedTicket && state.pointee.isGated { hold(connection) }
        if state.pointee.tls == nil {
            if let output = state.pointee.output {
                let count = min(output.count, state.pointee.sendable)
                if count > 0 {
                    let before = output.count
                    guard send(connection, output, count) else { return }
                    noteConsumed(connection, before &- output.count)
                }
                if output.isEmpty {
                    state.pointee.output = nil
                    giveBuffer(output)
                }
            }
        } else {
            guard flushEncrypted(connection) else { return }
        }
        finishFlush(connection)
    }

    @inline(__always) private func finishFlush(_ connection: Connection) {
        let state = connection.state
        if state.pointee.output == nil && state.pointee.cipherOutput == nil {
            state.pointee.releasedAtLastFlush = 0
            if state.pointee.interest & EPOLLOUT.rawValue != 0 { connection.updateInterest() }
            if state.pointee.isClosingAfterFlush {
                close(connection, state.pointee.peerClosed ? .peerClosed : .local("closed after its last reply"))
            }
            return
        }
        if state.pointee.sendable == .max { state.pointee.releasedAtLastFlush = state.pointee.output?.count ?? 0 }
        connection.updateInterest()
        handler?.outputPending(connection)
    }

    /// Sends up to `count` bytes from the buffer's front. Returns false when the connection was closed.
    @inline(__always)
    private func send(_ connection: Connection, _ buffer: OutputBuffer, _ count: Int) -> Bool {
        let sent = CLinux.send(connection.state.pointee.fd, buffer.readable, count, Int32(MSG_NOSIGNAL))
        if sent > 0 {
            buffer.consume(sent)
            connection.state.pointee.bytesSent &+= UInt64(sent)
            traffic.writes &+= 1
            traffic.bytesSent &+= UInt64(sent)
            connection.state.pointee.lastActivity = monotonicNow
            return true
        }
        let code = cl_errno()
        if sent < 0 && code != EAGAIN && code != EINTR {
            close(connection, .socket(code))
            return false
        }
        return true
    }

    /// Encrypted bytes that may wait before more is encrypted.
    private static let cipherBacklog = 64 << 10

    private func flushEncrypted(_ connection: Connection) -> Bool {
        let state = connection.state
        guard let tls = state.pointee.tls else { return true }
        while true {
            if let output = state.pointee.output {
                let count = min(output.count, state.pointee.sendable, 256 << 10)
                if count > 0, (state.pointee.cipherOutput?.count ?? 0) < Reactor.cipherBacklog {
                    let cipher = state.pointee.cipherOutput ?? takeBuffer()
                    state.pointee.cipherOutput = cipher
                    guard tls.write(plain: output.readable, count: count, cipher: cipher) else {
                        close(connection, .tls("encryption failed"))
                        return false
                    }
                    output.consume(count)
                    noteConsumed(connection, count)
                }
                if output.isEmpty {
                    state.pointee.output = nil
                    giveBuffer(output)
                }
            }
            guard let cipher = state.pointee.cipherOutput else { return true }
            guard send(connection, cipher, cipher.count) else { return false }
            guard cipher.isEmpty else { return true }
            state.pointee.cipherOutput = nil
            giveBuffer(cipher)
            guard let output = state.pointee.output, min(output.count, state.pointee.sendable) > 0 else { return true }
        }
    }

    @inline(__always) private func noteConsumed(_ connection: Connection, _ count: Int) {
        connection.state.pointee.outputConsumed &+= count
        if connection.state.pointee.sendable != .max { connection.state.pointee.sendable &-= count }
    }

    private func flushHandshake(_ connection: Connection) {
        guard let cipher = connection.state.pointee.cipherOutput, !connection.state.pointee.isWithWorker,
            connection.phase == .handshaking
        else { return }
        guard send(connection, cipher, cipher.count) else { return }
        if cipher.isEmpty {
            connection.state.pointee.cipherOutput = nil
            giveBuffer(cipher)
            if connection.state.pointee.isClosingAfterFlush { return close(connection, .local("handshake refused")) }
        }
        connection.updateInterest()
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

    // MARK: Life of connections

    func makeConnection(fd: Int32, phase: Connection.Phase, tag: Int) -> Connection {
        let state = UnsafeMutablePointer<Connection.State>.allocate(capacity: 1)
        state.initialize(
            to: Connection.State(
                reactor: self, fd: fd, phase: phase, tag: tag, id: nextID, lastActivity: monotonicNow,
                created: monotonicNow))
        nextID += 1
        openConnections += 1
        return Connection(state)
    }

    func close(_ connection: Connection, _ reason: CloseReason) {
        let state = connection.state
        guard state.pointee.phase != .closed else { return }
        _ = connection.remoteAddress
        let phase = state.pointee.phase
        // A worker still holds the session: the connection ends when it comes back.
        state.pointee.phase = .closed
        openConnections -= 1
        deadlineWatch.remove(connection)
        heldConnections.remove(connection)
        if state.pointee.isListener { listening.remove(connection) }
        if !state.pointee.isWithWorker { sayGoodbye(connection, phase) }
        if state.pointee.fd >= 0 { _ = CLinux.close(state.pointee.fd) }
        state.pointee.fd = -1
        if !state.pointee.isListener { handler?.closed(connection, reason) }
        if !state.pointee.isWithWorker { graveyard.append(connection) }
    }

    /// Tries to send what TLS has still to say: an alert or the notice of the end. One attempt, no waiting.
    private func sayGoodbye(_ connection: Connection, _ phase: Connection.Phase) {
        guard let tls = connection.state.pointee.tls, connection.state.pointee.fd >= 0 else { return }
        let farewell = connection.state.pointee.cipherOutput ?? takeBuffer()
        connection.state.pointee.cipherOutput = farewell
        tls.shutdown(output: farewell)
        if !farewell.isEmpty {
            _ = CLinux.send(
                connection.state.pointee.fd, farewell.readable, farewell.count, Int32(MSG_NOSIGNAL))
        }
    }

    private func bury() {
        guard !graveyard.isEmpty else { return }
        for connection in graveyard {
            let state = connection.state
            if state.pointee.isQueuedAsReady { readyNext.removeAll { $0 == connection } }
            if let buffer = state.pointee.input { giveBuffer(buffer) }
            if let buffer = state.pointee.output { giveBuffer(buffer) }
            if let buffer = state.pointee.cipherOutput { giveBuffer(buffer) }
            state.pointee.tls?.destroy()
            state.deinitialize(count: 1)
            state.deallocate()
        }
        graveyard.removeAll(keepingCapacity: true)
    }

    /// A connection whose worker came back after it was closed.
    func buryLate(_ connection: Connection) {
        connection.state.pointee.isWithWorker = false
        graveyard.append(connection)
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

    func submitToResolver(_ job: @escaping @Sendable () -> Void) { resolver.submit(job) }
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
