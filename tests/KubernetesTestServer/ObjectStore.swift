// What an API server keeps: objects with versions, and the changes that watches replay.
//
// It knows what clients depend on: versions that must fit when an object is replaced, identities, merge patches, server-side
// apply (fields of one manager), label and field selectors, pages, scale and eviction with disruption budgets. It knows no
// schemas and no defaults: what a real server would refuse as invalid is accepted here.
import FoundationEssentials
import KubernetesAPI

struct ObjectStore {
    struct Change {
        let version: Int
        let type: String
        let collection: String
        let object: JSON
    }

    struct Failure: Error {
        let status: Int
        let reason: String
        let message: String
        var retryAfter: Int?
    }

    /// By the path of the object.
    private(set) var objects: [String: JSON] = [:]
    private(set) var changes: [Change] = []
    private(set) var version = 100
    /// The namespaces that there are; nil: any.
    var namespaces: Set<String>?
    /// Changes up to this version are forgotten: watches from before get 410.
    var forgotten = 0

    private mutating func record(_ type: String, _ collection: String, _ name: String, _ object: JSON?) -> JSON {
        version += 1
        var stored = object ?? objects["\(collection)/\(name)"] ?? [:]
        stored[["metadata", "resourceVersion"]] = .string("\(version)")
        objects["\(collection)/\(name)"] = type == "DELETED" ? nil : stored
        changes.append(Change(version: version, type: type, collection: collection, object: stored))
        return stored
    }

    func find(_ collection: String, _ name: String) throws(Failure) -> JSON {
        guard let object = objects["\(collection)/\(name)"] else {
            throw Failure(status: 404, reason: "NotFound", message: "\"\(name)\" not found")
        }
        return object
    }

    mutating func create(_ collection: String, _ object: JSON) throws(Failure) -> JSON {
        guard let name = object[["metadata", "name"]]?.string, !name.isEmpty else {
            throw Failure(status: 422, reason: "Invalid", message: "name is required")
        }
        guard objects["\(collection)/\(name)"] == nil else {
            throw Failure(status: 409, reason: "AlreadyExists", message: "\"\(name)\" already exists")
        }
        let parts = collection.split(separator: "/").map(String.init)
        if let namespaces, let index = parts.firstIndex(of: "namespaces"), parts.count > index + 2,
            !namespaces.contains(parts[index + 1])
        {
            throw Failure(
                status: 404, reason: "NotFound", message: "namespaces \"\(parts[index + 1])\" not found")
        }
        try ObjectStore.checkSecret(collection, old: nil, object)
        var object = object
        object[["metadata", "uid"]] = .string("uid-\(version + 1)")
        object[["metadata", "creationTimestamp"]] = "2026-01-01T00:00:00Z"
        return record("ADDED", collection, name, object)
    }

    mutating func replace(_ collection: String, _ name: String, _ object: JSON) throws(Failure) -> JSON {
        let old = try find(collection, name)
        if let version = object[["metadata", "resourceVersion"]]?.string,
            version != old[["metadata", "resourceVersion"]]?.string
        {
            throw Failure(status: 409, reason: "Conflict", message: "the object has been modified")
        }
        var object = object
        object[["metadata", "uid"]] = old[["metadata", "uid"]]
        object[["metadata", "resourceVersion"]] = old[["metadata", "resourceVersion"]]
        // What changes nothing makes no new version.
        if object == old { return old }
        try ObjectStore.checkSecret(collection, old: old, object)
        return record("MODIFIED", collection, name, object)
    }

    /// The one schema that is known: a Secret's data are base64, its keys are file names, its type does not change, and an immutable
    /// one stays as it is.
    private static func checkSecret(_ collection: String, old: JSON?, _ object: JSON) throws(Failure) {
        guard collection.hasSuffix("/secrets") else { return }
        for (name, value) in object["data"]?.object ?? [:] {
            let isName = name.utf8.allSatisfy { byte in
                (byte | 0x20) &- 97 < 26 || byte &- 48 < 10 || "-_.".utf8.contains(byte)
            }
            guard isName, let text = value.string, Data(base64Encoded: text) != nil else {
                throw Failure(status: 422, reason: "Invalid", message: "data[\(name)]: Invalid value")
            }
        }
        guard let old else { return }
        if let type = old["type"], type != object["type"] {
            throw Failure(status: 422, reason: "Invalid", message: "type: Invalid value: field is immutable")
        }
        if old["immutable"] == true, old["data"] != object["data"] {
            throw Failure(status: 422, reason: "Invalid", message: "data: Forbidden: field is immutable")
        }
    }

    /// - Spec: RFC 7396.
    static func merged(_ target: JSON, _ patch: JSON) -> JSON {
        guard let members = patch.object else { return patch }
        var result = target.object == nil ? JSON.object([:]) : target
        for (key, value) in members {
            result[key] = value.isNull ? nil : merged(result[key] ?? .null, value)
        }
        return result
    }

    mutating func mergePatch(_ collection: String, _ name: String, _ patch: JSON) throws(Failure) -> JSON {
        var object = ObjectStore.merged(try find(collection, name), patch)
        if patch[["metadata", "resourceVersion"]] == nil {
            object[["metadata", "resourceVersion"]] = nil
        }
        return try replace(collection, name, object)
    }

    /// Server-side apply without shared ownership: what this manager applied before and leaves out now is removed.
    mutating func apply(_ collection: String, _ name: String, _ object: JSON, manager: String) throws(Failure) -> JSON {
        let key = "applied-by-\(manager)"
        let old = objects["\(collection)/\(name)"]
        var result = old ?? [:]
        if let previous = old?[["metadata", key]]?.string, let applied = try? JSON(parsing: Array(previous.utf8)) {
            result = ObjectStore.removing(applied, notIn: object, from: result)
        }
        result = ObjectStore.merged(result, object)
        result[["metadata", key]] = .string(object.text)
        if old == nil { return try create(collection, result) }
        result[["metadata", "resourceVersion"]] = old?[["metadata", "resourceVersion"]]
        return try replace(collection, name, result)
    }

    private static func removing(_ applied: JSON, notIn new: JSON, from target: JSON) -> JSON {
        guard let members = applied.object, target.object != nil else { return target }
        var result = target
        for (key, value) in members {
            if let newValue = new[key] {
                if value.object != nil { result[key] = removing(value, notIn: newValue, from: result[key] ?? .null) }
            } else {
                result[key] = nil
            }
        }
        return result
    }

    mutating func delete(_ collection: String, _ name: String, uid: String?) throws(Failure) -> JSON {
        let old = try find(collection, name)
        if let uid, uid != old[["metadata", "uid"]]?.string {
            throw Failure(status: 409, reason: "Conflict", message: "the UID in the precondition does not match")
        }
        return record("DELETED", collection, name, nil)
    }

    // MARK: Selection

    func list(_ collection: String, labels: String?, fields: String?) -> [JSON] {
        let suffix = collection.split(separator: "/").last.map(String.init) ?? ""
        let isAll = !collection.contains("/namespaces/")
        return objects.filter { path, object in
            let parent = path.split(separator: "/").dropLast().joined(separator: "/")
            let matches =
                "/\(parent)" == collection
                || isAll && parent.hasSuffix("/\(suffix)") && path.hasPrefix(collection.dropLast(suffix.count))
            return matches && ObjectStore.isSelected(object, labels: labels, fields: fields)
        }
        .sorted { $0.key < $1.key }.map(\.value)
    }

    static func isSelected(_ object: JSON, labels: String?, fields: String?) -> Bool {
        let own = object[["metadata", "labels"]]?.strings ?? [:]
        for term in (labels ?? "").split(separator: ",") {
            if let range = term.firstRange(of: " in (") {
                let values = term[range.upperBound...].dropLast().split(separator: ",").map { $0.filter { $0 != " " } }
                guard values.contains(own[String(term[..<range.lowerBound])] ?? "") else { return false }
            } else if let equals = term.firstIndex(of: "=") {
                let value = term[equals...].drop { $0 == "=" }
                guard own[String(term[..<equals])] == String(value) else { return false }
            } else if own[String(term)] == nil {
                return false
            }
        }
        for term in (fields ?? "").split(separator: ",") {
            guard let equals = term.firstIndex(of: "=") else { continue }
            let path = term[..<equals].split(separator: ".").map(String.init)
            guard object[path]?.string == String(term[equals...].drop { $0 == "=" }) else { return false }
        }
        return true
    }

    // MARK: Pods

    /// Deletes a pod if every disruption budget that selects it allows one pod fewer that is ready.
    mutating func evict(_ pods: String, _ name: String, uid: String?) throws(Failure) {
        let pod = try find(pods, name)
        let budgets = pods.replacingOccurrences("/api/v1/", "/apis/policy/v1/")
        let budgetPath = budgets.dropLast("pods".count) + "poddisruptionbudgets"
        for budget in list(String(budgetPath), labels: nil, fields: nil) {
            let selector = budget[["spec", "selector", "matchLabels"]]?.strings ?? [:]
            let labels = selector.map { "\($0)=\($1)" }.joined(separator: ",")
            guard ObjectStore.isSelected(pod, labels: labels, fields: nil) else { continue }
            let ready = list(pods, labels: labels, fields: nil).filter(ObjectStore.isReady).count
            if ObjectStore.isReady(pod), ready - 1 < budget[["spec", "minAvailable"]]?.integer ?? 0 {
                throw Failure(
                    status: 429, reason: "TooManyRequests",
                    message: "Cannot evict pod as it would violate the pod's disruption budget.", retryAfter: 1)
            }
        }
        _ = try delete(pods, name, uid: uid)
    }

    static func isReady(_ pod: JSON) -> Bool {
        pod[["status", "conditions"]]?.array?.contains {
            $0["type"]?.string == "Ready" && $0["status"]?.string == "True"
        } ?? false
    }
}

extension String {
    func replacingOccurrences(_ part: String, _ other: String) -> String {
        var result = self
        while let range = result.firstRange(of: part) { result.replaceSubrange(range, with: other) }
        return result
    }
}
