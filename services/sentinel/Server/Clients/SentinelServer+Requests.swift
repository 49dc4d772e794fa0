// Requests of clients: parsing, the order of replies, back-pressure.

import ByteStorage
import RESP
import Reactor
import SentinelCore
import Telemetry

/// One parsed command. Valid while it is executed.
struct Request {
    let arguments: UnsafeMutablePointer<ByteView>
    let count: Int
    /// The bytes as they came; empty for an inline request.
    let raw: ByteView

    subscript(_ index: Int) -> ByteView { arguments[index] }
    var words: [String] { (0..<count).map { arguments[$0].string } }
    func word(_ index: Int) -> String { arguments[index].string }
}

enum ExecutionOutcome {
    case done
    /// The command stays in the input until the client's stall is over.
    case wait
}

extension SentinelServer {
    /// Replies that one client may be owed.
    static let maximumSlots = 4096
    /// Input of a stalled client beyond which nothing more is read from it.
    static let stalledInputBytes = 64 << 10

    func processRequests(_ client: SentinelClient) {
        let connection = client.connection
        var position = 0
        parsing: while connection.isOpen, !client.isClosing, client.stall == nil {
            let input = connection.input
            guard input.count - position >= max(client.needed, 1) else { break }
            client.needed = 0
            if client.slots.count >= Self.maximumSlots {
                stall(client, .replies)
                break
            }
            requestParser.restricted = client.needsAuthentication
            requestParser.limits = client.needsAuthentication ? .unauthenticated : RequestLimits()
            let first = arena.count
            switch parse(client, input, position) {
            case .nothing(let next): position = next
            case .incomplete(let needed):
                client.needed = needed
                break parsing
            case .failed(let error):
                reply(client) { $0.error("ERR Protocol error: \(error.text)") }
                statistics.errorReplies += 1
                closeAfterReplies(client)
            case .command(let next, let count):
                let isInline = input[position] != UInt8(ascii: "*")
                let raw = isInline ? ByteView(emptyByteBase, 0) : input.slice(position, next)
                let request = Request(arguments: arena.pointer(first), count: count, raw: raw)
                let outcome = execute(client, request)
                arena.reset()
                if outcome == .wait { break parsing }
                position = next
                client.commandCount += 1
                statistics.commandsProcessed += 1
            }
        }
        arena.reset()
        guard connection.isOpen else { return }
        connection.consumeInput(position)
        checkInput(client)
    }

    /// Bytes of an incomplete command from which on its next piece is parsed where the last one ended.
    private static let resumableBytes = 64 << 10

    private func parse(_ client: SentinelClient, _ input: ByteView, _ position: Int) -> RequestStatus {
        // It is about the command that the input begins with.
        if position == 0, var progress = client.progress.take() {
            let status = progress.parse(requestParser, input.base, 0, input.count, arena)
            if case .incomplete = status { client.progress = progress }
            return status
        }
        let status = requestParser.parse(input.base, position, input.count, arena)
        guard case .incomplete = status, input.count - position > Self.resumableBytes, input[position] == 42 else {
            return status
        }
        var progress = RequestProgress()
        let again = progress.parse(requestParser, input.base, position, input.count, arena)
        if case .incomplete = again { client.progress = progress }
        return again
    }

    private func checkInput(_ client: SentinelClient) {
        let waiting = client.connection.input.count
        if waiting > settings.queryBufferLimit {
            log.event(
                .warning, "query-limit",
                "Closing client that reached max query buffer length: \(client.connection.remoteAddress)")
            return client.connection.close(.local("query buffer limit"))
        }
        if client.stall != nil {
            forwarder.waitingBytes += waiting - client.stalledBytes
            client.stalledBytes = waiting
            if waiting > Self.stalledInputBytes { client.connection.setReadingPaused(true, endsWithPeer: true) }
        }
    }

    // MARK: Stalls

    func stall(_ client: SentinelClient, _ reason: SentinelClient.Stall) {
        client.stall = reason
        if case .primary = reason {
            if forwarder.waiting[client.id] == nil {
                client.waitingSince = reactor.monotonicNow
                forwarder.waiting[client.id] = client
                watchWaitingClients()
            }
        }
    }

    func endStall(_ client: SentinelClient) {
        guard client.stall != nil else { return }
        client.stall = nil
        forwarder.waiting[client.id] = nil
        forwarder.waitingBytes -= client.stalledBytes
        client.stalledBytes = 0
        guard client.connection.isOpen else { return }
        client.connection.setReadingPaused(false)
        client.connection.revisit()
    }

    // MARK: Replies in order

    /// Answers the command that is being executed.
    func reply(_ client: SentinelClient, _ write: (ReplyWriter) -> Void) {
        guard client.connection.isOpen else { return }
        if client.slots.isEmpty {
            write(ReplyWriter(client.connection.output, isRESP3: client.isRESP3))
        } else {
            client.slots.append(ready: written(client, write))
        }
    }

    func replyError(_ client: SentinelClient, _ text: String) {
        statistics.errorReplies += 1
        reply(client) { $0.error(text) }
    }

    /// Answers an earlier command whose reply has a slot.
    func fill(_ client: SentinelClient, _ slot: Int, _ write: (ReplyWriter) -> Void) {
        guard client.connection.isOpen else { return }
        if client.slots.isFirst(slot) {
            write(ReplyWriter(client.connection.output, isRESP3: client.isRESP3))
            client.slots.removeFirst()
            drain(client)
        } else {
            client.slots.fill(slot, written(client, write))
        }
    }

    /// The same with bytes that are a reply already.
    func fill(_ client: SentinelClient, _ slot: Int, _ bytes: ByteView) {
        guard client.connection.isOpen else { return }
        if client.slots.isFirst(slot) {
            client.connection.output.append(bytes)
            client.slots.removeFirst()
            drain(client)
        } else {
            client.slots.fill(slot, bytes.array)
            if client.slots.bufferedBytes > settings.outputBufferLimit {
                client.connection.close(.local("output buffer limit"))
            }
        }
    }

    private func written(_ client: SentinelClient, _ write: (ReplyWriter) -> Void) -> [UInt8] {
        scratch.removeAll()
        write(ReplyWriter(scratch, isRESP3: client.isRESP3))
        defer { scratch.shrink(to: 4096) }
        let bytes = scratch.view.array
        scratch.removeAll()
        return bytes
    }

    private func drain(_ client: SentinelClient) {
        while let bytes = client.slots.first {
            client.connection.output.append(bytes)
            client.slots.removeFirst()
        }
        if client.slots.isEmpty, isShuttingDown || client.isClosing { return client.connection.closeAfterFlush() }
        if case .replies = client.stall, client.outstanding == 0 || client.slots.count < Self.maximumSlots / 2,
            client.outstandingBytes < Self.maximumOutstandingBytes / 2
        {
            endStall(client)
        }
    }

    /// Executes nothing more and closes once the replies that are owed are out.
    func closeAfterReplies(_ client: SentinelClient) {
        client.isClosing = true
        if client.slots.isEmpty { client.connection.closeAfterFlush() }
    }

    func clientClosed(_ client: SentinelClient) {
        client.isClosing = true
        subscriptions.removeAll(client)
        client.slots.removeAll()
        endStall(client)
        releaseLinks(of: client)
    }

    // MARK: Dispatch

    private func execute(_ client: SentinelClient, _ request: Request) -> ExecutionOutcome {
        let name = CommandName(request[0])
        let own = name.flatMap { OwnCommand.byName[$0] }
        if client.needsAuthentication {
            switch own {
            case .auth, .hello, .quit, .reset: break
            default:
                replyError(client, "NOAUTH Authentication required.")
                return .done
            }
        }
        if client.isSubscribed, !client.isRESP3, own?.isAllowedWhileSubscribed != true {
            replyError(
                client,
                "ERR Can't execute '\(request.word(0).lowercased().prefix(128))': only (P|S)SUBSCRIBE / "
                    + "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
            return .done
        }
        if let own, !isForwarded(own, request, client) {
            client.lastCommand = own.rawValue
            guard own.accepts(request.count) else {
                replyError(client, "ERR wrong number of arguments for '\(own.rawValue)' command")
                return .done
            }
            execute(own, client, request)
            return .done
        }
        client.lastCommand = "forwarded"
        return forward(client, request, name)
    }

    /// A message that is not a hello is a client's, for the subscribers of the primary. Inside a transaction all commands
    /// belong to it.
    private func isForwarded(_ own: OwnCommand, _ request: Request, _ client: SentinelClient) -> Bool {
        guard settings.forwardsCommands else { return false }
        switch own {
        case .publish: return request.count == 3 && request.word(1) != helloChannel
        case .ping, .info, .role: return client.isInTransaction
        default: return false
        }
    }
}
