// An API server in the test's own process: HTTP on loopback over an `ObjectStore`, with faults on demand.
import KubernetesAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

public final class KubernetesTestServer: Sendable {
    public struct Request: Sendable {
        public let method: String
        public let path: String
        public let query: [String: String]
        public let contentType: String
        public let authorization: String?
        public let body: JSON?
    }

    public struct Response: Sendable {
        public var status: Int
        public var body: JSON
        public var retryAfter: Int?
        /// The connection is cut instead of an answer; what was asked for has not been done.
        public var isCut = false
        /// What was asked for is done, and then the connection is cut.
        public var isDoneAndCut = false
        public var isHung = false

        public init(_ status: Int, reason: String = "", message: String = "", retryAfter: Int? = nil) {
            self.status = status
            body = [
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": .string(reason),
                "message": .string(message), "code": .integer(status),
            ]
            self.retryAfter = retryAfter
        }

        /// The request is read and never answered.
        public static var hung: Response {
            var response = Response(0)
            response.isHung = true
            return response
        }

        public static var cut: Response {
            var response = Response(0)
            response.isCut = true
            return response
        }

        public static var doneAndCut: Response {
            var response = Response(0)
            response.isDoneAndCut = true
            return response
        }

        init(_ status: Int, body: JSON) {
            self.status = status
            self.body = body
        }
    }

    struct Watcher: Sendable {
        let collection: String
        let labels: String?
        let fields: String?
        let channel: any Channel
    }

    private struct State {
        var store = ObjectStore()
        var watchers: [Int: Watcher] = [:]
        var nextWatcher = 0
        var requests: [Request] = []
        var fault: (@Sendable (Request) -> Response?)?
        var servesOldPolicy = false
    }

    private let state = NIOLockedValueBox(State())
    private let channel: any Channel
    public let port: Int

    public init() async throws {
        let box = Box()
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(RequestHandler(box))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
        box.server.withLockedValue { $0 = self }
    }

    public var url: String { "http://127.0.0.1:\(port)" }

    public func stop() async throws {
        try await channel.close()
        cutWatches()
    }

    // MARK: What tests do

    /// All requests that came, in order.
    public var requests: [Request] { state.withLockedValue { $0.requests } }

    /// Asked for each request before it is served: an answer instead of the real one, or nil.
    public func setFault(_ fault: (@Sendable (Request) -> Response?)?) { state.withLockedValue { $0.fault = fault } }

    /// The server is one before policy/v1.
    public func servePolicyV1Beta1Only() { state.withLockedValue { $0.servesOldPolicy = true } }

    /// Creating in other namespaces is refused, as where they do not exist.
    public func setNamespaces(_ names: Set<String>) { state.withLockedValue { $0.store.namespaces = names } }

    public func object(_ resource: Resource, _ name: String, _ namespace: String?) -> KubernetesObject? {
        let collection = resource.path(namespace: namespace)
        return state.withLockedValue { try? $0.store.find(collection, name) }.map(KubernetesObject.init)
    }

    public func objects(_ resource: Resource, _ namespace: String?) -> [KubernetesObject] {
        let collection = resource.path(namespace: namespace)
        return state.withLockedValue { $0.store.list(collection, labels: nil, fields: nil) }.map(KubernetesObject.init)
    }

    /// Stores the object as if somebody else had, and tells watches.
    public func put(_ resource: Resource, _ object: KubernetesObject) {
        let collection = resource.path(namespace: object.namespace)
        try? mutate { store throws(ObjectStore.Failure) in
            var json = object.json
            json[["metadata", "resourceVersion"]] = nil
            if (try? store.find(collection, object.name)) != nil {
                _ = try store.replace(collection, object.name, json)
            } else {
                _ = try store.create(collection, json)
            }
        }
    }

    public func remove(_ resource: Resource, _ name: String, _ namespace: String?) {
        let collection = resource.path(namespace: namespace)
        _ = try? mutate { store throws(ObjectStore.Failure) in try store.delete(collection, name, uid: nil) }
    }

    /// Closes all watches, as servers and proxies do.
    public func cutWatches() {
        let channels = state.withLockedValue { state in
            defer { state.watchers = [:] }
            return state.watchers.values.map(\.channel)
        }
        for channel in channels { channel.close(promise: nil) }
    }

    /// Forgets the changes so far: watches that begin before get 410.
    public func forgetChanges() { state.withLockedValue { $0.store.forgotten = $0.store.version } }

    // MARK: Serving

    /// Changes the store and sends what changed to the watches.
    private func mutate<Result: Sendable>(
        _ body: (inout ObjectStore) throws(ObjectStore.Failure) -> Result
    ) throws(ObjectStore.Failure) -> Result {
        var notices: [(any Channel, JSON)] = []
        let result = state.withLockedValue { state -> Swift.Result<Result, ObjectStore.Failure> in
            let before = state.store.changes.count
            let result = Swift.Result { () throws(ObjectStore.Failure) in try body(&state.store) }
            for change in state.store.changes[before...] {
                for watcher in state.watchers.values
                where KubernetesTestServer.concerns(change, watcher.collection)
                    && ObjectStore.isSelected(change.object, labels: watcher.labels, fields: watcher.fields)
                {
                    notices.append((watcher.channel, ["type": .string(change.type), "object": change.object]))
                }
            }
            return result
        }
        for (channel, notice) in notices { RequestHandler.sendLine(notice, on: channel) }
        return try result.get()
    }

    private static func concerns(_ change: ObjectStore.Change, _ collection: String) -> Bool {
        if change.collection == collection { return true }
        let suffix = collection.split(separator: "/").last.map { "/\($0)" } ?? ""
        return !collection.contains("/namespaces/") && change.collection.hasSuffix(suffix)
            && change.collection.hasPrefix(collection.dropLast(suffix.count))
    }

    /// A client that asks without HTTP and without retries, for tests that make thousands of requests; it cannot watch.
    public func directClient(userAgent: String) throws -> KubernetesClient {
        try KubernetesClient(ClusterAccess(server: url), userAgent: userAgent, retries: .none) {
            method, path, query, contentType, body in
            let request = Request(
                method: method, path: path, query: query, contentType: contentType, authorization: nil, body: body)
            guard let response = self.serve(request, on: nil), !response.isCut else { return nil }
            return (response.status, response.body, response.retryAfter)
        }
    }

    /// - Returns: nil when the connection has become a watch, or is to get no answer.
    func serve(_ request: Request, on channel: (any Channel)?) -> Response? {
        let fault = state.withLockedValue { state in
            state.requests.append(request)
            return state.fault
        }
        var isCutAfter = false
        if let response = fault?(request) {
            if response.isHung { return nil }
            guard response.isDoneAndCut else { return response }
            isCutAfter = true
        }
        if request.query["watch"] == "true" {
            return channel.map { watch(request, on: $0) }
                ?? Response(400, message: "there is no connection to watch on")
        }
        do {
            var response = try answer(request)
            if isCutAfter { response.isCut = true }
            return response
        } catch let failure as ObjectStore.Failure {
            return Response(
                failure.status, reason: failure.reason, message: failure.message, retryAfter: failure.retryAfter)
        } catch {
            return Response(500, message: "\(error)")
        }
    }

    private func watch(_ request: Request, on channel: any Channel) -> Response? {
        let from = Int(request.query["resourceVersion"] ?? "") ?? 0
        let watcher = Watcher(
            collection: request.path, labels: request.query["labelSelector"], fields: request.query["fieldSelector"],
            channel: channel)
        let missed: [JSON]? = state.withLockedValue { state in
            guard from >= state.store.forgotten else { return nil }
            state.watchers[state.nextWatcher] = watcher
            state.nextWatcher += 1
            return state.store.changes.filter { change in
                change.version > from && KubernetesTestServer.concerns(change, watcher.collection)
                    && ObjectStore.isSelected(change.object, labels: watcher.labels, fields: watcher.fields)
            }.map { ["type": .string($0.type), "object": $0.object] }
        }
        guard let missed else { return Response(410, reason: "Expired", message: "too old resource version") }
        RequestHandler.beginStream(on: channel)
        for notice in missed { RequestHandler.sendLine(notice, on: channel) }
        return nil
    }

    private func answer(_ request: Request) throws -> Response {
        let parts = request.path.split(separator: "/").map(String.init)
        if let resources = groupResources(parts) { return resources }
        // /api/v1/namespaces/N/pods/NAME/eviction, /apis/G/V/namespaces/N/deployments/NAME/scale, or without the end.
        let start = parts.first == "api" ? 2 : 3
        let isNamespaced = parts.count > start + 1 && parts[start] == "namespaces" && parts.count > start + 2
        let plural = isNamespaced ? start + 2 : start
        let collection = "/" + parts[...plural].joined(separator: "/")
        let name = parts.count > plural + 1 ? parts[plural + 1] : nil
        let subresource = parts.count > plural + 2 ? parts[plural + 2] : nil
        guard let name else { return try answerCollection(request, collection) }
        if subresource == "eviction" {
            let uid = request.body?[["deleteOptions", "preconditions", "uid"]]?.string
            try mutate { store throws(ObjectStore.Failure) in try store.evict(collection, name, uid: uid) }
            return Response(201, body: ["kind": "Status", "status": "Success"])
        }
        if subresource == "scale" { return try answerScale(request, collection, name) }
        return try answerObject(request, collection, name)
    }

    private func answerCollection(_ request: Request, _ collection: String) throws -> Response {
        if request.method == "POST" {
            let object = try mutate { store throws(ObjectStore.Failure) in
                try store.create(collection, request.body ?? .null)
            }
            return Response(201, body: object)
        }
        let (items, version) = state.withLockedValue { state in
            let items = state.store.list(
                collection, labels: request.query["labelSelector"], fields: request.query["fieldSelector"])
            return (items, state.store.version)
        }
        // Pages of two at most, so that clients have to read on.
        let first = Int(request.query["continue"] ?? "") ?? 0
        let page = items.dropFirst(first).prefix(2)
        var metadata: JSON = ["resourceVersion": .string("\(version)")]
        if first + page.count < items.count { metadata["continue"] = .string("\(first + page.count)") }
        return Response(200, body: ["kind": "List", "metadata": metadata, "items": .array(Array(page))])
    }

    private func answerObject(_ request: Request, _ collection: String, _ name: String) throws -> Response {
        let object = try mutate { store throws(ObjectStore.Failure) -> JSON in
            switch request.method {
            case "GET": return try store.find(collection, name)
            case "PUT": return try store.replace(collection, name, request.body ?? .null)
            case "DELETE":
                return try store.delete(collection, name, uid: request.body?[["preconditions", "uid"]]?.string)
            case "PATCH" where request.contentType.hasPrefix("application/apply-patch"):
                return try store.apply(
                    collection, name, request.body ?? .null, manager: request.query["fieldManager"] ?? "")
            case "PATCH": return try store.mergePatch(collection, name, request.body ?? .null)
            default:
                throw ObjectStore.Failure(status: 405, reason: "MethodNotAllowed", message: "not allowed")
            }
        }
        return Response(200, body: object)
    }

    private func answerScale(_ request: Request, _ collection: String, _ name: String) throws -> Response {
        let object = try mutate { store throws(ObjectStore.Failure) -> JSON in
            guard request.method == "PATCH", let replicas = request.body?[["spec", "replicas"]] else {
                return try store.find(collection, name)
            }
            return try store.mergePatch(collection, name, ["spec": ["replicas": replicas]])
        }
        return Response(
            200,
            body: [
                "kind": "Scale", "spec": ["replicas": object[["spec", "replicas"]] ?? 0],
                "status": ["replicas": object[["status", "replicas"]] ?? 0],
            ])
    }

    private func groupResources(_ parts: [String]) -> Response? {
        guard parts.first == "api" && parts.count == 2 || parts.first == "apis" && parts.count == 3 else { return nil }
        let isOld = state.withLockedValue { $0.servesOldPolicy }
        if parts == ["apis", "policy", "v1"], isOld { return Response(404, reason: "NotFound") }
        let names = ["pods", "secrets", "leases", "poddisruptionbudgets", "statefulsets", "deployments"]
        return Response(200, body: ["resources": .array(names.map { ["name": .string($0)] })])
    }
}

/// Lets the handlers of early connections find the server that is still being made.
final class Box: Sendable {
    let server = NIOLockedValueBox<KubernetesTestServer?>(nil)
}
