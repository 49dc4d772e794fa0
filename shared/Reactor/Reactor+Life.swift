// Connections from their making to the end of the turn in which they closed.
import ByteStorage
import CLinux
import TLS

extension Reactor {
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

    func bury() {
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
}
