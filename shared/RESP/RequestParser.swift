// The request side of RESP: what clients send to a server.
//
// Problem: a pipelined client sends thousands of small commands in one segment, a hostile one sends lengths that lie, and
// a slow one sends a byte at a time. Approach: parse in place. Arguments are views into the receive buffer, written to an
// `ArgumentArena`; an incomplete command leaves no trace but the number of bytes without which parsing again would be in
// vain, and is parsed again from its first byte when more has come. That costs less than a system call for ordinary commands;
// long ones go on where the last attempt ended (`RequestProgress`).
// Rejected: a state machine that copies arguments out as they come: it allocates per argument and was measured at 14
// times the cost for small commands.
//
// - Spec: RESP protocol, "Sending commands to a Redis server", inline commands; limits and error texts as Redis 7.2.
import ByteStorage

/// Limits on what one client may send.
@frozen public struct RequestLimits: Sendable {
    /// Largest bulk string, bytes (`proto-max-bulk-len`).
    public var bulkBytes: Int
    /// Largest number of arguments of one command. What they take is bounded by the caller's limit on unparsed input.
    public var arguments: Int
    /// Longest inline request and longest length line, bytes.
    public var inlineBytes: Int

    public init(bulkBytes: Int = 512 << 20, arguments: Int = Int(Int32.max), inlineBytes: Int = 64 << 10) {
        self.bulkBytes = bulkBytes
        self.arguments = arguments
        self.inlineBytes = inlineBytes
    }

    /// What a client may send before it has authenticated.
    public static var unauthenticated: RequestLimits { RequestLimits(bulkBytes: 16384, arguments: 10) }
}

public enum RequestError: Error, Equatable, Sendable {
    case invalidMultibulkLength
    case invalidBulkLength
    case unauthenticatedMultibulkLength
    case unauthenticatedBulkLength
    case expectedDollar(got: UInt8)
    case tooBigInlineRequest
    case tooBigMultibulkCount
    case tooBigBulkCount
    case unbalancedQuotes

    /// The text after `-ERR Protocol error: `.
    public var text: String {
        switch self {
        case .invalidMultibulkLength: "invalid multibulk length"
        case .invalidBulkLength: "invalid bulk length"
        case .unauthenticatedMultibulkLength: "unauthenticated multibulk length"
        case .unauthenticatedBulkLength: "unauthenticated bulk length"
        case .expectedDollar(let got):
            "expected '$', got '\(got >= 32 && got < 127 ? String(UnicodeScalar(got)) : " ")'"
        case .tooBigInlineRequest: "too big inline request"
        case .tooBigMultibulkCount: "too big mbulk count string"
        case .tooBigBulkCount: "too big bulk count string"
        case .unbalancedQuotes: "unbalanced quotes in request"
        }
    }
}

/// What one call of the parser found.
@frozen public enum RequestStatus: Equatable {
    /// A command: its arguments are the last `argumentCount` of the arena; it ends at `next`.
    case command(next: Int, argumentCount: Int)
    /// An empty line or an empty array: skip to `next`.
    case nothing(next: Int)
    /// More bytes are needed: at least `needed`, counted from the command's first byte, before another try can succeed.
    case incomplete(needed: Int)
    case failed(RequestError)
}

@frozen public struct RequestParser {
    public var limits: RequestLimits
    /// Set until the client has authenticated: then the unauthenticated limits' own error texts are used.
    public var restricted: Bool

    public init(limits: RequestLimits = RequestLimits(), restricted: Bool = false) {
        self.limits = limits
        self.restricted = restricted
    }

    /// The number in `[position, end)` up to CR LF. Results: `lengthIncomplete`, `lengthInvalid` or the value.
    @usableFromInline static let lengthIncomplete = -2
    @usableFromInline static let lengthInvalid = -3
    @usableFromInline static let lengthTooLong = -4

    @inlinable @inline(__always)
    static func length(_ base: UnsafeRawPointer, _ position: inout Int, _ end: Int) -> Int {
        var index = position
        var value = 0
        // The common case: one to eighteen digits, the first of them not 0, then CR LF.
        if index < end, base.load(fromByteOffset: index, as: UInt8.self) == 48 {
            return slowLength(base, &position, end)
        }
        while index < end {
            let byte = base.load(fromByteOffset: index, as: UInt8.self)
            let digit = byte &- 48
            if digit < 10 {
                value = value &* 10 &+ Int(digit)
                index &+= 1
                if index &- position > 18 { return slowLength(base, &position, end) }
            } else if byte == 13 {
                if index == position { return slowLength(base, &position, end) }
                if index &+ 1 >= end { return lengthIncomplete }
                position = index &+ 2
                return value
            } else {
                return slowLength(base, &position, end)
            }
        }
        return slowLength(base, &position, end)
    }

    /// Everything unusual: a sign, a stray byte, a line without end.
    @usableFromInline @inline(never)
    static func slowLength(_ base: UnsafeRawPointer, _ position: inout Int, _ end: Int) -> Int {
        var index = position
        while index < end, base.load(fromByteOffset: index, as: UInt8.self) != 13 { index += 1 }
        if index == end { return end - position > 64 << 10 ? lengthTooLong : lengthIncomplete }
        guard let value = parseInteger(ByteView(base + position, index - position)) else { return lengthInvalid }
        if index + 1 >= end { return lengthIncomplete }
        position = index + 2
        // A negative count means an empty command for arrays and is an error for bulk strings: both handled by the caller.
        return value < 0 ? -1 : Int(value)
    }

    /// Parses one command from `[start, end)`.
    ///
    /// On `.command` the arguments have been appended to `arena`; on anything else the arena is as it was.
    @inlinable @inline(__always)
    public func parse(_ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ arena: ArgumentArena) -> RequestStatus {
        if start >= end { return .incomplete(needed: 1) }
        if base.load(fromByteOffset: start, as: UInt8.self) != 42 { return inline(base, start, end, arena) }
        var position = start &+ 1
        let count = RequestParser.length(base, &position, end)
        if count <= 0 { return oddCount(count, position, position &- start) }
        if count > limits.arguments { return tooManyArguments() }
        let first = arena.count
        var index = 0
        while index < count {
            if position >= end { return incomplete(arena, first, position &- start, count &- index, 0) }
            let marker = base.load(fromByteOffset: position, as: UInt8.self)
            if marker != 36 { return unexpected(marker, arena, first) }
            let lineStart = position
            position &+= 1
            let length = RequestParser.length(base, &position, end)
            if length < 0 || length > limits.bulkBytes {
                return oddBulk(length, arena, first, lineStart &- start, count &- index)
            }
            if end &- position < length &+ 2 {
                return incomplete(arena, first, position &- start, count &- index &- 1, length &+ 2)
            }
            arena.append(ByteView(base + position, length))
            position &+= length &+ 2
            index &+= 1
        }
        return .command(next: position, argumentCount: count)
    }

    @usableFromInline @inline(never)
    func incomplete(
        _ arena: ArgumentArena, _ first: Int, _ consumed: Int, _ argumentsLeft: Int, _ bulkLeft: Int
    ) -> RequestStatus {
        let parsed = arena.count - first
        arena.truncate(to: first)
        // Each argument that is still to come takes at least `$0 CR LF CR LF`.
        if bulkLeft > 0 { return .incomplete(needed: consumed + bulkLeft + (parsed < 1024 ? 0 : argumentsLeft * 6)) }
        return .incomplete(needed: consumed + (parsed < 1024 ? 1 : argumentsLeft * 6))
    }

    @usableFromInline @inline(never)
    func oddCount(_ count: Int, _ position: Int, _ consumed: Int) -> RequestStatus {
        switch count {
        case 0, -1: .nothing(next: position)
        case RequestParser.lengthIncomplete: .incomplete(needed: consumed + 1)
        case RequestParser.lengthTooLong: .failed(.tooBigMultibulkCount)
        default: .failed(.invalidMultibulkLength)
        }
    }

    @usableFromInline @inline(never) func tooManyArguments() -> RequestStatus {
        .failed(restricted ? .unauthenticatedMultibulkLength : .invalidMultibulkLength)
    }

    @usableFromInline @inline(never)
    func unexpected(_ marker: UInt8, _ arena: ArgumentArena, _ first: Int) -> RequestStatus {
        arena.truncate(to: first)
        return .failed(.expectedDollar(got: marker))
    }

    @usableFromInline @inline(never)
    func oddBulk(
        _ length: Int, _ arena: ArgumentArena, _ first: Int, _ consumed: Int, _ argumentsLeft: Int
    ) -> RequestStatus {
        if length == RequestParser.lengthIncomplete { return incomplete(arena, first, consumed, argumentsLeft, 0) }
        arena.truncate(to: first)
        if length == RequestParser.lengthTooLong { return .failed(.tooBigBulkCount) }
        return .failed(restricted && length > limits.bulkBytes ? .unauthenticatedBulkLength : .invalidBulkLength)
    }

    @usableFromInline @inline(never)
    func inline(_ base: UnsafeRawPointer, _ start: Int, _ end: Int, _ arena: ArgumentArena) -> RequestStatus {
        var index = start
        while index < end, base.load(fromByteOffset: index, as: UInt8.self) != 10 { index += 1 }
        if index == end {
            return end - start > limits.inlineBytes
                ? .failed(.tooBigInlineRequest) : .incomplete(needed: end - start + 1)
        }
        var lineEnd = index
        if lineEnd > start, base.load(fromByteOffset: lineEnd - 1, as: UInt8.self) == 13 { lineEnd -= 1 }
        guard let words = splitInlineArguments(ByteView(base + start, lineEnd - start)) else {
            return .failed(.unbalancedQuotes)
        }
        if words.isEmpty { return .nothing(next: index + 1) }
        for word in words { arena.append(arena.copyToScratch(word)) }
        return .command(next: index + 1, argumentCount: words.count)
    }
}
