import ByteStorage
import RESP

/// The commands that changed something, as the log and the replicas get them: RESP multibulk, SELECT where the database
/// changes, MULTI and EXEC round a transaction.
///
/// The engine appends, the server drains once a turn. When nobody listens (`isEnabled` false) nothing is written.
public struct PropagationStream {
    public var isEnabled = false
    public let buffer = OutputBuffer.create(capacity: 4096)
    /// The database that a reader of the stream has selected; nil forces a SELECT before the next command.
    public var selectedDatabase: Int?
    private var transaction = TransactionState.none

    private enum TransactionState { case none, announced, open }

    /// A transaction begins: MULTI is written before its first change, if there is one.
    public mutating func beginTransaction() { transaction = .announced }

    public mutating func endTransaction() {
        if transaction == .open { buffer.append("*1\r\n$4\r\nEXEC\r\n") }
        transaction = .none
    }

    /// Appends a command exactly as a client sent it.
    public mutating func append(verbatim bytes: ByteView, database: Int) {
        guard isEnabled else { return }
        prepare(database)
        buffer.append(bytes)
    }

    /// Appends a command from its parts.
    public mutating func append(database: Int, _ parts: [ByteView]) {
        guard isEnabled else { return }
        prepare(database)
        let writer = ReplyWriter(buffer)
        writer.array(parts.count)
        for part in parts { writer.bulk(part) }
    }

    public mutating func append(database: Int, arguments: UnsafeMutablePointer<ByteView>, count: Int) {
        guard isEnabled else { return }
        prepare(database)
        let writer = ReplyWriter(buffer)
        writer.array(count)
        for index in 0..<count { writer.bulk(arguments[index]) }
    }

    private mutating func prepare(_ database: Int) {
        if selectedDatabase != database {
            selectedDatabase = database
            let writer = ReplyWriter(buffer)
            writer.array(2)
            writer.bulk("SELECT")
            writer.bulk(integer: Int64(database))
        }
        if transaction == .announced {
            transaction = .open
            buffer.append("*1\r\n$5\r\nMULTI\r\n")
        }
    }
}

extension Engine {
    /// Replaces the propagated form of the running command: its own words go to the stream instead of what the client sent.
    /// May be called several times, and with no change to propagate not at all (then call `propagateNothing`).
    func propagate(_ database: Int, _ parts: [ByteView]) {
        state.pointee.propagation = .rewritten
        state.pointee.stream.append(database: database, parts)
    }

    /// The effect of the running command is already in the stream, or there is none to send.
    func propagateNothing() { state.pointee.propagation = .rewritten }
}

/// Decimal digits of an integer in memory of its own, to build commands from. For cold paths.
func withDecimal<Result>(_ value: Int64, _ body: (ByteView) -> Result) -> Result {
    withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { memory in
        guard let base = memory.baseAddress else { return body(ByteView("0")) }
        return body(ByteView(base, formatInteger(value, base)))
    }
}
