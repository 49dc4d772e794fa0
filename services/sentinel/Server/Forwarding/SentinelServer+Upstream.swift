// The links to the primary: opening, replies, the end.

import ByteStorage
import RESP
import Reactor
import SentinelCore
import Telemetry

extension SentinelServer {
    /// How long a link to a former primary may still bring replies: when it was replaced while it worked, and when it had
    /// been down.
    static let retirementMilliseconds: (working: Int64, down: Int64) = (1000, 20)

    /// - Returns: nil if the last attempt failed just now.
    func open(_ target: Endpoint, isRESP3: Bool, isOwn: Bool) -> Upstream? {
        guard reactor.monotonicNow >= forwarder.nextAttempt, (1...65535).contains(target.port) else { return nil }
        let connection = reactor.connect(
            host: target.host, port: UInt16(target.port), tag: ConnectionTag.upstream,
            tls: settings.tlsReplication ? tlsClientContext : nil, timeoutMilliseconds: 2000)
        let link = Upstream(connection: connection, target: target, isRESP3: isRESP3, isOwn: isOwn)
        forwarder.all[connection.id] = link
        return link
    }

    func upstreamOpened(_ connection: Connection) {
        guard let link = forwarder.all[connection.id] else { return }
        connection.setKeepAlive(seconds: settings.tcpKeepAliveSeconds)
        link.isOpen = true
        if let name = forwardedPrimaryName, let credentials = machine.credentials(of: name) {
            sendOwn(Command.auth(user: credentials.user, password: credentials.password).arguments, on: link)
        }
        if link.isRESP3 { sendOwn(["HELLO", "3"], on: link) }
        sendOwn(["CLIENT", "SETNAME", "sentinel-forward"], on: link)
        wakeWaitingClients()
    }

    func sendOwn(_ words: [String], on link: Upstream) {
        let writer = ReplyWriter(link.connection.output)
        writer.array(words.count)
        for word in words { writer.bulk(word) }
        link.append(.init(client: nil, slot: 0, retainedBytes: 0, isRead: false, since: 0, sentBytes: 0))
    }

    // MARK: Replies

    func upstreamReceived(_ connection: Connection) {
        guard let link = forwarder.all[connection.id] else { return }
        while connection.isOpen {
            let input = connection.input
            guard !input.isEmpty else { return }
            switch link.scanner.scan(input) {
            case .incomplete: return
            case .failed(let error): return connection.close(.local("protocol error: \(error.text)"))
            case .complete(let length):
                deliver(input.slice(0, length), link)
                if connection.isOpen { connection.consumeInput(length) }
            }
        }
    }

    private func deliver(_ bytes: ByteView, _ link: Upstream) {
        if bytes[0] == UInt8(ascii: ">") {
            // Out of band: belongs to no command.
            if let owner = link.owner, owner.connection.isOpen, owner.slots.isEmpty {
                owner.connection.output.append(bytes)
            }
            return
        }
        guard let pending = link.popFirst() else { return }
        if pending.retainedBytes > 0 {
            let copy = link.copies.view.slice(0, pending.retainedBytes)
            if isReadOnlyRefusal(bytes), let client = pending.client, mayRepeat(pending) {
                repeatLater(pending, client, copy.array)
                noteDemotion(link)
                return link.copies.consume(pending.retainedBytes)
            }
            link.copies.consume(pending.retainedBytes)
        }
        guard let client = pending.client else {
            if bytes[0] == UInt8(ascii: "-") {
                log.event(
                    .warning, "forward-refused",
                    "The primary refuses a link for forwarding: \(bytes.slice(1, min(bytes.count, 256)).string)")
            }
            return
        }
        client.outstanding -= 1
        client.outstandingBytes -= pending.sentBytes
        fill(client, pending.slot, bytes)
        settle(client)
        if link.isRetired, link.pendingCount == 0 { link.connection.close(.local("the primary has changed")) }
    }

    /// `-READONLY ...`: the db is a replica by now and has done nothing.
    private func isReadOnlyRefusal(_ bytes: ByteView) -> Bool {
        bytes.count > 9 && bytes.slice(0, 10) == ByteView("-READONLY ")
    }

    private func mayRepeat(_ pending: Upstream.Pending) -> Bool {
        reactor.monotonicNow - pending.since < Int64(settings.forwardTimeoutMilliseconds)
    }

    private func repeatLater(_ pending: Upstream.Pending, _ client: SentinelClient, _ bytes: [UInt8]) {
        forwarder.repeats.append(
            RepeatedCommand(
                client: client, slot: pending.slot, bytes: bytes, isRead: pending.isRead, since: pending.since))
        client.mustDrain = true
        watchWaitingClients()
    }

    /// After a client's last outstanding reply: it may go on, and its own link may be free for others.
    func settle(_ client: SentinelClient) {
        guard client.outstanding == 0 else { return }
        client.currentLink = nil
        client.mustDrain = false
        if let own = client.ownLink, client.isLinkClean {
            client.ownLink = nil
            own.owner = nil
            if own.isRetired || !own.isOpen || forwarder.idle.count >= Self.maximumIdleLinks || client.isClosing {
                own.connection.close(.local("no longer needed"))
            } else {
                forwarder.idle.append(own)
            }
        }
        if case .replies = client.stall { endStall(client) }
    }

    // MARK: The end

    /// The link's primary is not the primary any more. What was sent to it may still be answered.
    func retire(_ link: Upstream, wasDown: Bool) {
        link.isRetired = true
        forwarder.idle.removeAll { $0 === link }
        if link.pendingCount == 0, link.owner.map({ $0.isLinkClean }) ?? true {
            return link.connection.close(.local("the primary has changed"))
        }
        let id = link.connection.id
        let limits = Self.retirementMilliseconds
        reactor.schedule(after: wasDown ? limits.down : limits.working) { [unowned self] in
            guard let link = forwarder.all[id] else { return }
            link.connection.close(.local("the primary has changed"))
        }
    }

    /// The same primary is back after it had been down. It may be another process under the same name, and the link a
    /// relic that nobody will ever answer on: what is idle is opened anew, what waits for replies must show life.
    func checkAfterOutage(_ link: Upstream) {
        guard link.isOpen else { return }
        if link.pendingCount == 0, link.owner.map({ $0.isLinkClean }) ?? true {
            return link.connection.close(.local("opened anew after an outage"))
        }
        let id = link.connection.id
        let received = link.connection.state.pointee.bytesReceived
        reactor.schedule(after: Self.retirementMilliseconds.working) { [unowned self] in
            guard let link = forwarder.all[id], link.connection.state.pointee.bytesReceived == received else { return }
            link.connection.close(.local("no sign of life after an outage"))
        }
    }

    func upstreamClosed(_ connection: Connection, _ reason: CloseReason) {
        guard let link = forwarder.all.removeValue(forKey: connection.id) else { return }
        forwarder.shared = forwarder.shared.filter { $0.value !== link }
        forwarder.idle.removeAll { $0 === link }
        if !link.isOpen {
            forwarder.nextAttempt = reactor.monotonicNow + 50
            log.event(.notice, "forward-link-failed", "No link to \(link.target) for forwarding: \(reason.text)")
        }
        link.isOpen = false
        let copies = link.copies.view
        var position = 0
        var affected: [ObjectIdentifier: SentinelClient] = [:]
        while let pending = link.popFirst() {
            guard let client = pending.client else { continue }
            affected[ObjectIdentifier(client)] = client
            if pending.retainedBytes > 0 {
                let bytes = copies.slice(position, position + pending.retainedBytes).array
                position += pending.retainedBytes
                if pending.isRead, client.connection.isOpen {
                    repeatLater(pending, client, bytes)
                    continue
                }
            }
            client.outstanding -= 1
            client.outstandingBytes -= pending.sentBytes
            forwarder.uncertainWrites += 1
            fill(client, pending.slot) { $0.error(Self.uncertain) }
        }
        link.copies.removeAll()
        for client in affected.values {
            if client.currentLink === link { client.currentLink = nil }
            if client.ownLink !== link { settle(client) }
        }
        if let owner = link.owner { ownLinkLost(owner, link, wasBusy: affected[ObjectIdentifier(owner)] != nil) }
        if !forwarder.repeats.isEmpty || !forwarder.waiting.isEmpty { watchWaitingClients() }
    }

    /// A transaction or a choice of database died with the link: what follows would mean something else. The client is
    /// closed, as it would have been by the primary itself.
    private func ownLinkLost(_ client: SentinelClient, _ link: Upstream, wasBusy: Bool) {
        client.ownLink = nil
        link.owner = nil
        if !client.isLinkClean {
            log.event(.verbose, "client-closed", "Client closed: its transaction was lost with the primary")
            closeAfterReplies(client)
        } else if case .replies = client.stall, client.outstanding == 0 {
            endStall(client)
        }
    }

    /// The client is gone: so is what it left on links of its own.
    func releaseLinks(of client: SentinelClient) {
        if let own = client.ownLink {
            client.ownLink = nil
            own.owner = nil
            client.isInTransaction = false
            client.isWatching = false
            client.database = 0
            own.connection.close(.local("its client is gone"))
        }
    }
}
