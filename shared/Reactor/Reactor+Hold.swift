// Replies that must wait: for the log to be on disk, for replicas to acknowledge.
//
// The service numbers what it has done with a growing ticket (the offset in its propagation stream). All output that gated
// connections produced in a turn may leave when `releasedTicket` has reached the turn's ticket. Reads wait too: what they saw
// may be what is not safe yet. A connection remembers boundaries in its output, so that a client that never stops sending
// still gets its earlier replies.

import ByteStorage

struct OutputHold {
    /// Position in the connection's output since the beginning.
    let end: Int
    let ticket: UInt64
}

extension Reactor {
    /// Notes that everything in the output now waits for this turn's ticket.
    func hold(_ connection: Connection) {
        let state = connection.state
        let end = state.pointee.outputConsumed + (state.pointee.output?.count ?? 0)
        let last = state.pointee.holds.last?.end ?? (state.pointee.outputConsumed + releasedBytes(connection))
        guard end > last else { return }
        if state.pointee.sendable == .max { state.pointee.sendable = last - state.pointee.outputConsumed }
        if let previous = state.pointee.holds.last, previous.ticket == turnTicket {
            state.pointee.holds[state.pointee.holds.count - 1] = OutputHold(end: end, ticket: turnTicket)
        } else {
            state.pointee.holds.append(OutputHold(end: end, ticket: turnTicket))
        }
        heldConnections.insert(connection)
    }

    /// Output of earlier turns that may leave but has not, because the peer is slow.
    private func releasedBytes(_ connection: Connection) -> Int {
        // Without holds everything that was there at the last flush had been released; it is what is still waiting for the
        // socket, and this turn's output was appended after it.
        connection.state.pointee.releasedAtLastFlush
    }

    /// Lets the output of all turns up to `ticket` go.
    public func release(upTo ticket: UInt64) {
        guard ticket > releasedTicket else { return }
        releasedTicket = ticket
        for connection in heldConnections {
            let state = connection.state
            var freed = 0
            while freed < state.pointee.holds.count, state.pointee.holds[freed].ticket <= ticket { freed += 1 }
            guard freed > 0 else { continue }
            let end = state.pointee.holds[freed - 1].end
            state.pointee.holds.removeFirst(freed)
            if state.pointee.holds.isEmpty {
                state.pointee.sendable = .max
                state.pointee.releasedAtLastFlush = end - state.pointee.outputConsumed
                heldConnections.remove(connection)
            } else {
                state.pointee.sendable = end - state.pointee.outputConsumed
            }
            queueFlush(connection)
        }
    }

    /// The durability setting that made replies wait was switched off: everything may go.
    public func releaseAll() {
        for connection in heldConnections {
            connection.state.pointee.holds.removeAll()
            connection.state.pointee.sendable = .max
            queueFlush(connection)
        }
        heldConnections.removeAll()
    }

    public var heldConnectionCount: Int { heldConnections.count }
}
