// The thin shell round `SecretPlanner`: look, plan, act, and look again until there is nothing to do.
//
// Each write is based on the version that was read. When one is refused because somebody else was faster, or it is not known whether
// it was done, nothing is concluded from that: the next look tells.
import KubernetesAPI
import Logging
import TLS
import Telemetry

public struct KubernetesIssuing: Sendable {
    public struct Outcome: Sendable {
        /// Of Secrets, not counting Events.
        public internal(set) var writes = 0
        public internal(set) var problems: [SecretProblem] = []
        /// Listed for TMM, but not there, or closed to this account.
        public internal(set) var leftOut: [LeftOut] = []
        /// A renewal goes on in a run after this time.
        public internal(set) var waitUntil: Int64?

        public var hasFatalProblems: Bool { problems.contains(where: \.isFatal) }
    }

    public struct LeftOut: Sendable, Equatable {
        public let namespace: String
        public let reason: String
    }

    public struct Failure: Error, CustomStringConvertible, Sendable {
        public let description: String
    }

    public let settings: KubernetesSettings
    public let client: KubernetesClient
    let log: Logger
    let recorder: EventRecorder
    let store: SecretStore
    /// Seconds since 1970.
    public var clock: @Sendable () -> Int64
    public var sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    /// How often in a row the cluster may fail before the run gives up.
    public var failureLimit = 6
    public var firstWait: Duration = .milliseconds(200)
    /// Stays until a renewal's delay is over, instead of leaving the rest to a later run.
    public var waitsForDelay = false

    /// Far beyond what a run needs; who is disturbed more often than that gives up.
    static let roundLimit = 200
    static let longestWait: Duration = .seconds(10)

    /// - Parameter instance: the pod's name, for Events.
    public init(
        settings: KubernetesSettings, client: KubernetesClient, log: Logger, instance: String,
        clock: @escaping @Sendable () -> Int64
    ) {
        self.settings = settings
        self.client = client
        self.log = log
        self.clock = clock
        recorder = EventRecorder(client: client, component: SecretMark.owner, instance: instance, log: log)
        store = SecretStore(client: client, release: settings.policy.release)
    }

    /// Brings the Secrets to what the settings ask for, as far as that can be done now.
    ///
    /// - Throws: `Failure` when the cluster refuses or does not answer; what has been done by then is complete in itself, and the next
    ///   run goes on from there.
    public func run(isForced: Bool = false) async throws -> Outcome {
        do { try settings.validate() } catch { throw Failure(description: "\(error)") }
        var run = Run(isForced: isForced)
        for _ in 0..<Self.roundLimit {
            do {
                if try await takeRound(&run) { return run.outcome }
                run.failures = 0
            } catch let closed as SecretStore.ClosedNamespace {
                guard closed.namespace != settings.policy.namespace else {
                    throw Failure(description: "namespace \(closed.namespace): \(closed.reason)")
                }
                run.outcome.leftOut.append(LeftOut(namespace: closed.namespace, reason: closed.reason))
                log.event(.warning, "namespace-left-out", "namespace \(closed.namespace) is left out: \(closed.reason)")
            } catch let error as KubernetesError {
                try await recover(from: error, &run)
            } catch let error as TLSError {
                throw Failure(description: error.message)
            }
        }
        throw Failure(description: "the Secrets were changed by others all the time")
    }

    private struct Run {
        var isForced: Bool
        var outcome = Outcome()
        var failures = 0
    }

    /// - Returns: whether all is done.
    private func takeRound(_ run: inout Run) async throws -> Bool {
        let home = settings.policy.namespace
        let leftOut = run.outcome.leftOut.map(\.namespace)
        let others = settings.tmmNamespaces.filter { !leftOut.contains($0) }
        guard let snapshot = try await store.read(home: home, others: others) else { return false }
        let now = clock()
        let plan = SecretPlanner(settings: settings, state: snapshot.state, now: now, isForced: run.isForced).plan()
        if plan.actions.isEmpty {
            if waitsForDelay, let until = plan.waitUntil, until > now {
                for remark in plan.remarks { log.event(.notice, "secrets", remark) }
                try await sleep(.seconds(until - now))
                return false
            }
            await finish(plan, snapshot, &run)
            return true
        }
        for action in plan.actions { try await perform(action, snapshot, &run) }
        return false
    }

    private func finish(_ plan: SecretPlan, _ snapshot: SecretStore.Snapshot, _ run: inout Run) async {
        run.outcome.problems = plan.problems
        run.outcome.waitUntil = plan.waitUntil
        for remark in plan.remarks { log.event(.notice, "secrets", remark) }
        for problem in plan.problems {
            let text = problem.texts.joined(separator: "; ")
            log.event(
                .warning, problem.isFatal ? "secret-unusable" : "secret-questionable", "\(problem.reference): \(text)",
                ["namespace": problem.reference.namespace, "secret": problem.reference.kind.name])
            if let object = snapshot.objects[problem.reference] {
                await recorder.record(.warning, problem.isFatal ? "Unusable" : "Questionable", text, about: object)
            }
        }
        if run.outcome.writes == 0 && plan.problems.isEmpty && plan.waitUntil == nil {
            log.event(.notice, "secrets-kept", "all Secrets are valid; nothing was written")
        }
    }

    private func perform(
        _ action: PlannedAction, _ snapshot: SecretStore.Snapshot, _ run: inout Run
    ) async throws {
        let home = settings.policy.namespace
        switch action {
        case .write(let write):
            try await perform(write, snapshot, &run)
        case .issue(let order):
            for reason in order.reasons { log.event(.notice, "issuing", reason) }
            var parameters = order.dhParameters
            if parameters == nil { parameters = try await makeDHParameters() }
            let dhParameters = parameters ?? []
            let (settings, now) = (settings, clock())
            let present = snapshot.state[home, .renewal]
            // Making an RSA key takes seconds: not on the tasks' threads that also serve connections.
            let write = try await Task.detached {
                try RenewalMaterial.make(
                    order, settings: settings, home: home, present: present, now: now, dhParameters: dhParameters)
            }.value
            try await perform(write, snapshot, &run)
            run.isForced = false
        case .makeDHParameters(let note):
            var write = SecretWrite(SecretReference(home, .certificates), note)
            write.items[SecretItem.dhParameters] = try await makeDHParameters()
            try await perform(write, snapshot, &run)
        case .delete(let reference, let note):
            guard let object = try await store.delete(reference, on: snapshot) else { return }
            run.outcome.writes += 1
            await report(reference, note, object)
        }
    }

    private func perform(
        _ write: SecretWrite, _ snapshot: SecretStore.Snapshot, _ run: inout Run
    ) async throws {
        let object = try await store.perform(write, on: snapshot)
        run.outcome.writes += 1
        await report(write.reference, write.note, object)
    }

    private func report(_ reference: SecretReference, _ note: SecretNote, _ object: KubernetesObject) async {
        let reasons = note.reasons.joined(separator: "; ")
        log.event(
            .notice, "secret-written", "\(reference): \(reasons)",
            ["namespace": reference.namespace, "secret": reference.kind.name, "action": note.event])
        await recorder.record(.normal, note.event, reasons, about: object)
    }

    private func recover(from error: KubernetesError, _ run: inout Run) async throws {
        switch error.code {
        case .conflict, .alreadyExists, .notFound:
            log.event(.verbose, "conflict", "somebody else was faster, looking again: \(error)")
            try await sleep(.milliseconds(Int64.random(in: 1...20)))
        case .server, .unreachable, .tooManyRequests, .malformed, .expired:
            run.failures += 1
            guard run.failures <= failureLimit else { throw Failure(description: "\(error)") }
            log.event(.warning, "retry", "looking again: \(error)")
            try await sleep(min(firstWait * (1 << min(run.failures - 1, 10)), Self.longestWait))
        case .forbidden, .invalid:
            throw Failure(description: "\(error)")
        }
    }

    // MARK: Diffie-Hellman parameters

    private func makeDHParameters() async throws -> [UInt8] {
        switch settings.dhParameters {
        case .ffdhe2048: return try DHParameters.standard(.ffdhe2048)
        case .ffdhe3072: return try DHParameters.standard(.ffdhe3072)
        case .generate: break
        }
        log.event(.notice, "dh-parameters", "searching for a prime of 2048 bits; this takes seconds to minutes")
        let began = ContinuousClock.now
        let progress = Task { [log] in
            while true {
                try await Task.sleep(for: .seconds(5))
                let seconds = (ContinuousClock.now - began).components.seconds
                log.event(.notice, "dh-parameters", "still searching for a prime, \(seconds) s so far")
            }
        }
        defer { progress.cancel() }
        return try await Task.detached { try DHParameters.generate() }.value
    }
}
