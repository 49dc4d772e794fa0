import NIOHTTP1

/// Which objects of a collection are meant.
public struct Selection: Sendable {
    /// Nil: all namespaces.
    public var namespace: String?
    /// Such as `app=f5-dssm-db`.
    public var labels: String?
    /// Such as `metadata.name=f5-dssm-db`.
    public var fields: String?

    public init(namespace: String?, labels: String? = nil, fields: String? = nil) {
        self.namespace = namespace
        self.labels = labels
        self.fields = fields
    }

    var query: [(String, String)] {
        var query: [(String, String)] = []
        if let labels { query.append(("labelSelector", labels)) }
        if let fields { query.append(("fieldSelector", fields)) }
        return query
    }
}

extension KubernetesClient {
    // MARK: Reading

    /// - Throws: `KubernetesError` with `.notFound` when it is not there.
    public func get(_ resource: Resource, _ name: String, namespace: String?) async throws -> KubernetesObject {
        KubernetesObject(try await send(Call(method: .GET, path: resource.path(namespace: namespace, name: name))))
    }

    /// The object, or nil when it is not there.
    public func find(_ resource: Resource, _ name: String, namespace: String?) async throws -> KubernetesObject? {
        do {
            return try await get(resource, name, namespace: namespace)
        } catch let error as KubernetesError where error.code == .notFound {
            return nil
        }
    }

    /// All objects of the selection, read page by page, and the version of the collection that they are.
    public func list(
        _ resource: Resource, _ selection: Selection
    ) async throws -> (objects: [KubernetesObject], resourceVersion: String) {
        var objects: [KubernetesObject] = []
        var continuation: String?
        while true {
            var call = Call(method: .GET, path: resource.path(namespace: selection.namespace), query: selection.query)
            call.query.append(("limit", "500"))
            if let continuation { call.query.append(("continue", continuation)) }
            let page = try await send(call)
            for var item in page["items"]?.array ?? [] {
                // The items of a list do not repeat what the list says.
                if item["kind"] == nil { item["kind"] = .string(resource.kind) }
                if item["apiVersion"] == nil { item["apiVersion"] = .string(resource.apiVersion) }
                objects.append(KubernetesObject(item))
            }
            continuation = page[["metadata", "continue"]]?.string.flatMap { $0.isEmpty ? nil : $0 }
            if continuation == nil { return (objects, page[["metadata", "resourceVersion"]]?.string ?? "") }
        }
    }

    /// Whether the server has this version of a group: for kinds that moved between versions.
    public func serves(_ resource: Resource) async throws -> Bool {
        let path = resource.group.isEmpty ? "/api/\(resource.version)" : "/apis/\(resource.group)/\(resource.version)"
        do {
            let list = try await send(Call(method: .GET, path: path))
            return list["resources"]?.array?.contains { $0["name"]?.string == resource.plural } ?? false
        } catch let error as KubernetesError where error.code == .notFound {
            return false
        }
    }

    // MARK: Writing

    /// - Throws: `.alreadyExists` when it is there.
    @discardableResult
    public func create(_ resource: Resource, _ object: KubernetesObject) async throws -> KubernetesObject {
        let path = resource.path(namespace: object.namespace)
        return KubernetesObject(try await send(Call(method: .POST, path: path, body: object.json)))
    }

    /// Replaces the object. With a `resourceVersion` in it, only that version.
    ///
    /// - Throws: `.conflict` when it has changed since.
    @discardableResult
    public func replace(_ resource: Resource, _ object: KubernetesObject) async throws -> KubernetesObject {
        let path = resource.path(namespace: object.namespace, name: object.name)
        return KubernetesObject(try await send(Call(method: .PUT, path: path, body: object.json)))
    }

    /// Changes the members that the patch names; null removes one.
    ///
    /// - Spec: RFC 7396.
    @discardableResult
    public func mergePatch(
        _ resource: Resource, _ name: String, namespace: String?, subresource: String? = nil, _ patch: JSON
    ) async throws -> KubernetesObject {
        let path = resource.path(namespace: namespace, name: name, subresource: subresource)
        return KubernetesObject(
            try await send(
                Call(method: .PATCH, path: path, contentType: "application/merge-patch+json", body: patch)))
    }

    /// Makes the object have these fields, creating it if need be; fields of others stay.
    ///
    /// - Parameter force: takes fields over that another manager owns, else that is a conflict.
    /// - Spec: Kubernetes documentation, "Server-Side Apply".
    @discardableResult
    public func apply(_ resource: Resource, _ object: KubernetesObject, force: Bool = true) async throws
        -> KubernetesObject
    {
        var call = Call(
            method: .PATCH, path: resource.path(namespace: object.namespace, name: object.name),
            query: [("fieldManager", fieldManager), ("force", force ? "true" : "false")],
            contentType: "application/apply-patch+yaml", body: object.json)
        // Fields are owned, not versioned: the version of what was read before must not be in it.
        call.body?[["metadata", "managedFields"]] = nil
        return KubernetesObject(try await send(call))
    }

    /// Deletes the object if it is there.
    ///
    /// - Parameter uid: only the object with this identity, not one of the same name that has come since.
    public func delete(_ resource: Resource, _ name: String, namespace: String?, uid: String? = nil) async throws {
        var call = Call(method: .DELETE, path: resource.path(namespace: namespace, name: name))
        if let uid { call.body = ["preconditions": ["uid": .string(uid)]] }
        do {
            _ = try await send(call)
        } catch let error as KubernetesError where error.code == .notFound {
            return
        }
    }

    /// Reads, changes and writes an object until nobody else has changed it in between.
    ///
    /// - Parameter change: returns false when nothing is to be written.
    /// - Returns: the object as it is now.
    @discardableResult
    public func update(
        _ resource: Resource, _ name: String, namespace: String?, attempts: Int = 10,
        _ change: (inout KubernetesObject) throws -> Bool
    ) async throws -> KubernetesObject {
        var attempt = 1
        while true {
            var object = try await get(resource, name, namespace: namespace)
            guard try change(&object) else { return object }
            do {
                return try await replace(resource, object)
            } catch let error as KubernetesError where error.code == .conflict && attempt < attempts {
                attempt += 1
            }
        }
    }

    // MARK: Pods and their owners

    /// What became of an eviction.
    public enum EvictionOutcome: Sendable, Equatable {
        case evicted
        /// The pod was not there any more, or another one of its name was.
        case gone
        /// A disruption budget does not allow it now; after this time it may.
        case refused(String, retryAfterSeconds: Int?)
    }

    /// Asks for a pod to be deleted if disruption budgets allow it.
    ///
    /// - Parameter uid: only the pod with this identity.
    /// - Spec: Kubernetes documentation, "API-initiated Eviction".
    public func evict(_ pod: String, namespace: String, uid: String? = nil) async throws -> EvictionOutcome {
        // Servers before 1.22 know the kind in the group's beta version only.
        let isOld = try await !serves(.podDisruptionBudgets)
        var body: JSON = [
            "apiVersion": .string(isOld ? "policy/v1beta1" : "policy/v1"), "kind": "Eviction",
            "metadata": ["name": .string(pod), "namespace": .string(namespace)],
        ]
        if let uid { body["deleteOptions"] = ["preconditions": ["uid": .string(uid)]] }
        let path = Resource.pods.path(namespace: namespace, name: pod, subresource: "eviction")
        do {
            _ = try await send(Call(method: .POST, path: path, body: body), retries: RetryPolicy.none)
            return .evicted
        } catch let error as KubernetesError {
            switch error.code {
            case .notFound: return .gone
            case .conflict where uid != nil: return .gone
            case .tooManyRequests: return .refused(error.message, retryAfterSeconds: error.retryAfterSeconds)
            default: throw error
            }
        }
    }

    /// The replicas that a Deployment or StatefulSet is asked to have, and those that it has.
    public func scale(
        _ resource: Resource, _ name: String, namespace: String
    ) async throws -> (wanted: Int, present: Int) {
        let scale = try await send(
            Call(method: .GET, path: resource.path(namespace: namespace, name: name, subresource: "scale")))
        return (scale[["spec", "replicas"]]?.integer ?? 0, scale[["status", "replicas"]]?.integer ?? 0)
    }

    public func setScale(_ resource: Resource, _ name: String, namespace: String, to replicas: Int) async throws {
        try await mergePatch(
            resource, name, namespace: namespace, subresource: "scale", ["spec": ["replicas": .integer(replicas)]])
    }
}
