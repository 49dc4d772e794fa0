import ArgumentParser
import Dispatch
import FoundationEssentials
import Glibc
import KubernetesAPI
import Logging
import RestartCoordination
import Telemetry

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Watches the cluster and restarts what is due when a window is open (the default).",
        discussion: "Of several instances one acts, by a Lease. Ends with 0 after SIGTERM or SIGINT.")

    @Option(help: ArgumentHelp("The settings, in YAML.", valueName: "file"))
    var config = RestartCoordinatorCommand.defaultConfig

    @Option(help: "Kubeconfig file, when not in a pod; else KUBECONFIG or ~/.kube/config.")
    var kubeconfig: String?

    @Flag(help: "Only check the settings: exit with 0 or 78.")
    var check = false

    /// What an API server that does not answer may take of the time to end.
    private static let endSeconds = 5

    func run() async throws {
        let settings = try RestartCoordinatorCommand.settings(config)
        if check { return print("\(config): the settings are good") }
        let sink = LogSink(
            service: "restart-coordinator", role: .worker, level: settings.logLevel, format: settings.logFormat)
        let log = Logger(sink)
        let client = try RestartCoordinatorCommand.client(kubeconfig)
        let name = RestartCoordinatorCommand.instanceName
        let board = StatusBoard(settings: settings, namespace: client.access.namespace, instance: name, now: .now)
        let endpoint: Endpoint
        do {
            let listen = settings.httpPort == 0 ? nil : (settings.httpHost, settings.httpPort)
            endpoint = try Endpoint(tls: settings.tls, listen: listen, source: board)
        } catch { throw RestartCoordinatorCommand.fail("\(error)") }
        let coordinator = Coordinator(
            settings: settings, client: client, peers: endpoint, board: board, log: log, instance: name)
        let service = CoordinatorService(
            coordinator: coordinator, client: client, log: log,
            identity: "\(name)_\(String(UInt64.random(in: .min ... .max), radix: 16))")
        log.event(
            .notice, "start", "Coordinating restarts of \(settings.db) and \(settings.sentinel)",
            ["version": ProductVersion.current, "windows": "\(settings.windows.count)"])
        let task = Task { try await service.run() }
        let signals = Self.onSignal { number in
            log.event(.notice, "stop", "Received \(number == SIGTERM ? "SIGTERM" : "SIGINT")")
            service.beginEnding()
            task.cancel()
            DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(Self.endSeconds)) {
                log.event(.warning, "stop-forced", "The Kubernetes API does not answer: the lease runs out by itself")
                sink.finish()
                _exit(0)
            }
        }
        defer { signals.forEach { $0.cancel() } }
        let result = await task.result
        // Errors while closing connections change nothing any more.
        try? await client.shutDown()
        endpoint.stop()
        if case .failure(let error) = result, !task.isCancelled {
            log.event(.warning, "failed", "\(error)")
            sink.finish()
            throw RestartCoordinatorCommand.fail("\(error)")
        }
        sink.finish()
    }

    private static func onSignal(_ body: @escaping @Sendable (Int32) -> Void) -> [any DispatchSourceSignal] {
        [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { body(number) }
            source.resume()
            return source
        }
    }
}
