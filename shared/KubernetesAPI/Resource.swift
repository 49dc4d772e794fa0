/// A kind of object and where the API has it.
public struct Resource: Sendable, Hashable {
    /// Empty: the core group.
    public let group: String
    public let version: String
    public let kind: String
    /// The name in paths, lower case and plural.
    public let plural: String
    public let isNamespaced: Bool

    public init(group: String, version: String, kind: String, plural: String, isNamespaced: Bool = true) {
        self.group = group
        self.version = version
        self.kind = kind
        self.plural = plural
        self.isNamespaced = isNamespaced
    }

    public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

    /// The path of the collection, or of one object, or of a subresource of it.
    ///
    /// - Spec: Kubernetes API concepts, "Resource URIs".
    public func path(namespace: String?, name: String? = nil, subresource: String? = nil) -> String {
        var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        if isNamespaced, let namespace { path += "/namespaces/\(percentEncoded(namespace))" }
        path += "/\(plural)"
        if let name { path += "/\(percentEncoded(name))" }
        if let subresource { path += "/\(subresource)" }
        return path
    }

    public static let pods = Resource(group: "", version: "v1", kind: "Pod", plural: "pods")
    public static let secrets = Resource(group: "", version: "v1", kind: "Secret", plural: "secrets")
    public static let configMaps = Resource(group: "", version: "v1", kind: "ConfigMap", plural: "configmaps")
    public static let services = Resource(group: "", version: "v1", kind: "Service", plural: "services")
    public static let events = Resource(group: "", version: "v1", kind: "Event", plural: "events")
    public static let namespaces = Resource(
        group: "", version: "v1", kind: "Namespace", plural: "namespaces", isNamespaced: false)
    public static let statefulSets = Resource(
        group: "apps", version: "v1", kind: "StatefulSet", plural: "statefulsets")
    public static let deployments = Resource(group: "apps", version: "v1", kind: "Deployment", plural: "deployments")
    public static let jobs = Resource(group: "batch", version: "v1", kind: "Job", plural: "jobs")
    public static let leases = Resource(
        group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases")
    public static let podDisruptionBudgets = Resource(
        group: "policy", version: "v1", kind: "PodDisruptionBudget", plural: "poddisruptionbudgets")
}

/// Text as a segment of a path or a value of a query.
///
/// - Spec: RFC 3986, section 2.3: all but unreserved characters are encoded.
func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF")
    var result = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            result.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            result.append("%")
            result.append(digits[Int(byte >> 4)])
            result.append(digits[Int(byte & 15)])
        }
    }
    return result
}
