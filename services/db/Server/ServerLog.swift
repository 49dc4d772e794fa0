import Logging
import Telemetry

/// The server's log: a thin cover over swift-log that knows Redis's levels and wants an event name with each line.
public struct ServerLog {
    private var logger: Logger
    private let reopenFile: () -> Void

    public init(_ logger: Logger, reopen: @escaping () -> Void = {}) {
        self.logger = logger
        reopenFile = reopen
    }

    func debug(_ event: String, _ message: @autoclosure () -> String) { write(.debug, event, message()) }
    func verbose(_ event: String, _ message: @autoclosure () -> String) {
        if logger.logLevel <= .info { write(.info, event, message()) }
    }
    func notice(_ event: String, _ message: @autoclosure () -> String) { write(.notice, event, message()) }
    func warning(_ event: String, _ message: @autoclosure () -> String) { write(.warning, event, message()) }

    private func write(_ level: Logger.Level, _ event: String, _ message: @autoclosure () -> String) {
        logger.log(level: level, "\(message())", metadata: ["event": "\(event)"])
    }

    /// Opens the log file anew after it was renamed.
    func reopen() { reopenFile() }

    mutating func setLevel(_ level: Logger.Level) { logger.logLevel = level }
}
