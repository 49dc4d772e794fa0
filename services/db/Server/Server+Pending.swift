// Placeholders while persistence and replication land.
import ByteStorage
import DatabaseEngine
import DatabasePersistence
import RESP
import Reactor
import Telemetry

extension Server {
    var isReplicaRole: Bool { false }
    var backlogMemory: Int { 0 }
    func roleRefusal(_ client: Client, _ shape: CommandShape) -> String? { nil }
    func forgetReplica(_ client: Client) {}
    func primaryLinkOpened(_ connection: Connection) {}
    func primaryLinkReceived(_ connection: Connection) {}
    func primaryLinkClosed(_ connection: Connection, _ reason: CloseReason) {}
    func propagateMessage(_ c: CommandContext, shard: Bool) {}
    /// What the stream got in this turn, for backlog and replicas.
    func feedReplication(_ bytes: ByteView) {}
    /// Whether replicas or a backlog need the stream.
    var replicationWantsStream: Bool { false }
    /// The stream offset (`streamOffset`'s scale) up to which the quorum has acknowledged; nil without a quorum.
    var replicationReleasedOffset: UInt64? { nil }
    /// Puts replication ID, offset and selected database into the auxiliary fields of a snapshot.
    func fillReplicationFields(_ fields: inout RDBAuxiliaryFields) {}
    /// A snapshot or log base with the auxiliary fields of replication was loaded at start.
    func loadedReplicationFields(id: String, offset: Int64) {}
    func replicationSettingsChanged(from old: ServerSettings) {}
    func runReplicationCommand(_ c: CommandContext) -> Bool { false }
    func replicationReadinessProblem() -> String? { nil }
    func appendReplicationMetrics(_ text: inout PrometheusText) {}
    func infoReplication() -> [(String, String)] { [("role", "master")] }
    func waitForReplicas(isNow: Bool, _ then: @escaping () -> Void) { then() }
}
final class ReplicaLink {}
