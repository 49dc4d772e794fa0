import ByteStorage

// Commands in the request format of RESP, from a byte source.
//
// A command is handed out as views into the source's buffer, and is consumed only when it is whole: so the offset of
// an unfinished command is the offset at which the log must be cut.
//
// - Spec: RESP, requests: an array of bulk strings. Log annotations: lines that start with `#`.

struct AOFCommandReader: ~Copyable {
    enum Outcome {
        /// `size` bytes long, its arguments in `arguments`; not consumed yet.
        case command(size: Int)
        /// A line that starts with #, of `size` bytes; not consumed yet.
        case annotation(size: Int)
        case end
        /// The data ends inside a command.
        case torn
        /// `at` bytes after the source's position something else was expected.
        case damaged(at: Int, expected: StaticString)
    }

    static let longestAnnotation = 1024
    static let mostArguments = 1 << 20

    let maximumBulkBytes: Int
    /// The arguments of the last command; valid until the source is touched.
    private(set) var arguments: [ByteView] = []
    private var ranges: [(start: Int, end: Int)] = []

    init(maximumBulkBytes: Int) { self.maximumBulkBytes = maximumBulkBytes }

    private enum Number {
        case value(Int, end: Int)
        case torn
        case damaged(at: Int)
    }

    mutating func next(_ source: inout ByteSource) throws(PersistenceError) -> Outcome {
        guard try source.ensure(1) else { return .end }
        if source.unread[0] == 35 { return try annotation(&source) }
        guard source.unread[0] == 42 else { return .damaged(at: 0, expected: "* or # at the start of a command") }
        var position: Int
        let count: Int
        switch try number(&source, 1) {
        case .value(let value, let end): (count, position) = (value, end)
        case .torn: return .torn
        case .damaged(let at): return .damaged(at: at, expected: "a number of arguments and a line end")
        }
        guard count >= 1, count <= AOFCommandReader.mostArguments else {
            return .damaged(at: 1, expected: "a number of arguments from 1 to 1048576")
        }
        ranges.removeAll(keepingCapacity: true)
        for _ in 0..<count {
            guard try source.ensure(position &+ 1) else { return .torn }
            guard source.unread[position] == 36 else { return .damaged(at: position, expected: "$ before a length") }
            let length: Int
            switch try number(&source, position &+ 1) {
            case .value(let value, let end): (length, position) = (value, end)
            case .torn: return .torn
            case .damaged(let at): return .damaged(at: at, expected: "a length and a line end")
            }
            guard length <= maximumBulkBytes else {
                return .damaged(at: position, expected: "an argument within proto-max-bulk-len")
            }
            guard try source.ensure(position &+ length &+ 2) else { return .torn }
            let end = position &+ length
            guard source.unread[end] == 13, source.unread[end &+ 1] == 10 else {
                return .damaged(at: end, expected: "a line end after an argument")
            }
            ranges.append((position, end))
            position = end &+ 2
        }
        let whole = source.unread
        arguments.removeAll(keepingCapacity: true)
        for range in ranges { arguments.append(whole.slice(range.start, range.end)) }
        return .command(size: position)
    }

    /// Digits and a line end, from `start` on.
    @inline(__always)
    private func number(_ source: inout ByteSource, _ start: Int) throws(PersistenceError) -> Number {
        var position = start
        var value = 0
        while true {
            guard try source.ensure(position &+ 1) else { return .torn }
            let byte = source.unread[position]
            let digit = byte &- 48
            if digit <= 9 {
                guard position &- start < 10 else { return .damaged(at: position) }
                value = value &* 10 &+ Int(digit)
                position &+= 1
                continue
            }
            guard byte == 13, position > start else { return .damaged(at: position) }
            guard try source.ensure(position &+ 2) else { return .torn }
            guard source.unread[position &+ 1] == 10 else { return .damaged(at: position &+ 1) }
            return .value(value, end: position &+ 2)
        }
    }

    private func annotation(_ source: inout ByteSource) throws(PersistenceError) -> Outcome {
        var position = 1
        while true {
            guard try source.ensure(position &+ 1) else { return .torn }
            if source.unread[position] == 10 { return .annotation(size: position &+ 1) }
            position &+= 1
            guard position < AOFCommandReader.longestAnnotation else {
                return .damaged(at: 0, expected: "an annotation of less than 1024 bytes")
            }
        }
    }
}
