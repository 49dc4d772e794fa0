import Glibc

/// Standard error, for what a command line tells a person.
public enum StandardError {
    /// Writes a line. What cannot be written is dropped.
    public static func print(_ line: String) {
        var line = line + "\n"
        line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    }
}
