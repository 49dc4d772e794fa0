import Glibc
import Synchronization
import TestSupport
import Testing

@testable import Reactor

/// A resolver whose answers the test gives by hand.
private final class FakeResolver: Sendable {
    private let state = Mutex<(asked: [String], released: Set<String>)>(([], []))

    var asked: [String] { state.withLock { $0.asked } }
    func release(_ name: String) { state.withLock { _ = $0.released.insert(name) } }

    func lookUp(_ host: String, _ port: UInt16) -> NameResolver.Answer {
        state.withLock { $0.asked.append(host) }
        // Names that begin with "slow" wait until they are released; a test that failed must not leave threads for ever.
        if host.hasPrefix("slow") {
            _ = poll(seconds: 20, step: { usleep(1000) }, until: { state.withLock { $0.released.contains(host) } })
        }
        return SocketAddress.resolve("127.0.0.1", port)
    }
}

@Suite("Names") struct ResolverTests {
    private final class Answers {
        var names: [String] = []
    }

    private func wait(_ reactor: Reactor, _ what: Comment, until condition: () -> Bool) {
        let isDone = poll(seconds: 10, step: { reactor.turn(blocking: false) }, until: condition)
        #expect(isDone, what)
    }

    @Test("A slow name delays neither other names nor addresses") func slowName() {
        let fake = FakeResolver()
        let reactor = Reactor(lookUp: fake.lookUp)
        let answers = Answers()
        for name in ["slow", "quick", "10.1.2.3", "::1", "other"] {
            reactor.resolve(name, 1) { _ in answers.names.append(name) }
        }
        wait(reactor, "all others are there") { answers.names.count == 4 }
        #expect(!answers.names.contains("slow"))
        fake.release("slow")
        wait(reactor, "the slow one comes") { answers.names.contains("slow") }
    }

    @Test("With all threads busy addresses still come, and each name is looked up once however many ask")
    func manySlowNames() {
        let fake = FakeResolver()
        let reactor = Reactor(lookUp: fake.lookUp)
        let answers = Answers()
        let names = (0..<NameResolver.threads + 2).map { "slow\($0)" }
        for _ in 0..<5 {
            for name in names { reactor.resolve(name, 1) { _ in answers.names.append(name) } }
        }
        reactor.resolve("127.0.0.1", 1) { _ in answers.names.append("address") }
        wait(reactor, "the address") { answers.names == ["address"] }
        #expect(fake.asked.count <= NameResolver.threads)
        for name in names { fake.release(name) }
        wait(reactor, "everybody has an answer") { answers.names.count == 1 + 5 * names.count }
        #expect(fake.asked.sorted() == names.sorted())
    }

    @Test("More names than can be waited for fail at once") func tooManyNames() {
        let fake = FakeResolver()
        let reactor = Reactor(lookUp: fake.lookUp)
        var failures = 0
        var answers = 0
        let count = NameResolver.maximumNames + 10
        for number in 0..<count {
            reactor.resolve("slow\(number)", 1) { answer in
                answers += 1
                if case .failure = answer { failures += 1 }
            }
        }
        wait(reactor, "the refusals") { answers == 10 }
        #expect(failures == 10)
        for number in 0..<count { fake.release("slow\(number)") }
        wait(reactor, "the rest") { answers == count }
    }

    @Test(
        "A connection closes at its deadline while its name is still being looked up, and the late answer does no harm")
    func deadline() throws {
        let fake = FakeResolver()
        let reactor = Reactor(lookUp: fake.lookUp)
        let handler = EchoHandler(reactor)
        _ = reactor.connect(host: "slow", port: 1, tag: 0, timeoutMilliseconds: 50)
        wait(reactor, "it is given up") { handler.closed.count == 1 }
        fake.release("slow")
        wait(reactor, "the answer") { reactor.resolver.waiting.isEmpty }
        reactor.turn(blocking: false)
        #expect(reactor.openConnections == 0)
    }
}
