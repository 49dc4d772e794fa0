import Logging

/// Redis's `loglevel`: each lets itself and the ones after it through.
public enum LogLevel: Int, CaseIterable, Sendable {
    case debug
    case verbose
    case notice
    case warning

    public init?(name: String) {
        guard let level = Self.allCases.first(where: { $0.name == name.lowercased() }) else { return nil }
        self = level
    }

    public var name: String { "\(self)" }

    /// The character that stands for it in Redis's text format.
    var character: Character {
        switch self {
        case .debug: "."
        case .verbose: "-"
        case .notice: "*"
        case .warning: "#"
        }
    }

    /// The level of swift-log under which it is logged.
    var loggerLevel: Logger.Level {
        switch self {
        case .debug: .debug
        case .verbose: .info
        case .notice: .notice
        case .warning: .warning
        }
    }

    init(_ level: Logger.Level) {
        switch level {
        case .trace, .debug: self = .debug
        case .info: self = .verbose
        case .notice: self = .notice
        case .warning, .error, .critical: self = .warning
        }
    }
}

/// Who speaks, as Redis's text format shows it after the process id.
public enum LogRole: UInt8, Sendable {
    case primary = 77  // M
    case replica = 83  // S
    case sentinel = 88  // X
    /// A worker thread or helper.
    case worker = 67  // C

    var character: Character { Character(UnicodeScalar(rawValue)) }
    var name: String { "\(self)" }
}

public enum LogFormat: String, CaseIterable, Sendable {
    /// One JSON object a line.
    case json
    /// `pid:role dd Mon yyyy hh:mm:ss.mmm level message key=value ...`, as Redis writes it.
    case text
}
