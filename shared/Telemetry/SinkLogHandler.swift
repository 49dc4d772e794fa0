import Logging

/// swift-log's back end over a `LogSink`. The level is the sink's, so that `CONFIG SET loglevel` reaches all loggers at
/// once. The metadata key `event` names the event; other metadata become fields.
public struct SinkLogHandler: LogHandler {
    private let sink: LogSink
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?

    public init(_ sink: LogSink) { self.sink = sink }

    public var logLevel: Logger.Level {
        get { sink.level.loggerLevel }
        set { sink.level = LogLevel(newValue) }
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        let name = all.removeValue(forKey: "event").map { "\($0)" } ?? "log"
        let fields = all.sorted { $0.key < $1.key }.map { (name: $0.key, value: "\($0.value)") }
        sink.log(LogLevel(event.level), event: name, "\(event.message)", fields)
    }
}

extension Logger {
    /// A logger that writes to `sink`.
    public init(_ sink: LogSink) {
        self.init(label: sink.service) { _ in SinkLogHandler(sink) }
    }

    /// Logs `message` under the name of an event, with fields. The arguments are only evaluated if the level passes.
    public func event(
        _ level: LogLevel, _ name: String, _ message: @autoclosure () -> String,
        _ fields: @autoclosure () -> [String: String] = [:]
    ) {
        guard logLevel <= level.loggerLevel else { return }
        var metadata: Logger.Metadata = [:]
        for (name, value) in fields() { metadata[name] = .string(value) }
        metadata["event"] = .string(name)
        log(level: level.loggerLevel, "\(message())", metadata: metadata)
    }
}
