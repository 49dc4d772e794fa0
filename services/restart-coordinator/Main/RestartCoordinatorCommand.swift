import ArgumentParser
import FoundationEssentials
import Glibc
import KubernetesAPI
import RestartCoordination
import Telemetry

@main
struct RestartCoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dssm-restart-coordinator",
        abstract: "Restarts dSSM, and TMM where asked, in order and within maintenance windows.",
        discussion: """
            Exit codes: 0 success; 1 failure, one line on standard error; 64 wrong usage; 78 settings that cannot be used, \
            with file and line.
            """,
        version: "dssm-restart-coordinator \(ProductVersion.current)",
        subcommands: [RunCommand.self, PlanCommand.self],
        defaultSubcommand: RunCommand.self)

    static let defaultConfig = "/etc/dssm/restart-coordinator.yaml"

    static func fail(_ text: String, _ code: ExitCode = .failure) -> ExitCode {
        StandardError.print("dssm-restart-coordinator: \(text)")
        return code
    }

    static func settings(_ path: String) throws -> CoordinatorSettings {
        do { return try CoordinatorSettings(file: path) } catch { throw fail("\(error)", ExitCode(EX_CONFIG)) }
    }

    static func client(_ kubeconfig: String?) throws -> KubernetesClient {
        do {
            let access = try ClusterAccess.find(kubeconfig: kubeconfig)
            return try KubernetesClient(access, userAgent: "dssm-restart-coordinator/\(ProductVersion.current)")
        } catch { throw fail("\(error)") }
    }

    /// Of this instance: in a pod the pod's.
    static var instanceName: String {
        let process = ProcessInfo.processInfo
        return process.environment["POD_NAME"] ?? process.hostName
    }
}
