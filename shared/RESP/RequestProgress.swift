import ByteStorage

/// How far a command that has not come whole has been parsed, so that the next attempt goes on where the last one ended.
///
/// A command of a gigabyte in a million arguments comes in tens of thousands of pieces: parsed from its beginning each time it would
/// cost minutes. For small commands that is cheaper than remembering, so servers use this for long ones only. It keeps
/// positions, not addresses: the buffer may move between two attempts, as long as the command stays whole in it.
public struct RequestProgress {
    private var arguments: [(offset: Int, count: Int)] = []
    /// Where the next argument begins, counted from the command's first byte; 0: nothing is parsed yet.
    private var position = 0
    private var expected = 0

    public init() {}

    /// Memory that this takes.
    public var bytes: Int { arguments.capacity * MemoryLayout<(offset: Int, count: Int)>.stride }

    /// Goes on with the command that begins at `start`, which must be an array (`*`).
    ///
    /// - Returns: what `RequestParser.parse` would return for the whole.
    public mutating func parse(
        _ parser: RequestParser, _ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ arena: ArgumentArena
    ) -> RequestStatus {
        if position == 0 {
            var index = start + 1
            let count = RequestParser.length(base, &index, end)
            if count == RequestParser.lengthIncomplete { return .incomplete(needed: end - start + 1) }
            if count <= 0 { return parser.oddCount(count, index, index - start) }
            if count > parser.limits.arguments { return parser.tooManyArguments() }
            expected = count
            position = index - start
        }
        while arguments.count < expected {
            var index = start + position
            if index >= end { return .incomplete(needed: position + 1) }
            let marker = base.load(fromByteOffset: index, as: UInt8.self)
            if marker != 36 { return .failed(.expectedDollar(got: marker)) }
            index += 1
            let length = RequestParser.length(base, &index, end)
            if length == RequestParser.lengthIncomplete { return .incomplete(needed: end - start + 1) }
            if length < 0 || length > parser.limits.bulkBytes {
                return parser.oddBulk(length, arena, arena.count, position, expected - arguments.count)
            }
            let next = index - start + length + 2
            if end - start < next { return .incomplete(needed: next) }
            arguments.append((index - start, length))
            position = next
        }
        for argument in arguments { arena.append(ByteView(base + start + argument.offset, argument.count)) }
        return .command(next: start + position, argumentCount: expected)
    }
}
