import ByteStorage

@testable import DatabaseEngine

extension CommandRunner {
    convenience init(seed: UInt64 = 1, nodeSetting: Int) {
        self.init(seed: seed)
        engine.state.pointee.settings.listMaxCompactSize = nodeSetting
    }

    @discardableResult
    func callAsFunction(words: [String]) -> String { run(words.map { Array($0.utf8) }) }

    /// The list under `key`, nil when there is none.
    func list(_ key: String) -> ListValue? {
        Array(key.utf8).withView { view in
            guard let slot = engine.peek(database, view), Table.entry(slot).kind == .list else { return nil }
            return Table.entry(slot).list
        }
    }

    /// All elements, read without LRANGE, after a check of the structure.
    func elements(_ key: String) -> [String] {
        guard let list = list(key) else { return [] }
        list.checkInvariants()
        var result: [String] = []
        list.forEach(.max) { result.append($0.string) }
        return result
    }

    /// The keys that were reported as ready to serve since the last call of this or `events`.
    func readyKeys() -> [String] {
        defer { engine.state.pointee.events.removeAll() }
        return engine.state.pointee.events.compactMap {
            if case .ready(_, let key) = $0 { return String(decoding: key, as: UTF8.self) }
            return nil
        }
    }
}

/// An array as `CommandRunner` shows it.
func array(_ elements: [String]) -> String { "[" + elements.joined(separator: " ") + "]" }
