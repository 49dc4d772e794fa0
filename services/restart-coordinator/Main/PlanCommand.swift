import ArgumentParser
import FoundationEssentials
import Glibc
import KubernetesAPI
import Logging
import RestartCoordination
import Telemetry

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Prints what would be restarted, why, in which order, and when. Changes nothing.",
        discussion: """
            Exit codes: 0 nothing is due, or all that is due can be done; 1 the cluster cannot be observed; 2 something is \
            due and cannot be done now.
            """)

    @Option(help: ArgumentHelp("The settings, in YAML.", valueName: "file"))
    var config = RestartCoordinatorCommand.defaultConfig

    @Option(help: "Kubeconfig file, when not in a pod; else KUBECONFIG or ~/.kube/config.")
    var kubeconfig: String?

    @Flag(help: "Print the observed cluster and the steps as JSON.")
    var json = false

    func run() async throws {
        let settings = try RestartCoordinatorCommand.settings(config)
        let client = try RestartCoordinatorCommand.client(kubeconfig)
        let outcome: Result<PlannedRestart, any Error>
        do {
            let endpoint = try Endpoint(tls: settings.tls, listen: nil, source: nil)
            let sink = LogSink(service: "restart-coordinator", role: .worker, level: .warning, format: .text)
            let board = StatusBoard(settings: settings, namespace: client.access.namespace, instance: "plan", now: .now)
            let coordinator = Coordinator(
                settings: settings, client: client, peers: endpoint, board: board, log: Logger(sink), instance: "plan")
            outcome = .success(try await coordinator.plan())
        } catch { outcome = .failure(error) }
        // What matters is known by now, and the process ends: a connection that does not close cleanly changes nothing.
        try? await client.shutDown()
        switch outcome {
        case .failure(let error): throw RestartCoordinatorCommand.fail("\(error)")
        case .success(let plan):
            print(json ? String(decoding: try plan.json(), as: UTF8.self) : plan.text)
            if plan.isBlocked { throw ExitCode(2) }
        }
    }
}
