// Lines that come over a unix socket or standard input. Unlike a file, these cannot be read again: what was received and not yet
// stored when the process is killed is lost, at most a flush interval's worth.
import ByteStorage
import CLinux
import Reactor
import Synchronization

/// One writer on an input's unix socket.
final class LineConnection {
    let connection: Connection
    let input: Int
    var lines: LineAssembler

    init(_ connection: Connection, input: Int, maximumLineBytes: Int) {
        self.connection = connection
        self.input = input
        lines = LineAssembler(maximumBytes: maximumLineBytes)
    }
}

/// Reads standard input, which epoll may not take (a file), on a thread of its own: a piece at a time, the next one only when the
/// loop has taken the one before.
final class StandardInput: Sendable {
    private let taken = EventCounter(isSemaphore: true)
    static let pieceBytes = 64 << 10

    /// - Parameters:
    ///   - post: runs a job on the loop's thread.
    ///   - handle: gets each piece on the loop's thread; an empty one is the end.
    func start(
        post: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void,
        handle: @escaping @Sendable ([UInt8]) -> Void
    ) {
        Threads.start(name: "stdin") { [self] in
            var buffer = [UInt8](repeating: 0, count: Self.pieceBytes)
            while true {
                let count = read(0, &buffer, buffer.count)
                if count < 0 && cl_errno() == EINTR { continue }
                let piece = Array(buffer.prefix(max(0, count)))
                post { handle(piece) }
                if piece.isEmpty { return }
                taken.wait()
            }
        }
    }

    /// Lets the thread read on.
    func resume() { taken.signal() }
}

/// Carries a reference to an object of the loop's thread through jobs that run there.
///
/// `@unchecked Sendable`: used on the loop's thread only.
final class LoopReference<Object: AnyObject>: @unchecked Sendable {
    private unowned let object: Object
    init(_ object: Object) { self.object = object }
    func run(_ body: (Object) -> Void) { body(object) }
}

extension ForwarderService {
    func startStandardInput() {
        guard
            let index = settings.inputs.firstIndex(where: {
                if case .standardInput = $0.source { true } else { false }
            })
        else { return }
        standardInputLines = LineAssembler(maximumBytes: settings.inputs[index].maximumLineBytes)
        let input = StandardInput()
        standardInput = input
        let service = LoopReference(self)
        let reactor = LoopReference(reactor)
        input.start(
            post: { job in reactor.post(job) },
            handle: { piece in service.run { $0.standardInputReceived(piece, index) } })
    }

    private func standardInputReceived(_ piece: [UInt8], _ index: Int) {
        readClock()
        if piece.isEmpty {
            standardInputLines?.flush { line, _ in take(line, input: index) }
            standardInput = nil
            return shutDown("Standard input has ended")
        }
        piece.withView { view in
            standardInputLines?.feed(view) { line, _ in if !line.isEmpty { take(line, input: index) } }
        }
        if isPaused { isStandardInputWaiting = true } else { standardInput?.resume() }
    }

    /// After the buffer could be written again.
    func acknowledgeStandardInput() {
        guard isStandardInputWaiting else { return }
        isStandardInputWaiting = false
        standardInput?.resume()
    }

    func linesReceived(_ connection: Connection) {
        guard let source = lineConnections[connection.id] else { return }
        readClock()
        let input = connection.input
        source.lines.feed(input) { line, _ in if !line.isEmpty { take(line, input: source.input) } }
        connection.consumeInput(input.count)
        if isPaused { connection.setReadingPaused(true) }
    }

    func linesAccepted(_ connection: Connection) {
        let index = connection.tag >> 8
        guard lineConnections.count < 256, settings.inputs.indices.contains(index), shutdownDeadline == nil else {
            statistics.refusedLineConnections += 1
            return connection.close(.local("too many writers"))
        }
        lineConnections[connection.id] = LineConnection(
            connection, input: index, maximumLineBytes: settings.inputs[index].maximumLineBytes)
        if isPaused { connection.setReadingPaused(true) }
    }

    func linesClosed(_ connection: Connection) {
        guard let source = lineConnections.removeValue(forKey: connection.id) else { return }
        source.lines.flush { line, _ in take(line, input: source.input) }
    }
}

extension LoopReference where Object == Reactor {
    /// From any thread: the reactor lives as long as the process.
    func post(_ job: @escaping @Sendable () -> Void) { run { $0.post(job) } }
}
