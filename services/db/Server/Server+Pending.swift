// Placeholders while persistence lands.
import ByteStorage
import DatabaseEngine
import RESP
import Telemetry

extension Server {
    var lastSaveSeconds: Int { 0 }
    var logBufferBytes: Int { 0 }
    func drainStream() {
        let buffer = engine.state.pointee.stream.buffer
        guard !buffer.isEmpty else { return }
        feedReplication(buffer.view)
        buffer.removeAll()
    }
    func updateStreamEnabled() { engine.state.pointee.stream.isEnabled = replicationWantsStream }
    func appendPersistenceMetrics(_ text: inout PrometheusText) {}
    func infoPersistence() -> [(String, String)] { [] }
    func save(_ c: CommandContext) { c.reply.ok() }
    func backgroundSave(_ c: CommandContext) { c.reply.ok() }
    func rewriteLog(_ c: CommandContext) { c.reply.ok() }
    func changeDirectory(_ path: String) -> String? { nil }
    func switchLog(on: Bool) -> String? { nil }
    func saveBeforeExit(wanted: Bool?) -> String? { nil }
    func reloadFromDisk() -> String? { nil }
    func reloadLog() -> String? { nil }
    /// The dataset was replaced as a whole by a full sync: the log must begin anew.
    func replicatedDatasetChanged() {}
    static func removeFile(_ path: String) {}
}
