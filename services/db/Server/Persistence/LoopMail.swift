import Reactor
import Synchronization

/// How a worker thread tells the server that something has happened: at most one message is under way.
///
/// `@unchecked Sendable`: threads call `notify` only, which touches the flag and `Reactor.post`; `body` is read on the
/// loop's thread.
final class LoopMail: @unchecked Sendable {
    private let reactor: Reactor
    private let isPosted = Atomic<Bool>(false)
    private var body: (() -> Void)?

    init(_ reactor: Reactor, _ body: @escaping () -> Void) {
        self.reactor = reactor
        self.body = body
    }

    func notify() {
        guard !isPosted.exchange(true, ordering: .acquiringAndReleasing) else { return }
        reactor.post { self.deliver() }
    }

    private func deliver() {
        // Cleared before: what happens from here on is a new message.
        isPosted.store(false, ordering: .releasing)
        body?()
    }

    /// Nothing is delivered any more. On the loop's thread.
    func end() { body = nil }
}
