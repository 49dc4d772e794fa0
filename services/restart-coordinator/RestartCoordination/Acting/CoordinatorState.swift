// What has to survive the process: kept in a ConfigMap, written before a step is taken.
import FoundationEssentials
import KubernetesAPI

struct CoordinatorState: Codable, Sendable, Equatable {
    /// Of the run that is under way.
    var progress = RestartProgress()
    /// Under way, or interrupted.
    var run: StatusReport.Run?
    /// The identities that the pods had when the run began: those that have another one now have been restarted.
    var startingPods: [String: String] = [:]
    /// Runs that have ended, the latest first.
    var history: [StatusReport.Run] = []
    var sighting: CertificateSighting?
    var conditions: [StatusReport.Condition] = []

    static let historyLimit = 10

    /// Sets a condition; the time of its transition changes only with its status.
    mutating func set(_ type: String, _ isTrue: Bool?, _ reason: String, _ message: String, now: Date) {
        let status = isTrue.map { $0 ? "True" : "False" } ?? "Unknown"
        let old = conditions.first { $0.type == type }
        let condition = StatusReport.Condition(
            type: type, status: status, reason: reason, message: message,
            lastTransitionTime: old?.status == status ? old?.lastTransitionTime ?? now : now)
        conditions.removeAll { $0.type == type }
        conditions.append(condition)
        conditions.sort { $0.type < $1.type }
    }

    mutating func endRun(_ outcome: StatusReport.Run.Outcome, _ step: String, now: Date) {
        guard var run else { return }
        run.outcome = outcome
        run.step = step
        run.stepSince = now
        run.endedAt = now
        history.insert(run, at: 0)
        history = Array(history.prefix(CoordinatorState.historyLimit))
        self.run = nil
        progress = RestartProgress()
        startingPods = [:]
    }
}

/// The ConfigMap that holds the state. Each write is based on the version that was read or written last, so that a coordinator which
/// does not know yet that it no longer leads cannot overwrite its successor's.
actor StateStore {
    static let item = "state.json"

    let client: KubernetesClient
    let name: String
    let namespace: String
    private var object: KubernetesObject?
    private var stored = CoordinatorState()

    init(client: KubernetesClient, name: String, namespace: String) {
        self.client = client
        self.name = name
        self.namespace = namespace
    }

    /// - Returns: what was stored, and why it cannot be used; a fresh state and nil when there was nothing.
    func load() async throws -> (state: CoordinatorState, problem: String?) {
        let found = try await client.find(.configMaps, name, namespace: namespace)
        object = found
        stored = CoordinatorState()
        guard let text = found?["data", StateStore.item]?.string else { return (stored, nil) }
        do {
            stored = try StateStore.decode(text)
            return (stored, nil)
        } catch {
            return (stored, "ConfigMap \(namespace)/\(name): \(StateStore.item) cannot be read: \(error)")
        }
    }

    /// Stores the state if it differs from what is stored.
    ///
    /// - Throws: `KubernetesError` with `.conflict` or `.alreadyExists` when somebody else has written: load again.
    func save(_ state: CoordinatorState) async throws {
        guard object == nil || state != stored else { return }
        let text = try StateStore.encode(state)
        if var object {
            object["data", StateStore.item] = .string(text)
            self.object = try await client.replace(.configMaps, object)
        } else {
            var object = KubernetesObject(.configMaps, name: name, namespace: namespace)
            object.labels = ["app.kubernetes.io/managed-by": "dssm-restart-coordinator"]
            object["data", StateStore.item] = .string(text)
            self.object = try await client.create(.configMaps, object)
        }
        stored = state
    }

    static func encode(_ state: CoordinatorState) throws -> String {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return String(decoding: try encoder.encode(state), as: UTF8.self)
    }

    static func decode(_ text: String) throws -> CoordinatorState {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(CoordinatorState.self, from: Data(text.utf8))
    }
}
