// SHUTDOWN and the way a server ends.
//
// - Spec: Redis command reference 7.2: SHUTDOWN (NOSAVE, SAVE, NOW, FORCE, ABORT).
import ByteStorage
import RESP
import Reactor
import Telemetry

extension Server {
    func shutdownCommand(_ c: CommandContext) {
        var save: Bool?
        var isForced = false
        var isNow = false
        for index in 1..<max(1, c.count) {
            if c.isWord(index, "nosave") {
                save = false
            } else if c.isWord(index, "save") {
                save = true
            } else if c.isWord(index, "now") {
                isNow = true
            } else if c.isWord(index, "force") {
                isForced = true
            } else if c.isWord(index, "abort"), c.count == 2 {
                return abortPlannedStop() ? c.reply.ok() : c.reply.error("ERR No shutdown in progress.")
            } else {
                return c.syntaxError()
            }
        }
        log.notice("shutdown", "User requested shutdown...")
        if let problem = shutDown(save: save, isForced: isForced, isNow: isNow) { c.reply.error("ERR \(problem)") }
    }

    /// Stops the server: hands over to a replica, saves as configured, closes.
    ///
    /// - Returns: why it goes on running: the snapshot could not be written and `isForced` was not said.
    @discardableResult
    func shutDown(save: Bool?, isForced: Bool = false, isNow: Bool = false) -> String? {
        guard !isShuttingDown else { return nil }
        isShuttingDown = true
        updateLongWay()
        stopAsPlanned(isNow: isNow) { [unowned self] in finishShutDown(save: save, isForced: isForced) }
        return nil
    }

    private func finishShutDown(save: Bool?, isForced: Bool) {
        if let problem = saveBeforeExit(wanted: save), !isForced {
            log.warning("shutdown-failed", "Errors trying to SHUTDOWN, the server goes on: \(problem)")
            isShuttingDown = false
            endPause()
            updateLongWay()
            return
        }
        endRoleDiscovery()
        recordRole()
        for listener in listeners { listener.close(.local("shutting down")) }
        if !settings.unixSocket.isEmpty { Server.removeFile(settings.unixSocket) }
        log.notice("shutdown", "dSSM is now ready to exit, bye bye...")
        log.sink.finish()
        reactor.stop()
    }
}
