// Following a collection: list once, then watch for changes, and begin anew when the server has forgotten where we were.
//
// The consumer gets the whole collection first (`.reset`), then one change after the other. A watch that ends, as all do after
// some minutes, goes on from the last version seen; bookmarks keep that version fresh when nothing changes. An expired version
// (410) or a change that cannot be understood leads to a new list and a new `.reset`: so nothing is missed for good.
//
// - Spec: Kubernetes API concepts, "Efficient detection of changes", "Watch bookmarks" and "410 Gone responses".
import AsyncHTTPClient
import NIOCore
import NIOHTTP1

public enum WatchEvent: Sendable {
    /// All objects of the selection as they are now.
    case reset([KubernetesObject])
    case added(KubernetesObject)
    case modified(KubernetesObject)
    case deleted(KubernetesObject)
    /// The server could not be reached or refused; it is tried again.
    case interrupted(KubernetesError)
}

extension KubernetesClient {
    /// Calls `handle` with what happens to the objects of the selection until it returns false or the task is cancelled.
    ///
    /// - Throws: `CancellationError`, what `handle` throws, and `.forbidden` and `.invalid` errors of the API, which time does not
    ///   mend.
    public func watch(
        _ resource: Resource, _ selection: Selection, handle: (WatchEvent) async throws -> Bool
    ) async throws {
        var failures = 0
        while true {
            do {
                let (objects, version) = try await list(resource, selection)
                guard try await handle(.reset(objects)) else { return }
                failures = 0
                guard try await follow(resource, selection, from: version, handle: handle) else { return }
            } catch let error as KubernetesError {
                switch error.code {
                case .forbidden, .invalid: throw error
                case .expired: continue
                default: break
                }
                guard try await handle(.interrupted(error)) else { return }
                failures += 1
                let policy = RetryPolicy(attempts: .max)
                let wait = policy.wait(after: failures, error, isIdempotent: true, chance: Double.random(in: 0...1))
                try await Task.sleep(for: wait ?? policy.longestWait)
            }
        }
    }

    /// Watches from a version on, one connection after the other.
    ///
    /// - Returns: false when `handle` did; true when the collection has to be listed anew.
    private func follow(
        _ resource: Resource, _ selection: Selection, from version: String,
        handle: (WatchEvent) async throws -> Bool
    ) async throws -> Bool {
        var version = version
        while true {
            var call = Call(method: .GET, path: resource.path(namespace: selection.namespace), query: selection.query)
            call.query += [
                ("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", version),
                ("timeoutSeconds", "\(KubernetesClient.watchSeconds)"),
            ]
            // The server ends the watch; the deadline is for a server or a network that has gone silent.
            let deadline = NIODeadline.now() + .seconds(Int64(KubernetesClient.watchSeconds + 30))
            let response = try await start(call, deadline: deadline)
            guard response.status == .ok else {
                let body = try? await response.body.collect(upTo: 1 << 20)
                throw KubernetesError(
                    status: Int(response.status.code), body: body.flatMap { try? JSON(parsing: $0.readableBytesView) },
                    retryAfter: response.headers.first(name: "Retry-After"), request: call.name)
            }
            switch try await read(response, call, &version, handle) {
            case .ended: continue
            case .stopped: return false
            case .unclear: return true
            }
        }
    }

    private enum WatchOutcome { case ended, stopped, unclear }

    private func read(
        _ response: HTTPClientResponse, _ call: Call, _ version: inout String,
        _ handle: (WatchEvent) async throws -> Bool
    ) async throws -> WatchOutcome {
        var lines = LineSplitter(limit: KubernetesClient.largestAnswer)
        var chunks = response.body.makeAsyncIterator()
        while true {
            let chunk: ByteBuffer?
            do {
                chunk = try await chunks.next()
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // A watch may break off at any time. What was complete has been handled: go on from there.
                return .ended
            }
            guard let chunk else { return .ended }
            guard lines.append(chunk.readableBytesView) else {
                throw KubernetesError(.malformed, "a watch event of more than 64 MiB", request: call.name)
            }
            while let line = lines.next() {
                guard let event = try? JSON(parsing: line), let type = event["type"]?.string, let json = event["object"]
                else { return .unclear }
                let object = KubernetesObject(json)
                if type == "ERROR" {
                    let status = json["code"]?.integer ?? 500
                    throw KubernetesError(status: status, body: json, retryAfter: nil, request: call.name)
                }
                guard let newVersion = object.resourceVersion else { return .unclear }
                version = newVersion
                let goesOn: Bool
                switch type {
                case "ADDED": goesOn = try await handle(.added(object))
                case "MODIFIED": goesOn = try await handle(.modified(object))
                case "DELETED": goesOn = try await handle(.deleted(object))
                case "BOOKMARK": goesOn = true
                default: return .unclear
                }
                guard goesOn else { return .stopped }
            }
        }
    }

    /// How long one watch lasts at most.
    static let watchSeconds = 240
}

/// Cuts a stream of bytes into lines.
struct LineSplitter {
    private var pending: [UInt8] = []
    private var searched = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    /// - Returns: false when a line becomes longer than the limit.
    mutating func append(_ bytes: some Collection<UInt8>) -> Bool {
        pending.append(contentsOf: bytes)
        return pending.count <= limit
    }

    /// The next complete line that is not empty, without its end.
    mutating func next() -> [UInt8]? {
        while let end = pending[searched...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(pending[..<end])
            pending.removeFirst(end + 1)
            searched = 0
            if !line.isEmpty { return line }
        }
        searched = pending.count
        return nil
    }
}
