// Addresses of names, without the loop waiting for them.
//
// The system's resolver blocks its thread for seconds when a name server is silent. So a few threads look names up, a name that is
// being looked up already is not looked up twice, and an address needs no thread at all: one slow name delays nobody else, and even
// many slow ones do not delay addresses. What is too much fails at once.
import CLinux

public final class NameResolver {
    public typealias Answer = Result<[SocketAddress], ResolutionFailure>
    public typealias LookUp = @Sendable (_ host: String, _ port: UInt16) -> Answer

    struct Name: Hashable {
        let host: String
        let port: UInt16
    }

    /// Names that are looked up at the same time.
    static let threads = 4
    /// Names under way, and callers that wait for one of them.
    static let maximumNames = 256
    static let maximumWaiting = 4096

    let lookUp: LookUp
    let queue = WorkQueue(name: "resolver", threads: NameResolver.threads)
    /// Who waits for which name. Of the loop's thread.
    var waiting: [Name: [(Answer) -> Void]] = [:]

    init(lookUp: @escaping LookUp) { self.lookUp = lookUp }

    static func isAddress(_ host: String) -> Bool {
        var storage = in6_addr()
        return inet_pton(AF_INET, host, &storage) == 1 || inet_pton(AF_INET6, host, &storage) == 1
    }
}

extension Reactor {
    /// Looks up the addresses of a name. `completion` is called on the loop's thread, in a later turn.
    public func resolve(_ host: String, _ port: UInt16, _ completion: @escaping (NameResolver.Answer) -> Void) {
        let name = NameResolver.Name(host: host, port: port)
        let isKnown = resolver.waiting[name] != nil
        resolver.waiting[name, default: []].append(completion)
        if isKnown, resolver.waiting[name]?.count ?? 0 <= NameResolver.maximumWaiting { return }
        if NameResolver.isAddress(host) {
            let answer = SocketAddress.resolve(host, port)
            return post { [self] in resolved(name, answer) }
        }
        if isKnown || resolver.waiting.count > NameResolver.maximumNames {
            _ = resolver.waiting[name]?.popLast()
            if !isKnown { resolver.waiting[name] = nil }
            let box = CompletionBox(completion)
            return post { box.completion(.failure(ResolutionFailure(text: "too many names are being looked up"))) }
        }
        resolver.queue.submit { [self, lookUp = resolver.lookUp] in
            let answer = lookUp(name.host, name.port)
            post { self.resolved(name, answer) }
        }
    }

    private func resolved(_ name: NameResolver.Name, _ answer: NameResolver.Answer) {
        for completion in resolver.waiting.removeValue(forKey: name) ?? [] { completion(answer) }
    }
}

/// @unchecked Sendable: goes through the loop's own inbox and is used on its thread only.
private struct CompletionBox: @unchecked Sendable {
    let completion: (NameResolver.Answer) -> Void
    init(_ completion: @escaping (NameResolver.Answer) -> Void) { self.completion = completion }
}
