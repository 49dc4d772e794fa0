import ByteStorage
import RESP

/// Error texts that many commands share, letter for letter Redis's.
enum ErrorText {
    static let wrongType: StaticString = "WRONGTYPE Operation against a key holding the wrong kind of value"
    static let syntax: StaticString = "ERR syntax error"
    static let notInteger: StaticString = "ERR value is not an integer or out of range"
    static let notFloat: StaticString = "ERR value is not a valid float"
    static let overflow: StaticString = "ERR increment or decrement would overflow"
    static let noSuchKey: StaticString = "ERR no such key"
    static let outOfRange: StaticString = "ERR index out of range"
    static let stringTooLong: StaticString = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
    static let invalidCursor: StaticString = "ERR invalid cursor"
}

extension Invocation {
    /// The integer argument at `index`; replies with the error and returns nil when it is none.
    @inline(__always) func integer(_ index: Int) -> Int64? {
        if let value = parseInteger(self[index]) { return value }
        reply.error(ErrorText.notInteger)
        return nil
    }

    /// Replies `ERR value is out of range` and the like for non-negative counts.
    func isWord(_ index: Int, _ lowercase: StaticString) -> Bool { self[index].equalsIgnoringCase(lowercase) }

    func wrongType() { reply.error(ErrorText.wrongType) }

    func wrongArity(_ name: String) {
        reply.error("ERR wrong number of arguments for '\(name)' command")
    }

    func unknownSubcommand(_ command: String) {
        reply.error(
            "ERR unknown subcommand '\(self[1].slice(0, min(128, self[1].count)).string)'. Try \(command) HELP.")
    }
}
