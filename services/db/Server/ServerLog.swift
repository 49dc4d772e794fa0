import Logging
import Telemetry

/// The server's log: swift-log over Telemetry's sink, with an event name for each line.
public struct ServerLog {
    private let logger: Logger
    let sink: LogSink

    public init(_ sink: LogSink) {
        self.sink = sink
        logger = Logger(sink)
    }

    func debug(_ event: String, _ message: @autoclosure () -> String) { logger.event(.debug, event, message()) }
    func verbose(_ event: String, _ message: @autoclosure () -> String) { logger.event(.verbose, event, message()) }
    public func notice(_ event: String, _ message: @autoclosure () -> String) {
        logger.event(.notice, event, message())
    }
    public func warning(_ event: String, _ message: @autoclosure () -> String) {
        logger.event(.warning, event, message())
    }
}
