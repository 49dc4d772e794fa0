import ByteStorage
import RESP
import Reactor
import SentinelCore
import Telemetry

extension SentinelServer {
    /// Bytes of one client's commands that may be under way to the primary.
    static let maximumOutstandingBytes = 1 << 20
    /// Longest command that is kept for repetition.
    static let maximumRetainedBytes = 16 << 10
    static let maximumIdleLinks = 64

    static let noPrimary = "MASTERDOWN No primary is available for this command at the moment"
    static let uncertain = "ERR Connection to the primary lost after the command was sent: it may have been applied"

    /// The monitored primary that commands go to.
    var forwardedPrimaryName: String? {
        settings.forwardPrimary.isEmpty ? machine.primaryNames.first : settings.forwardPrimary
    }

    // MARK: Taking commands

    func forward(_ client: SentinelClient, _ request: Request, _ name: CommandName?) -> ExecutionOutcome {
        guard settings.forwardsCommands, forwardedPrimaryName != nil else {
            replyError(client, unknownCommand(request))
            return .done
        }
        if let problem = forwardingProblem(client) {
            replyError(client, problem)
            return .done
        }
        let kind = resolved(name.flatMap { ForwardKind.byName[$0] } ?? .write, request)
        if case .refused = kind {
            replyError(
                client,
                "ERR '\(request.word(0).lowercased())' cannot be used through a sentinel: connect to the primary")
            return .done
        }
        if case .select = kind, client.ownLink == nil, request.count == 2, parseInteger(request[1]) == 0 {
            reply(client) { $0.ok() }
            return .done
        }
        guard let link = link(for: client, kind) else {
            return client.stall == nil ? .done : .wait
        }
        send(client, request, kind, on: link)
        return .done
    }

    private func resolved(_ kind: ForwardKind, _ request: Request) -> ForwardKind {
        guard kind == .blockingWithOption else { return kind }
        let isBlocking = (1..<request.count).contains { request[$0].equalsIgnoringCase("block") }
        // A group's reads move its position: only a plain read may be repeated.
        return isBlocking ? .blocking : request[0].count == 5 ? .read : .write
    }

    private func unknownCommand(_ request: Request) -> String {
        var text = "ERR unknown command '\(request.word(0).prefix(128))', with args beginning with: "
        for index in 1..<max(request.count, 1) where text.utf8.count < 256 {
            text += "'\(request.word(index).prefix(128))' "
        }
        return text
    }

    /// Our links to the primary bear our credentials: they must not be a way round the primary's own check.
    private func forwardingProblem(_ client: SentinelClient) -> String? {
        guard settings.password.isEmpty, !client.hasPrimaryCredentials,
            let name = forwardedPrimaryName, machine.credentials(of: name) != nil
        else { return nil }
        return "NOAUTH Authentication required."
    }

    // MARK: Choosing a link

    /// The link for a command of this kind. nil: the client is stalled, or has got an error.
    private func link(for client: SentinelClient, _ kind: ForwardKind) -> Upstream? {
        if client.outstandingBytes >= Self.maximumOutstandingBytes {
            stall(client, .replies)
            return nil
        }
        let needsOwn: Bool =
            switch kind {
            case .read, .write, .unwatch, .discard, .exec: !client.isLinkClean
            default: true
            }
        if needsOwn, let own = client.ownLink {
            if own.isOpen { return ordered(client, own) }
            return waitForPrimary(client)
        }
        guard let target = forwarder.target else { return waitForPrimary(client) }
        let link = needsOwn ? ownLink(client, target) : sharedLink(client, target)
        guard let link else { return client.stall == nil ? nil : waitForPrimary(client) }
        guard link.isOpen else { return waitForPrimary(client) }
        return ordered(client, link)
    }

    /// A command must not overtake earlier ones that went to another link.
    private func ordered(_ client: SentinelClient, _ link: Upstream) -> Upstream? {
        if client.outstanding > 0, client.mustDrain || client.currentLink !== link {
            stall(client, .replies)
            return nil
        }
        return link
    }

    private func sharedLink(_ client: SentinelClient, _ target: Endpoint) -> Upstream? {
        let index = Int(client.id % UInt64(settings.forwardLinks)) * 2 + (client.isRESP3 ? 1 : 0)
        if let link = forwarder.shared[index], !link.isRetired { return link }
        guard let link = open(target, isRESP3: client.isRESP3, isOwn: false) else {
            stall(client, .primary)
            return nil
        }
        forwarder.shared[index] = link
        return link
    }

    private func ownLink(_ client: SentinelClient, _ target: Endpoint) -> Upstream? {
        if let index = forwarder.idle.firstIndex(where: { $0.isRESP3 == client.isRESP3 && !$0.isRetired }) {
            let link = forwarder.idle.remove(at: index)
            link.owner = client
            client.ownLink = link
            return link
        }
        if forwarder.ownLinkCount >= settings.forwardMaxOwnLinks {
            replyError(client, "ERR too many clients have a connection of their own to the primary")
            return nil
        }
        guard let link = open(target, isRESP3: client.isRESP3, isOwn: true) else {
            stall(client, .primary)
            return nil
        }
        link.owner = client
        client.ownLink = link
        return link
    }

    // MARK: Sending

    /// WAIT is about the writes of its own connection, and the client's went over a shared one. They have all been answered by
    /// now, so a write that changes nothing, sent before it, stands for them: a message on a channel of nobody.
    private static let waitMark = ["PUBLISH", "__dssm__:wait", ""]

    private func send(_ client: SentinelClient, _ request: Request, _ kind: ForwardKind, on link: Upstream) {
        if case .replicasWait = kind, !client.isInTransaction { sendOwn(Self.waitMark, on: link) }
        let output = link.connection.output
        let start = output.count
        if request.raw.isEmpty {
            let writer = ReplyWriter(output)
            writer.array(request.count)
            for index in 0..<request.count { writer.bulk(request[index]) }
        } else {
            output.append(request.raw)
        }
        let sent = output.count - start
        var retained = 0
        if !link.isOwn, sent <= Self.maximumRetainedBytes {
            link.copies.append(output.view.slice(start, output.count))
            retained = sent
        }
        link.append(
            .init(
                client: client, slot: client.slots.append(), retainedBytes: retained, isRead: kind == .read,
                since: reactor.monotonicNow, sentBytes: sent))
        client.outstanding += 1
        client.outstandingBytes += sent
        client.currentLink = link
        forwarder.forwardedCommands += 1
        switch kind {
        case .multi: client.isInTransaction = true
        case .exec, .discard:
            client.isInTransaction = false
            client.isWatching = false
        case .watch: client.isWatching = true
        case .unwatch: if !client.isInTransaction { client.isWatching = false }
        case .select: client.database = request.count == 2 ? Int(parseInteger(request[1]) ?? 0) : client.database
        default: break
        }
    }

    // MARK: Waiting for a primary

    /// - Returns: always nil; the client is stalled, or its command has got an error because it has waited enough.
    private func waitForPrimary(_ client: SentinelClient) -> Upstream? {
        let isFull = forwarder.waitingBytes > settings.forwardQueueLimit
        if client.hasWaitedEnough || isFull {
            client.stall = nil
            forwarder.refusedCommands += 1
            replyError(client, Self.noPrimary)
            return nil
        }
        stall(client, .primary)
        return nil
    }

    /// Looks now and then whether somebody has waited long enough, or a new attempt to connect is due.
    func watchWaitingClients() {
        guard !forwarder.isWatchingWaiters else { return }
        forwarder.isWatchingWaiters = true
        reactor.schedule(after: 20) { [unowned self] in
            forwarder.isWatchingWaiters = false
            if forwarder.demoted != nil { forwardingTargetMayHaveChanged() }
            let limit = Int64(settings.forwardTimeoutMilliseconds)
            for client in Array(forwarder.waiting.values) {
                if reactor.monotonicNow - client.waitingSince >= limit {
                    client.hasWaitedEnough = true
                    endStall(client)
                } else if forwarder.target != nil, reactor.monotonicNow >= forwarder.nextAttempt {
                    retry(client)
                }
            }
            sendRepeats()
            if !forwarder.waiting.isEmpty || !forwarder.repeats.isEmpty { watchWaitingClients() }
        }
    }

    /// Lets a waiting client try again without losing the time that it has waited already.
    private func retry(_ client: SentinelClient) {
        let since = client.waitingSince
        endStall(client)
        client.waitingSince = since
        processRequests(client)
        if case .primary = client.stall { client.waitingSince = since }
    }

    /// Lets all that wait for a primary try again.
    func wakeWaitingClients() {
        sendRepeats()
        for client in Array(forwarder.waiting.values) { retry(client) }
    }

    /// After news from the state machine.
    func forwardingTargetMayHaveChanged() {
        guard settings.forwardsCommands, let name = forwardedPrimaryName else { return }
        var target = machine.servingPrimary(named: name)
        if let demoted = forwarder.demoted {
            if target == demoted.target, reactor.monotonicNow - demoted.since < Self.demotionMilliseconds {
                target = nil
            } else {
                forwarder.demoted = nil
            }
        }
        guard target != forwarder.target else { return }
        let wasDown = forwarder.target == nil && forwarder.isTargetDead
        if let old = forwarder.target { forwarder.isTargetDead = machine.isDead(old, of: name) }
        forwarder.target = target
        guard let target else { return }
        forwarder.nextAttempt = 0
        for link in Array(forwarder.all.values) where !link.isRetired {
            if link.target != target { retire(link, wasDown: wasDown) } else { checkAfterOutage(link) }
        }
        for client in clients.values { client.hasWaitedEnough = false }
        wakeWaitingClients()
    }

    /// How long a former primary's word counts for more than what the sentinels have agreed on.
    private static let demotionMilliseconds: Int64 = 500

    /// The link's db has refused a write because it is a replica: the news of its successor is on the way.
    func noteDemotion(_ link: Upstream) {
        guard link.target == forwarder.target else { return }
        forwarder.demoted = (link.target, reactor.monotonicNow)
        forwarder.isTargetDead = false
        forwarder.target = nil
    }

    // MARK: Commands that are sent again

    func sendRepeats() {
        guard !forwarder.repeats.isEmpty else { return }
        let waiting = forwarder.repeats
        forwarder.repeats = []
        for read in waiting {
            guard read.client.connection.isOpen else { continue }
            if let target = forwarder.target, let link = sharedLink(read.client, target) {
                if link.isOpen {
                    sendAgain(read, on: link)
                    continue
                }
            } else if case .primary = read.client.stall, read.client.connection.input.isEmpty {
                endStall(read.client)
            }
            if reactor.monotonicNow - read.since >= Int64(settings.forwardTimeoutMilliseconds) {
                read.client.outstanding -= 1
                read.client.outstandingBytes -= read.bytes.count
                fill(read.client, read.slot) { $0.error(Self.noPrimary) }
                settle(read.client)
            } else {
                forwarder.repeats.append(read)
            }
        }
        if !forwarder.repeats.isEmpty { watchWaitingClients() }
    }

    private func sendAgain(_ read: RepeatedCommand, on link: Upstream) {
        link.connection.output.append(read.bytes)
        link.copies.append(read.bytes)
        link.append(
            .init(
                client: read.client, slot: read.slot, retainedBytes: read.bytes.count, isRead: read.isRead,
                since: read.since, sentBytes: read.bytes.count))
        read.client.currentLink = link
        forwarder.repeatedCommands += 1
    }
}
