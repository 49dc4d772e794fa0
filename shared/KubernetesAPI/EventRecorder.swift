import FoundationEssentials
import Logging

/// Records Kubernetes Events about an object, for `kubectl describe` and `kubectl get events`.
///
/// An event is news, not state: one that cannot be written is logged and forgotten, and never fails what it tells of. Equal ones
/// that follow each other are counted in one object.
///
/// - Spec: Kubernetes API, core/v1 Event.
public actor EventRecorder {
    public enum Kind: String, Sendable {
        case normal = "Normal"
        case warning = "Warning"
    }

    private let client: KubernetesClient
    private let component: String
    private let instance: String
    private let log: Logger
    private var last: (object: KubernetesObject, key: [String], count: Int)?

    /// - Parameters:
    ///   - component: such as `dssm-restart-coordinator`.
    ///   - instance: the pod's name.
    public init(client: KubernetesClient, component: String, instance: String, log: Logger) {
        self.client = client
        self.component = component
        self.instance = instance
        self.log = log
    }

    /// - Parameters:
    ///   - reason: one word in CamelCase.
    ///   - message: a sentence for people, cut at 1024 bytes.
    public func record(_ kind: Kind, _ reason: String, _ message: String, about object: KubernetesObject) async {
        let namespace = object.namespace ?? client.access.namespace
        let message = String(message.prefix(1024))
        let key = [kind.rawValue, reason, message, object.uid ?? object.name]
        do {
            if let previous = last, previous.key == key {
                let count = previous.count + 1
                let now = LeaseLock.time(.now)
                try await client.mergePatch(
                    .events, previous.object.name, namespace: namespace,
                    ["count": .integer(count), "lastTimestamp": .string(now)])
                last = (previous.object, key, count)
            } else {
                let event = try await client.create(.events, make(kind, reason, message, object, namespace))
                last = (event, key, 1)
            }
        } catch {
            last = nil
            log.warning("An event could not be recorded: \(error)", metadata: ["reason": "\(reason)"])
        }
    }

    private func make(
        _ kind: Kind, _ reason: String, _ message: String, _ object: KubernetesObject, _ namespace: String
    ) -> KubernetesObject {
        let now = LeaseLock.time(.now)
        let suffix = String(UInt64.random(in: .min ... .max), radix: 16)
        // The name of an object has 253 characters at most.
        let name = "\(object.name.prefix(230)).\(suffix)"
        var reference: JSON = ["kind": .string(object.kind ?? ""), "name": .string(object.name)]
        reference["apiVersion"] = object["apiVersion"]
        reference["namespace"] = object.namespace.map { .string($0) }
        reference["uid"] = object.uid.map { .string($0) }
        return KubernetesObject(
            .events, name: name, namespace: namespace,
            [
                "involvedObject": reference, "type": .string(kind.rawValue), "reason": .string(reason),
                "message": .string(message), "count": 1, "firstTimestamp": .string(now), "lastTimestamp": .string(now),
                "source": ["component": .string(component), "host": .string(instance)],
                "reportingComponent": .string(component), "reportingInstance": .string(instance),
            ])
    }
}

extension LeaseLock {
    /// - Spec: Kubernetes API, Time: RFC 3339 in seconds.
    static func time(_ date: Date) -> String { date.formatted(.iso8601) }
}
