// Listening, accepting, connecting, handshakes.
import ByteStorage
import CLinux
import TLS

extension Reactor {
    /// Listens on a TCP address. What it accepts inherits `tag`; with `tls`, a handshake comes first.
    ///
    /// - Throws: `SocketError`, for example when the port is in use.
    @discardableResult
    public func listen(
        host: String, port: UInt16, tag: Int, tls: TLSContext? = nil, backlog: Int32 = 511
    ) throws(SocketError) -> Connection {
        addListener(try Sockets.listen(host: host, port: port, backlog: backlog), tag, tls)
    }

    @discardableResult
    public func listenUnix(path: String, mode: UInt32 = 0, tag: Int, backlog: Int32 = 511) throws(SocketError)
        -> Connection
    {
        addListener(try Sockets.listenUnix(path: path, mode: mode, backlog: backlog), tag, nil)
    }

    private func addListener(_ fd: Int32, _ tag: Int, _ tls: TLSContext?) -> Connection {
        let listener = makeConnection(fd: fd, phase: .open, tag: tag)
        listener.state.pointee.isListener = true
        listener.state.pointee.tlsContext = tls
        listening.insert(listener)
        add(listener, EPOLLIN.rawValue)
        return listener
    }

    /// Gives a listener a new context: connections that are open keep theirs.
    public func setTLSContext(_ listener: Connection, _ context: TLSContext) {
        listener.state.pointee.tlsContext = context
    }

    func acceptAll(_ listener: Connection) {
        for _ in 0..<Reactor.acceptsPerTurn {
            let fd = cl_accept(listener.state.pointee.fd, nil, nil)
            if fd < 0 {
                // Out of descriptors: leave the rest in the queue for a moment instead of spinning on it.
                let code = cl_errno()
                if code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM {
                    let id = listener.id
                    listener.setReadingPaused(true)
                    schedule(after: 100) { [unowned self] in
                        if listening.contains(listener), listener.id == id { listener.setReadingPaused(false) }
                    }
                }
                return
            }
            Sockets.setNoDelay(fd)
            let connection = makeConnection(fd: fd, phase: .open, tag: listener.tag)
            if let context = listener.state.pointee.tlsContext {
                connection.state.pointee.phase = .handshaking
                connection.state.pointee.tls = TLSSession.create(context: context, role: .server)
                connection.state.pointee.deadline = monotonicNow + handshakeMilliseconds
                watchDeadline(connection)
            }
            add(connection, EPOLLIN.rawValue)
            if connection.phase != .closed { notifyAccepted(connection) }
            if connection.phase == .open { notifyOpened(connection) }
        }
    }

    /// Connects to a host by name or address. Success comes as `opened`, failure as `closed`, both in a later turn.
    ///
    /// - Parameters:
    ///   - tls: speak TLS as a client, checking the peer's name against `serverName`.
    ///   - serverName: the name in the peer's certificate where it is not `host`; empty: any.
    ///   - timeoutMilliseconds: for name, connect and handshake together.
    public func connect(
        host: String, port: UInt16, tag: Int, tls: TLSContext? = nil, serverName: String? = nil,
        sourceAddress: String? = nil, timeoutMilliseconds: Int64 = 5000
    ) -> Connection {
        let connection = makeConnection(fd: -1, phase: .resolving, tag: tag)
        connection.state.pointee.isOutgoing = true
        connection.state.pointee.remoteAddress = "\(host):\(port)"
        connection.state.pointee.tlsContext = tls
        connection.state.pointee.serverName = serverName.map { $0.isEmpty ? nil : $0 } ?? host
        connection.state.pointee.deadline = monotonicNow + timeoutMilliseconds
        watchDeadline(connection)
        connection.state.pointee.isWithWorker = true
        resolve(host, port) { [unowned self] in resolved(connection, $0, sourceAddress) }
        return connection
    }

    private func resolved(
        _ connection: Connection, _ result: Result<[SocketAddress], ResolutionFailure>, _ source: String?
    ) {
        if connection.phase == .closed { return buryLate(connection) }
        connection.state.pointee.isWithWorker = false
        switch result {
        case .failure(let failure): close(connection, .resolution(failure.text))
        case .success(let addresses):
            connection.state.pointee.untriedAddresses = addresses
            connection.state.pointee.sourceAddress = source
            connectToNextAddress(connection, previousError: EADDRNOTAVAIL)
        }
    }

    /// Tries the addresses of a name one after the other: a name may have one of a family that is not routed here.
    private func connectToNextAddress(_ connection: Connection, previousError: Int32) {
        var code = previousError
        while !connection.state.pointee.untriedAddresses.isEmpty {
            let address = connection.state.pointee.untriedAddresses.removeFirst()
            do throws(SocketError) {
                connection.state.pointee.fd = try Sockets.connect(
                    address, from: connection.state.pointee.sourceAddress)
                connection.state.pointee.phase = .connecting
                return add(connection, EPOLLIN.rawValue | EPOLLOUT.rawValue)
            } catch {
                code = error.code
            }
        }
        close(connection, .socket(code))
    }

    func finishConnect(_ connection: Connection) {
        let code = Sockets.pendingError(connection.state.pointee.fd)
        guard code == 0 else {
            guard !connection.state.pointee.untriedAddresses.isEmpty else { return close(connection, .socket(code)) }
            _ = CLinux.close(connection.state.pointee.fd)
            connection.state.pointee.fd = -1
            connection.state.pointee.phase = .resolving
            return connectToNextAddress(connection, previousError: code)
        }
        connection.state.pointee.untriedAddresses = []
        guard let context = connection.state.pointee.tlsContext else { return becomeOpen(connection) }
        connection.state.pointee.phase = .handshaking
        connection.state.pointee.tls = TLSSession.create(
            context: context, role: .client, serverName: connection.state.pointee.serverName)
        handToWorker(connection, takeBuffer())
    }

    private func becomeOpen(_ connection: Connection) {
        connection.state.pointee.phase = .open
        if !connection.isClosingAfterFlush {
            connection.state.pointee.deadline = .max
            unwatchDeadline(connection)
        }
        connection.state.pointee.interest = .max
        connection.updateInterest()
        guard connection.phase == .open else { return }
        notifyOpened(connection)
        if connection.phase == .open, connection.pendingOutput > 0 { queueFlush(connection) }
    }

    // MARK: Handshake

    /// Receives handshake bytes and gives them to a worker together with the session.
    func continueHandshake(_ connection: Connection, _ flags: UInt32) {
        if flags & EPOLLOUT.rawValue != 0 { queueFlush(connection) }
        guard flags & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 else { return }
        let input = takeBuffer()
        let received = recv(connection.state.pointee.fd, input.reserve(Reactor.receiveBytes), Reactor.receiveBytes, 0)
        if received <= 0 {
            let code = cl_errno()
            giveBuffer(input)
            if received < 0 && (code == EAGAIN || code == EINTR) { return }
            let text = received == 0 ? "closed by the peer during the handshake" : String(cString: strerror(code))
            return close(connection, .tls(text))
        }
        input.commit(received)
        noteActivity(connection, received: received)
        handToWorker(connection, input)
    }

    private func handToWorker(_ connection: Connection, _ input: OutputBuffer) {
        guard let session = connection.state.pointee.tls else { return }
        let output = connection.state.pointee.cipherOutput ?? takeBuffer()
        connection.state.pointee.cipherOutput = output
        connection.state.pointee.isWithWorker = true
        connection.updateInterest()
        let job = HandshakeJob(connection: connection, session: session, input: input, output: output)
        workers.submit { [self] in
            let result = job.session.handshake(
                input: job.input.readable, inputCount: job.input.count, output: job.output)
            post { self.handshakeStepped(job, result) }
        }
    }

    private func handshakeStepped(_ job: HandshakeJob, _ result: TLSSession.HandshakeResult) {
        let connection = job.connection
        giveBuffer(job.input)
        if connection.phase == .closed { return buryLate(connection) }
        connection.state.pointee.isWithWorker = false
        switch result {
        case .failed(let reason):
            // The alert goes out with the close.
            close(connection, .tls(reason))
        case .needMore:
            queueFlush(connection)
            connection.updateInterest()
        case .done:
            if job.output.isEmpty {
                connection.state.pointee.cipherOutput = nil
                giveBuffer(job.output)
            }
            becomeOpen(connection)
            guard connection.phase == .open else { return }
            queueFlush(connection)
            drainAfterHandshake(connection)
        }
    }

    /// The first command may have come in the same segment as the end of the handshake.
    private func drainAfterHandshake(_ connection: Connection) {
        guard let tls = connection.state.pointee.tls, tls.hasPendingInput else { return }
        let input = connection.state.pointee.input ?? takeBuffer()
        connection.state.pointee.input = input
        switch tls.read(cipher: cipherBuffer, count: 0, into: input) {
        case .ok: break
        case .closed:
            connection.state.pointee.peerClosed = true
            connection.closeAfterFlush(withinMilliseconds: 1000)
        case .failed(let reason): return close(connection, .tls(reason))
        }
        _ = input.reserve(16)
        if !input.isEmpty { queueReadyAfterOpen(connection) }
    }
}

/// @unchecked Sendable: while the job is with the worker, the loop touches neither session nor buffers (`isWithWorker`).
private struct HandshakeJob: @unchecked Sendable {
    let connection: Connection
    let session: TLSSession
    let input: OutputBuffer
    let output: OutputBuffer
}

// The loop is handed to workers only to `post` back to it, which is locked.
extension Reactor: @unchecked Sendable {}
