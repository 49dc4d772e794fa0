/// An object of the API as it came, with names for what all objects have.
///
/// - Spec: Kubernetes API conventions, "Metadata".
public struct KubernetesObject: Sendable, Hashable {
    public var json: JSON

    public init(_ json: JSON) { self.json = json }

    /// An object to be created.
    public init(_ resource: Resource, name: String, namespace: String? = nil, _ members: [String: JSON] = [:]) {
        json = .object(members)
        json["apiVersion"] = .string(resource.apiVersion)
        json["kind"] = .string(resource.kind)
        json[["metadata", "name"]] = .string(name)
        if let namespace { json[["metadata", "namespace"]] = .string(namespace) }
    }

    public var name: String { json[["metadata", "name"]]?.string ?? "" }
    public var namespace: String? { json[["metadata", "namespace"]]?.string }
    public var uid: String? { json[["metadata", "uid"]]?.string }
    public var kind: String? { json["kind"]?.string }
    /// The version that an update must be based on.
    public var resourceVersion: String? {
        get { json[["metadata", "resourceVersion"]]?.string }
        set { json[["metadata", "resourceVersion"]] = newValue.map { .string($0) } }
    }
    public var labels: [String: String] {
        get { json[["metadata", "labels"]]?.strings ?? [:] }
        set { json[["metadata", "labels"]] = .object(newValue.mapValues { .string($0) }) }
    }
    public var annotations: [String: String] {
        get { json[["metadata", "annotations"]]?.strings ?? [:] }
        set { json[["metadata", "annotations"]] = .object(newValue.mapValues { .string($0) }) }
    }
    /// Deletion was asked for and waits for finalizers or a grace period.
    public var isBeingDeleted: Bool { json[["metadata", "deletionTimestamp"]] != nil }

    public subscript(path: String...) -> JSON? {
        get { json[path] }
        set { json[path] = newValue }
    }
}
