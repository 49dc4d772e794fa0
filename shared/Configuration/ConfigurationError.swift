/// What is wrong with a configuration, and where: `dssm.conf:12: unbalanced quotes`.
public struct ConfigurationError: Error, Equatable, CustomStringConvertible, Sendable {
    public let message: String
    /// The file, or what stands for it, such as `command line`. Empty if none is at fault.
    public let file: String
    /// Counted from 1; 0 if no line is at fault.
    public let line: Int

    public init(_ message: String, file: String = "", line: Int = 0) {
        self.message = message
        self.file = file
        self.line = line
    }

    public var description: String {
        if file.isEmpty { return message }
        return line > 0 ? "\(file):\(line): \(message)" : "\(file): \(message)"
    }
}
