// From the connections' output buffers to the sockets, once a turn.
import ByteStorage
import CLinux
import TLS

extension Reactor {
    @inline(__always) func queueFlush(_ connection: Connection) {
        guard !connection.state.pointee.isQueuedForFlush else { return }
        connection.state.pointee.isQueuedForFlush = true
        flushList.append(connection)
    }

    func flushAll() {
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
}
