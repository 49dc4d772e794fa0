import ByteStorage
import RESP

@testable import DatabaseEngine

/// An engine with one client, whose replies come back as RESP text with blanks for line ends.
final class ListSession {
    let engine: Engine
    var database = 0
    var isRESP3 = false

    init(seed: UInt64 = 1, nodeSetting: Int = -2) {
        engine = Engine(seed: seed, nowMilliseconds: 1_000_000)
        engine.state.pointee.settings.listMaxCompactSize = nodeSetting
    }

    /// Executes a command as the server does.
    @discardableResult
    func run(_ words: [String]) -> String {
        invoke(words) { shape, invocation in
            guard shape.accepts(argumentCount: invocation.count) else { return invocation.reply.error("ERR arity") }
            _ = engine.execute(shape, invocation, raw: nil)
        }
    }

    @discardableResult
    func run(_ line: String) -> String { run(line.split(separator: " ").map(String.init)) }

    /// Tries a blocking command; nil when it would wait.
    func tryServe(_ line: String) -> String? {
        var isServed = false
        let reply = invoke(line.split(separator: " ").map(String.init)) { shape, invocation in
            isServed = engine.tryServeBlocking(shape.id, invocation)
        }
        guard isServed else {
            precondition(reply.isEmpty, "something was replied without serving")
            return nil
        }
        return reply
    }

    private func invoke(_ words: [String], _ body: (CommandShape, Invocation) -> Void) -> String {
        let out = OutputBuffer.create()
        // The arguments one after the other, each with the slack that a receive buffer has behind it.
        let texts = words.map { [UInt8]($0.utf8) }
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: texts.reduce(0) { $0 + $1.count + 8 }, alignment: 8)
        let views = UnsafeMutablePointer<ByteView>.allocate(capacity: words.count)
        defer {
            out.destroy()
            memory.deallocate()
            views.deallocate()
        }
        var offset = 0
        for (index, text) in texts.enumerated() {
            text.withView { (memory + offset).copyMemory(from: $0.base, byteCount: $0.count) }
            (memory + offset + text.count).initializeMemory(as: UInt8.self, repeating: 0, count: 8)
            (views + index).initialize(to: ByteView(memory + offset, text.count))
            offset += text.count + 8
        }
        guard let shape = CommandTable.shared.find(views[0]) else { return "unknown command" }
        let hash = shape.firstKey > 0 && words.count > 1 ? engine.hash(views[Int(shape.firstKey)]) : 0
        body(
            shape,
            Invocation(
                arguments: views, count: words.count, hash: hash, database: database,
                reply: ReplyWriter(out, isRESP3: isRESP3)))
        return out.view.string.replacing("\r\n", with: " ").trimmingLast()
    }

    /// What was propagated since the last call, as words.
    func takeStream() -> String {
        let stream = engine.state.pointee.stream.buffer
        defer { stream.removeAll() }
        return stream.view.string.split(separator: "\r\n").filter { !$0.hasPrefix("*") && !$0.hasPrefix("$") }
            .joined(separator: " ")
    }

    /// The events recorded since the last call.
    func takeEvents() -> [String] {
        defer { engine.state.pointee.events.removeAll() }
        return engine.state.pointee.events.map { event in
            switch event {
            case .modified(_, let key): "modified \(String(decoding: key, as: UTF8.self))"
            case .flushed(let database): "flushed \(database)"
            case .ready(_, let key): "ready \(String(decoding: key, as: UTF8.self))"
            case .keyspace(let name, _, let key): "\(name) \(String(decoding: key, as: UTF8.self))"
            }
        }
    }

    /// The list under `key`, nil when there is none.
    func list(_ key: String) -> ListValue? {
        Array(key.utf8).withView { view in
            guard let slot = engine.peek(database, view), Table.entry(slot).kind == .list else { return nil }
            return Table.entry(slot).list
        }
    }

    /// All elements, read without LRANGE.
    func elements(_ key: String) -> [String] {
        guard let list = list(key) else { return [] }
        list.checkInvariants()
        var result: [String] = []
        list.forEach(.max) { result.append($0.string) }
        return result
    }
}

extension String {
    fileprivate func trimmingLast() -> String { hasSuffix(" ") ? String(dropLast()) : self }
}

/// Replies as `ListSession` shows them.
func bulk(_ text: String) -> String { "$\(text.utf8.count) \(text)" }
func array(_ texts: [String]) -> String { (["*\(texts.count)"] + texts.map(bulk)).joined(separator: " ") }
