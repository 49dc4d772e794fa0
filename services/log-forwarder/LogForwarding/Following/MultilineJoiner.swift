import ByteStorage
import CLinux
import Glibc

/// A POSIX extended regular expression. Not thread-safe.
public final class LinePattern {
    private let compiled: UnsafeMutablePointer<regex_t>
    private var isCompiled = false
    public let text: String

    /// Nil when the text is no expression; `problem` says why.
    public init?(_ text: String, problem: inout String) {
        self.text = text
        compiled = .allocate(capacity: 1)
        compiled.initialize(to: regex_t())
        let code = regcomp(compiled, text, REG_EXTENDED)
        guard code == 0 else {
            var message = [CChar](repeating: 0, count: 200)
            regerror(code, compiled, &message, message.count)
            problem = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return nil
        }
        isCompiled = true
    }

    deinit {
        if isCompiled { regfree(compiled) }
        compiled.deallocate()
    }

    /// Whether the expression is found in the line.
    public func matches(_ line: ByteView) -> Bool {
        // The range is given by REG_STARTEND (an extension of glibc and the BSDs): a line ends without a NUL.
        var range = regmatch_t(rm_so: 0, rm_eo: regoff_t(clamping: line.count))
        return regexec(compiled, line.base.assumingMemoryBound(to: CChar.self), 1, &range, 1 << 2) == 0
    }
}

/// Joins lines that belong together: a record begins with a line that matches, the others continue it.
public struct MultilineJoiner {
    public struct Limits: Sendable, Equatable {
        public var lines = 500
        public var bytes = 256 << 10
        /// A record that waits for more lines goes on after this time.
        public var flushMilliseconds: Int64 = 1000

        public init() {}
    }

    private let start: LinePattern
    public let limits: Limits
    private var joined: [UInt8] = []
    private var lines = 0
    /// Bytes of the source in the record that is not finished.
    public private(set) var pendingBytes = 0

    public init(start: LinePattern, limits: Limits) {
        self.start = start
        self.limits = limits
    }

    public mutating func add(
        _ line: ByteView, _ sourceBytes: Int, _ emit: (_ record: ByteView) -> Void
    ) {
        if lines > 0, start.matches(line) || lines >= limits.lines || joined.count + line.count >= limits.bytes {
            flush(emit)
        }
        if lines > 0 { joined.append(LineAssembler.terminator) }
        joined.append(contentsOf: line.buffer)
        lines += 1
        pendingBytes += sourceBytes
    }

    public mutating func flush(_ emit: (_ record: ByteView) -> Void) {
        guard lines > 0 else { return }
        joined.withView(emit)
        joined.removeAll(keepingCapacity: joined.capacity <= 65536)
        lines = 0
        pendingBytes = 0
    }
}
