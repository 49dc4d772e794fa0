// Time and network of the simulated cluster.
//
// A connection behaves like TCP: messages in one direction arrive in the order of sending, each after its own delay, or
// not at all because the connection broke. Messages of different connections overtake each other freely.

import SentinelCore

/// Things that happen at a time, in the order of time and then of scheduling.
struct EventQueue {
    private struct Entry {
        let time: Milliseconds
        let number: UInt64
        let action: () -> Void
    }

    private var heap: [Entry] = []
    private var count: UInt64 = 0

    var nextTime: Milliseconds? { heap.first?.time }

    mutating func add(at time: Milliseconds, _ action: @escaping () -> Void) {
        heap.append(Entry(time: time, number: count, action: action))
        count += 1
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard isBefore(child, parent) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> (() -> Void)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var smallest = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, smallest) {
                    smallest = child
                }
                guard smallest != parent else { break }
                heap.swapAt(parent, smallest)
                parent = smallest
            }
        }
        return first.action
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        (heap[left].time, heap[left].number) < (heap[right].time, heap[right].number)
    }
}

/// What a process of the simulation can do for the network.
protocol SimulatedProcess: AnyObject {
    var endpoint: Endpoint { get }
    var isAlive: Bool { get }
    /// Stopped like by SIGSTOP: it accepts connections and takes bytes, but does nothing.
    var isPaused: Bool { get }
    func accepted(_ connection: Connection)
    func received(_ request: RequestID, _ command: Command, on connection: Connection)
    func closed(_ connection: Connection)
}

/// A connection from a sentinel (the client) to any process (the server).
final class Connection {
    let number: Int
    let link: LinkID
    unowned let client: SimulatedSentinel
    let server: any SimulatedProcess
    let kind: LinkKind
    var isOpen = true
    /// Bytes were lost: the next one to arrive would find a gap, so the connection breaks when the network heals.
    var hasLostBytes = false
    var lastArrivalAtServer: Milliseconds = 0
    var lastArrivalAtClient: Milliseconds = 0

    init(number: Int, link: LinkID, client: SimulatedSentinel, server: any SimulatedProcess, kind: LinkKind) {
        self.number = number
        self.link = link
        self.client = client
        self.server = server
        self.kind = kind
    }
}

/// How rough the network is.
struct NetworkConditions {
    var delay: ClosedRange<Milliseconds> = 0...1
    /// Of a thousand messages, so many are held up by `hold`.
    var heldPerThousand = 0
    var hold: ClosedRange<Milliseconds> = 100...800
    /// Of a thousand messages, so many break their connection.
    var brokenPerThousand = 0
}

extension SimulatedCluster {
    /// Whether bytes pass between two hosts.
    func isReachable(_ left: Endpoint, _ right: Endpoint) -> Bool {
        !partitions.contains(Pair(left, right))
    }

    func connect(_ client: SimulatedSentinel, _ link: LinkID, _ target: LinkTarget) {
        guard let server = process(at: target.endpoint) else {
            return after(delay()) { client.deliver(.linkFailed(link, .unreachable), link: link) }
        }
        // Without an answer the sentinel's own limit on attempts ends it.
        guard isReachable(client.endpoint, server.endpoint) else { return }
        let generation = client.generation
        after(delay()) { [self] in
            guard client.generation == generation, client.isWaiting(for: link) else { return }
            guard server.isAlive else {
                return after(delay()) { client.deliver(.linkFailed(link, .refused), link: link) }
            }
            let connection = Connection(
                number: nextConnection(), link: link, client: client, server: server, kind: target.kind)
            connections[connection.number] = connection
            client.opened(connection)
            server.accepted(connection)
            let arrival = now + delay()
            connection.lastArrivalAtClient = arrival
            at(arrival) {
                if connection.isOpen {
                    client.deliver(.linkConnected(link, localHost: client.endpoint.host), link: link)
                }
            }
        }
    }

    func send(_ request: RequestID, _ command: Command, on connection: Connection) {
        guard connection.isOpen, passes(connection) else { return }
        let arrival = max(connection.lastArrivalAtServer, now + delay())
        connection.lastArrivalAtServer = arrival
        at(arrival) {
            guard connection.isOpen, connection.server.isAlive else { return }
            connection.server.received(request, command, on: connection)
        }
    }

    func reply(_ event: Event, on connection: Connection) {
        guard connection.isOpen, passes(connection) else { return }
        let arrival = max(connection.lastArrivalAtClient, now + delay())
        connection.lastArrivalAtClient = arrival
        at(arrival) {
            guard connection.isOpen else { return }
            connection.client.deliver(event, link: connection.link)
        }
    }

    private func passes(_ connection: Connection) -> Bool {
        guard isReachable(connection.client.endpoint, connection.server.endpoint) else {
            connection.hasLostBytes = true
            return false
        }
        if connection.hasLostBytes || random(1000) < conditions.brokenPerThousand {
            close(connection, .reset)
            return false
        }
        return true
    }

    /// Ends a connection; both sides hear of it unless they are cut off.
    func close(_ connection: Connection, _ failure: LinkFailure) {
        guard connection.isOpen else { return }
        connection.isOpen = false
        connections[connection.number] = nil
        connection.server.closed(connection)
        guard isReachable(connection.client.endpoint, connection.server.endpoint) else { return }
        let client = connection.client
        let link = connection.link
        after(delay()) { client.deliver(.linkFailed(link, failure), link: link) }
    }

    func closeAll(of process: any SimulatedProcess, _ failure: LinkFailure) {
        for connection in connections.values.sorted(by: { $0.number < $1.number })
        where connection.server === process || connection.client === process {
            close(connection, failure)
        }
    }

    private func delay() -> Milliseconds {
        var result = Milliseconds.random(in: conditions.delay, using: &generator)
        if random(1000) < conditions.heldPerThousand {
            result += Milliseconds.random(in: conditions.hold, using: &generator)
        }
        return result
    }
}
