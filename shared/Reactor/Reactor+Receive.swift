// From the sockets into the connections' input buffers.
import ByteStorage
import CLinux
import TLS

extension Reactor {
    @inline(__always) func receive(_ connection: Connection, _ flags: UInt32) {
        let state = connection.state
        if state.pointee.isClosingAfterFlush || state.pointee.isReadingPaused {
            // Not reading: only a connection that is gone for good is worth a look.
            if flags & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
                close(connection, .socket(Sockets.pendingError(state.pointee.fd)))
            } else if flags & EPOLLRDHUP.rawValue != 0, state.pointee.endsWhilePaused {
                close(connection, .peerClosed)
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

    func recycleInput(_ connection: Connection) {
        guard connection.phase != .closed, let input = connection.state.pointee.input, input.isEmpty else { return }
        connection.state.pointee.input = nil
        giveBuffer(input)
    }
}
