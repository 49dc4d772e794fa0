// Placeholders while persistence and replication land.
import ByteStorage
import DatabaseEngine
import RESP
import Reactor
import Telemetry

extension Server {
    var isReplicaRole: Bool { false }
    var lastSaveSeconds: Int { 0 }
    var backlogMemory: Int { 0 }
    var logBufferBytes: Int { 0 }
    func roleRefusal(_ client: Client, _ shape: CommandShape) -> String? { nil }
    func forgetReplica(_ client: Client) {}
    func primaryLinkOpened(_ connection: Connection) {}
    func primaryLinkReceived(_ connection: Connection) {}
    func primaryLinkClosed(_ connection: Connection, _ reason: CloseReason) {}
    func propagateMessage(_ c: CommandContext, shard: Bool) {}
    func drainStream() {}
    func runReplicationCommand(_ c: CommandContext) -> Bool { false }
    func replicationReadinessProblem() -> String? { nil }
    func appendReplicationMetrics(_ text: inout PrometheusText) {}
    func appendPersistenceMetrics(_ text: inout PrometheusText) {}
    func infoReplication() -> [(String, String)] { [("role", "master")] }
    func infoPersistence() -> [(String, String)] { [] }
    func save(_ c: CommandContext) { c.reply.ok() }
    func backgroundSave(_ c: CommandContext) { c.reply.ok() }
    func rewriteLog(_ c: CommandContext) { c.reply.ok() }
    func changeDirectory(_ path: String) -> String? { nil }
    func switchLog(on: Bool) -> String? { nil }
    func settingsChanged(from old: ServerSettings) {}
    func waitForReplicas(isNow: Bool, _ then: @escaping () -> Void) { then() }
    func saveBeforeExit(wanted: Bool?) -> String? { nil }
    func reloadFromDisk() -> String? { nil }
    func reloadLog() -> String? { nil }
    static func removeFile(_ path: String) {}
}
final class ReplicaLink {}
