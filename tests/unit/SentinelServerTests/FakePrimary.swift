import ByteStorage
import Foundation
import RESP
import Reactor
import Synchronization

/// A db as far as sentinel and forwarding need one, on a loop and a thread of its own.
///
/// `SET k v` and `GET k` work; `BOOM` and `GET boom` end the connection without a reply while `breaks` is positive;
/// `BLPOP` never answers; `MULTI` ... `EXEC` queue. What it has executed can be asked for.
final class FakePrimary: ReactorHandler, @unchecked Sendable {
    // @unchecked Sendable: `state` is behind a lock; everything else belongs to the loop's thread after `start`.
    struct State {
        var values: [String: String] = [:]
        var log: [String] = []
        var breaks = 0
        var connections = 0
        var isPrimary = true
    }

    let port: Int
    let state = Mutex(State())
    private let reactor = Reactor()
    private let arena = ArgumentArena()
    private var transactions: [UInt64: [[String]]] = [:]
    private var listener: Connection?

    init(port: Int) throws {
        self.port = port
        reactor.handler = self
        listener = try reactor.listen(host: "127.0.0.1", port: UInt16(port), tag: 0)
        Threads.start(name: "fake-primary") { [self] in reactor.run() }
    }

    func stop() {
        reactor.post { [self] in
            listener?.close(.local("stop"))
            reactor.stop()
        }
    }

    var log: [String] { state.withLock { $0.log } }
    func breakNext(_ count: Int) { state.withLock { $0.breaks = count } }

    func accepted(_ connection: Connection) { state.withLock { $0.connections += 1 } }
    func opened(_ connection: Connection) {}
    func closed(_ connection: Connection, _ reason: CloseReason) { transactions[connection.id] = nil }
    func outputPending(_ connection: Connection) {}
    func endTurn() {}
    func idleMilliseconds() -> Int64? { nil }
    func signalled(_ number: Int32) {}

    func process(_ ready: UnsafeBufferPointer<Connection>) {
        for connection in ready {
            var position = 0
            loop: while connection.isOpen {
                let input = connection.input
                switch RequestParser().parse(input.base, position, input.count, arena) {
                case .command(let next, let count):
                    let words = (arena.count - count..<arena.count).map { arena[$0].string }
                    position = next
                    execute(words, connection)
                case .nothing(let next): position = next
                default: break loop
                }
            }
            arena.reset()
            if connection.isOpen { connection.consumeInput(position) }
        }
    }

    private func execute(_ words: [String], _ connection: Connection) {
        let name = words[0].uppercased()
        let writer = ReplyWriter(connection.output)
        if !["PING", "INFO", "PUBLISH", "SUBSCRIBE", "CLIENT"].contains(name) {
            state.withLock { $0.log.append(words.joined(separator: " ")) }
        }
        let shouldBreak = state.withLock { state -> Bool in
            guard state.breaks > 0, name == "BOOM" || words.last == "boom" else { return false }
            state.breaks -= 1
            return true
        }
        if shouldBreak { return connection.close(.local("break")) }
        if var queued = transactions[connection.id], name != "EXEC" {
            queued.append(words)
            transactions[connection.id] = queued
            return writer.simple("QUEUED")
        }
        switch name {
        case "PING": writer.simple("PONG")
        case "INFO":
            let role = state.withLock { $0.isPrimary } ? "master" : "slave"
            writer.bulk("run_id:\(String(repeating: "a", count: 40))\r\nrole:\(role)\r\n")
        case "SUBSCRIBE":
            writer.array(3)
            writer.bulk("subscribe")
            writer.bulk(words[1])
            writer.integer(1)
        case "MULTI":
            transactions[connection.id] = []
            writer.ok()
        case "EXEC":
            let queued = transactions.removeValue(forKey: connection.id) ?? []
            writer.array(queued.count)
            for words in queued { run(words, writer) }
        case "BLPOP": break
        default: run(words, writer)
        }
    }

    private func run(_ words: [String], _ writer: ReplyWriter) {
        if !state.withLock({ $0.isPrimary }), words[0].uppercased() == "SET" {
            return writer.error("READONLY You can't write against a read only replica.")
        }
        switch (words[0].uppercased(), words.count) {
        case ("SET", 3):
            state.withLock { $0.values[words[1]] = words[2] }
            writer.ok()
        case ("GET", 2):
            if let value = state.withLock({ $0.values[words[1]] }) { writer.bulk(value) } else { writer.null() }
        default: writer.ok()
        }
    }
}

/// A client with blocking reads and a time limit.
final class TestClient {
    private let fd: Int32
    private var input: [UInt8] = []
    private var parser = ReplyParser()

    init(port: Int) throws {
        fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw ReplyError("cannot connect: \(errno)") }
    }

    deinit { close(fd) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Foundation.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    /// The next reply; nil when the connection has ended or nothing comes.
    func receive() -> ReplyValue? {
        while true {
            switch input.withView({ parser.parse($0) }) {
            case .value(let value, let length):
                input.removeFirst(length)
                return value
            case .failed: return nil
            case .incomplete:
                var chunk = [UInt8](repeating: 0, count: 65536)
                let count = recv(fd, &chunk, chunk.count, 0)
                guard count > 0 else { return nil }
                input += chunk[0..<count]
            }
        }
    }

    /// Raw bytes until the peer closes or `count` have come.
    func receiveText(atLeast count: Int) -> String {
        while input.count < count {
            var chunk = [UInt8](repeating: 0, count: 65536)
            let received = recv(fd, &chunk, chunk.count, 0)
            guard received > 0 else { break }
            input += chunk[0..<received]
        }
        defer { input = [] }
        return String(decoding: input, as: UTF8.self)
    }

    func ask(_ line: String) -> ReplyValue? {
        send(line + "\r\n")
        return receive()
    }
}

/// A port that was free a moment ago.
func freePort() -> Int {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
            bind(fd, pointer, length) == 0 && getsockname(fd, pointer, &length) == 0
        }
    }
    return Int(UInt16(bigEndian: address.sin_port))
}

/// Polls until the condition holds; false after the deadline.
func eventually(within seconds: Double = 10, _ condition: () -> Bool) -> Bool {
    let end = Date().addingTimeInterval(seconds)
    while Date() < end {
        if condition() { return true }
        usleep(5000)
    }
    return condition()
}
