import FoundationEssentials
import KubernetesAPI

/// The Secrets in the cluster: reads them as a whole and does single writes, each based on what was read.
struct SecretStore: Sendable {
    let client: KubernetesClient
    let release: String

    /// What was read, as values for the plan and as objects that writes are based on.
    struct Snapshot: Sendable {
        var state: ClusterState
        var objects: [SecretReference: KubernetesObject] = [:]
    }

    /// A namespace that does not exist, or in which nothing is allowed: to an account with rights in single namespaces the API
    /// server says "forbidden" for both.
    struct ClosedNamespace: Error {
        let namespace: String
        let reason: String
    }

    /// Reads everything, so that no renewal began or went on meanwhile: the renewal Secret is read before and after.
    ///
    /// - Returns: nil when it did; read again.
    /// - Throws: `KubernetesError`; `ClosedNamespace` for one of `others`.
    func read(home: String, others: [String]) async throws -> Snapshot? {
        var snapshot = Snapshot(state: ClusterState(home: home, others: others))
        for reference in snapshot.state.references {
            let found = try await allowed(in: reference.namespace, home) { try await find(reference) }
            guard let object = found else { continue }
            snapshot.objects[reference] = object
            snapshot.state.secrets[reference] = SecretStore.state(of: object)
        }
        let renewal = SecretReference(home, .renewal)
        let again = try await find(renewal)
        return again?.resourceVersion == snapshot.objects[renewal]?.resourceVersion ? snapshot : nil
    }

    /// Makes `.forbidden` a `ClosedNamespace`, but not at home, where nothing can be done without rights.
    private func allowed<Result: Sendable>(
        in namespace: String, _ home: String, _ request: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await request()
        } catch let error as KubernetesError where error.code == .forbidden && namespace != home {
            throw ClosedNamespace(namespace: namespace, reason: "\(error)")
        }
    }

    private func find(_ reference: SecretReference) async throws -> KubernetesObject? {
        try await client.find(.secrets, reference.kind.name, namespace: reference.namespace)
    }

    /// Items that are not base64 come out empty, which the plan takes for missing.
    static func state(of object: KubernetesObject) -> SecretState {
        SecretState(
            isOwned: object.labels[SecretMark.ownerLabel] == SecretMark.owner,
            items: (object["data"]?.strings ?? [:]).mapValues { Data(base64Encoded: $0).map(Array.init) ?? [] },
            annotations: object.annotations)
    }

    /// Does the write if the Secret is still as it was read.
    ///
    /// - Throws: `KubernetesError` with `.conflict`, `.alreadyExists` or `.notFound` when it is not; `ClosedNamespace`.
    func perform(_ write: SecretWrite, on snapshot: Snapshot) async throws -> KubernetesObject {
        let reference = write.reference
        let (namespace, home) = (reference.namespace, snapshot.state.home)
        if let object = snapshot.objects[reference] {
            return try await allowed(in: namespace, home) {
                try await client.replace(.secrets, SecretStore.object(object, write))
            }
        }
        var object = KubernetesObject(
            .secrets, name: reference.kind.name, namespace: reference.namespace, ["type": "Opaque"])
        object.labels = [SecretMark.ownerLabel: SecretMark.owner, "app.kubernetes.io/instance": release]
        let created = SecretStore.object(object, write)
        do {
            return try await allowed(in: namespace, home) { try await client.create(.secrets, created) }
        } catch let error as KubernetesError where error.code == .notFound {
            throw ClosedNamespace(namespace: namespace, reason: "it does not exist")
        }
    }

    static func object(_ object: KubernetesObject, _ write: SecretWrite) -> KubernetesObject {
        var object = object
        var data = object["data"] ?? [:]
        for (name, bytes) in write.items { data[name] = .string(Data(bytes).base64EncodedString()) }
        for name in write.removedItems { data[name] = nil }
        object["data"] = data
        var annotations = object.annotations
        for (name, value) in write.annotations { annotations[name] = value }
        object.annotations = annotations
        return object
    }

    func delete(_ reference: SecretReference, on snapshot: Snapshot) async throws -> KubernetesObject? {
        guard let object = snapshot.objects[reference] else { return nil }
        try await client.delete(.secrets, reference.kind.name, namespace: reference.namespace, uid: object.uid)
        return object
    }
}
