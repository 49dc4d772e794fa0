import ByteStorage
import RESP

@testable import DatabaseEngine

/// Runs command lines through an engine and renders the replies in a readable form:
/// bulk strings as they are, `:1` integers, `+OK`, `-ERR ...`, `nil`, `*nil`, `_` (RESP3 null), `,1.5` doubles,
/// `[a b]` arrays, `~[a b]` sets, `{k v}` maps.
final class CommandRunner {
    let engine: Engine
    var isRESP3 = false
    var database = 0
    private let out = OutputBuffer.create()

    init(seed: UInt64 = 1, now: Int64 = 1_000_000_000_000) {
        engine = Engine(seed: seed, nowMilliseconds: now)
    }

    deinit { out.destroy() }

    /// Runs one line, split as an inline request is.
    @discardableResult
    func callAsFunction(_ line: String) -> String {
        guard let words = Array(line.utf8).withView(splitInlineArguments) else { return "unbalanced quotes" }
        return run(words)
    }

    @discardableResult
    func run(_ words: String...) -> String { run(words.map { Array($0.utf8) }) }

    @discardableResult
    func run(_ words: [[UInt8]]) -> String {
        // One block for all arguments, with the slack behind it that a receive buffer has.
        var bytes: [UInt8] = []
        for word in words { bytes += word }
        bytes += [UInt8](repeating: 0, count: 16)
        return bytes.withView { block in
            var views: [ByteView] = []
            var offset = 0
            for word in words {
                views.append(block.slice(offset, offset + word.count))
                offset += word.count
            }
            return execute(&views)
        }
    }

    /// The non-blocking try of a blocking command; nil: it would block.
    func tryBlocking(_ line: String) -> String? {
        guard let words = Array(line.utf8).withView(splitInlineArguments) else { return "unbalanced quotes" }
        var served: Bool?
        let reply = withArguments(words) { shape, invocation in
            served = engine.tryServeBlocking(shape.id, invocation)
        }
        return served == true ? reply : nil
    }

    private func withArguments(_ words: [[UInt8]], _ body: (CommandShape, Invocation) -> Void) -> String {
        var bytes: [UInt8] = []
        for word in words { bytes += word }
        bytes += [UInt8](repeating: 0, count: 16)
        return bytes.withView { block in
            var views: [ByteView] = []
            var offset = 0
            for word in words {
                views.append(block.slice(offset, offset + word.count))
                offset += word.count
            }
            return withShape(&views, body)
        }
    }

    private func execute(_ views: inout [ByteView]) -> String {
        withShape(&views) { shape, invocation in
            if !engine.execute(shape, invocation, raw: nil) { invocation.reply.error("no engine command") }
        }
    }

    private func withShape(_ views: inout [ByteView], _ body: (CommandShape, Invocation) -> Void) -> String {
        guard let shape = CommandTable.shared.find(views[0]) else { return "unknown command" }
        guard shape.accepts(argumentCount: views.count) else { return "wrong arity" }
        out.removeAll()
        let count = views.count
        let first = Int(shape.firstKey)
        views.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let hash = first > 0 ? engine.hash(base[first]) : 0
            body(
                shape,
                Invocation(
                    arguments: base, count: count, hash: hash, database: database,
                    reply: ReplyWriter(out, isRESP3: isRESP3)))
        }
        var reader = ReplyReader(bytes: out.view.array)
        let text = reader.next()
        return reader.isAtEnd ? text : "more than one reply: " + String(decoding: out.view.array, as: UTF8.self)
    }

    /// What was propagated since the last call, one command a line.
    func propagated() -> [String] {
        let buffer = engine.state.pointee.stream.buffer
        var reader = ReplyReader(bytes: buffer.view.array)
        buffer.removeAll()
        var result: [String] = []
        while !reader.isAtEnd {
            let text = reader.next()
            if !text.hasPrefix("[SELECT ") { result.append(String(text.dropFirst().dropLast())) }
        }
        return result
    }

    func startPropagation() { engine.state.pointee.stream.isEnabled = true }

    /// Names of the keyspace events since the last call.
    func events() -> [String] {
        defer { engine.state.pointee.events.removeAll() }
        return engine.state.pointee.events.compactMap {
            if case .keyspace(let name, _, let key) = $0 { return name + " " + String(decoding: key, as: UTF8.self) }
            return nil
        }
    }

    func startEvents() { engine.state.pointee.keyspaceEvents = [.keyspace, .all] }
}

/// Renders replies.
struct ReplyReader {
    let bytes: [UInt8]
    private var index = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { index == bytes.count }

    private mutating func line() -> String {
        var end = index
        while end < bytes.count, bytes[end] != 13 { end += 1 }
        defer { index = min(end + 2, bytes.count) }
        return String(decoding: bytes[index..<end], as: UTF8.self)
    }

    mutating func next() -> String {
        guard index < bytes.count else { return "no reply" }
        let kind = Character(UnicodeScalar(bytes[index]))
        index += 1
        let head = line()
        switch kind {
        case "$":
            guard let count = Int(head), count >= 0 else { return "nil" }
            defer { index += count + 2 }
            return String(decoding: bytes[index..<(index + count)], as: UTF8.self)
        case "*", "~", "%", ">":
            guard let count = Int(head), count >= 0 else { return "*nil" }
            let elements = (0..<(kind == "%" ? count * 2 : count)).map { _ in next() }.joined(separator: " ")
            switch kind {
            case "%": return "{\(elements)}"
            case "~": return "~[\(elements)]"
            default: return "[\(elements)]"
            }
        default: return String(kind) + head
        }
    }
}

/// The words inside a rendered array, set or map, sorted.
func sortedWords(_ reply: String) -> [String] {
    var text = Substring(reply)
    if text.hasPrefix("~") { text = text.dropFirst() }
    return text.dropFirst().dropLast().split(separator: " ").map(String.init).sorted()
}

extension RandomGenerator {
    mutating func below(_ bound: Int) -> Int { Int(next(below: UInt64(bound))) }
}
