import ByteStorage
import Testing

@testable import DatabaseEngine

private final class CountingVisitor: KeyspaceVisitor {
    var visits = 0
    func visit(_ key: KeyView) { visits += 1 }
}

@Suite("Fetching the elements of a batch ahead")
struct PrefetchTests {
    /// Collections of every encoding, strings short and long, and a key that has expired.
    private func filled() -> CommandRunner {
        let run = CommandRunner()
        run("SET text value")
        run("SET long \(String(repeating: "x", count: 3000))")
        run("HSET expired f v")
        run("PEXPIRE expired 10")
        run("HSET volatile f v")
        run("EXPIRE volatile 1000")
        run("RPUSH list a b c")
        for number in 0..<1000 {
            run("HSET bighash f\(number) v\(number)")
            run("SADD bigset w\(number)")
            run("SADD integers \(number % 100)")
            run("ZADD bigz \(number) m\(number)")
            if number < 100 {
                run("HSET hash f\(number) \(String(repeating: "v", count: 60))")
                run("SADD set w\(number)")
                run("ZADD z \(number) m\(number)")
            }
        }
        return run
    }

    private let keys = [
        "text", "long", "expired", "volatile", "list", "bighash", "bigset", "integers", "bigz", "hash", "set", "z",
        "absent",
    ]

    private func steps(_ run: CommandRunner, _ key: String, _ element: String) -> Int {
        // Arguments have slack behind them, as in a receive buffer.
        Array((key + element + "                ").utf8).withView { bytes in
            let key = bytes.slice(0, key.utf8.count)
            var lookup = ElementLookup(
                database: 0, hash: run.engine.hash(key),
                element: bytes.slice(key.count, key.count + element.utf8.count))
            var steps = 1
            while lookup.advance(run.engine) { steps += 1 }
            return steps
        }
    }

    @Test("A look-up goes as many steps as its collection's encoding has")
    func stepCounts() {
        let run = filled()
        for key in ["text", "long", "list", "absent"] { #expect(steps(run, key, "f1") == 1, "\(key)") }
        for key in ["hash", "set", "z", "integers", "volatile"] { #expect(steps(run, key, "f1") == 2, "\(key)") }
        for key in ["bighash", "bigset"] {
            #expect(steps(run, key, "f1") == 3, "\(key)")
            #expect(steps(run, key, "no such element") == 3, "\(key)")
        }
        #expect(steps(run, "bigz", "m1") == 4)
    }

    @Test("Nothing is changed, expired, counted, touched or shown to a walk")
    func noEffect() {
        let run = filled()
        let engine = run.engine
        engine.setTime(engine.now + 5000)
        let visitor = CountingVisitor()
        engine.beginWalk(visitor)
        let entries = keys.map { key in
            Array(key.utf8).withView { key in engine.table(0).peek(key, engine.hash(key)).map { Table.entry($0) } }
        }
        let headers = entries.map { $0?.header }
        let statistics = (
            engine.state.pointee.statistics, engine.usedBytes, engine.keyCount(0), engine.state.pointee.dirty
        )
        let elements = keys.map { _ in "f1" }
        let text = Array((elements.joined() + "                ").utf8)
        text.withView { bytes in
            var lookups = keys.enumerated().map { index, key in
                ElementLookup(
                    database: 0, hash: Array(key.utf8).withView { engine.hash($0) },
                    element: bytes.slice(index * 2, index * 2 + 2))
            }
            let count = lookups.count
            lookups.withUnsafeMutableBufferPointer { buffer in
                if let base = buffer.baseAddress { engine.prefetchElements(base, count: count) }
            }
        }
        #expect(entries.map { $0?.header } == headers)
        #expect(visitor.visits == 0)
        #expect(engine.state.pointee.statistics.keyspaceHits == statistics.0.keyspaceHits)
        #expect(engine.state.pointee.statistics.keyspaceMisses == statistics.0.keyspaceMisses)
        #expect(engine.state.pointee.statistics.expiredKeys == statistics.0.expiredKeys)
        #expect(engine.usedBytes == statistics.1)
        #expect(engine.keyCount(0) == statistics.2)
        #expect(engine.state.pointee.dirty == statistics.3)
        engine.cancelWalk()
        #expect(run("HGET expired f") == "nil")
    }

    @Test("The element's argument is where the commands have their field or member")
    func elementArguments() {
        let lines = [
            "HGET k e", "HSET k e v", "HDEL k e", "HEXISTS k e", "HSETNX k e v", "HSTRLEN k e", "HINCRBY k e 1",
            "HINCRBYFLOAT k e 1", "HMGET k e", "HMSET k e v", "SADD k e", "SREM k e", "SISMEMBER k e", "SMISMEMBER k e",
            "ZSCORE k e", "ZMSCORE k e", "ZREM k e", "ZRANK k e", "ZREVRANK k e", "ZADD k 1 e", "ZADD k NX CH 1 e",
            "ZINCRBY k 1 e",
        ]
        var named: Set<String> = []
        for line in lines {
            let words = line.split(separator: " ").map { String($0) }
            let argument = Int(CommandShape.elementArgument(id(words[0])))
            #expect(words[argument < 0 ? words.count + argument : argument] == "e", "\(line)")
            named.insert(words[0].lowercased())
        }
        for spec in CommandTable.shared.specs where !named.contains(spec.name) {
            #expect(CommandShape.elementArgument(spec.id) == 0, "\(spec.name)")
        }
    }

    private func id(_ name: String) -> CommandID {
        CommandTable.shared.specs.first { $0.name == name.lowercased() }?.id ?? .get
    }

    @Test("A look-up in a table that is being moved to a larger one finds its element or goes without")
    func whileRehashing() {
        let run = CommandRunner()
        for number in 0..<30_000 {
            run("HSET h f\(number) v")
            if number % 977 == 0 { #expect(steps(run, "h", "f\(number / 2)") == (number < 512 ? 2 : 3)) }
        }
        #expect(run("HLEN h") == ":30000")
    }
}
