import ByteStorage
import Testing

@testable import DatabaseEngine

/// Copies what a walk shows into another engine, as a snapshot and its loading would.
private final class Copier: KeyspaceVisitor {
    let target: Engine
    var keys: [String] = []

    init(_ target: Engine) { self.target = target }

    func visit(_ key: KeyView) {
        keys.append(key.key.string)
        if key.kind.isString {
            return target.load(key.database, key.key, string: key.string, expiry: key.expiry)
        }
        guard var builder = target.beginLoading(key.kind, countHint: key.count) else { return }
        key.forEachElement { builder.add($0) }
        key.forEachPair { builder.add(field: $0, value: $1) }
        key.forEachScored { builder.add(member: $0, score: $1) }
        target.finishLoading(builder, key.database, key.key, expiry: key.expiry)
    }
}

@Suite("Walking and loading collections")
struct KeyViewTests {
    @Test("A collection whose loading is abandoned gives its memory back", arguments: [1, 100, 5000])
    func abandoned(count: Int) {
        let run = CommandRunner()
        let engine = run.engine
        for kind in [EntryKind.hash, .set, .sortedSet, .list] {
            for round in 0..<3 {
                let before = engine.usedBytes
                guard var builder = engine.beginLoading(kind, countHint: count) else { return }
                for number in 0..<count {
                    Array("element \(number)".utf8).withView {
                        builder.add($0)
                        builder.add(field: $0, value: $0)
                        builder.add(member: $0, score: Double(number))
                    }
                }
                #expect(engine.usedBytes > before)
                engine.abandonLoading(builder)
                while engine.isReclaiming { _ = engine.reclaim(budget: 10_000) }
                #expect(engine.usedBytes == before || round == 0, "\(kind)")
            }
        }
    }

    @Test("Hashes, sets and sorted sets of every encoding come out of a walk and into a keyspace unchanged")
    func roundTrip() {
        let run = CommandRunner()
        run("SET text value PX 5000")
        for number in 0..<200 {
            run("HSET bighash f\(number) v\(number)")
            run("SADD bigset w\(number)")
            run("SADD integers \(number * 100_000)")
            run("ZADD bigz \(number).5 m\(number)")
            if number < 10 {
                run("HSET hash f\(number) v\(number)")
                run("SADD set w\(number)")
                run("ZADD z \(number) m\(number)")
            }
        }
        run("PEXPIRE bigz 7000")
        let copy = CommandRunner(seed: 2)
        let copier = Copier(copy.engine)
        run.engine.beginWalk(copier)
        while run.engine.walk(budget: 2) {}
        #expect(copier.keys.count == 8)
        for key in ["bighash", "hash"] {
            #expect(sortedWords(copy("HGETALL \(key)")) == sortedWords(run("HGETALL \(key)")))
        }
        for key in ["bigset", "integers", "set"] {
            #expect(sortedWords(copy("SMEMBERS \(key)")) == sortedWords(run("SMEMBERS \(key)")))
        }
        for key in ["bigz", "z"] {
            #expect(copy("ZRANGE \(key) 0 -1 WITHSCORES") == run("ZRANGE \(key) 0 -1 WITHSCORES"))
        }
        for key in ["bighash", "hash", "bigset", "integers", "set", "bigz", "z"] {
            #expect(copy("OBJECT ENCODING \(key)") == run("OBJECT ENCODING \(key)"), "\(key)")
            #expect(copy("PTTL \(key)") == run("PTTL \(key)"))
        }
        #expect(copy("PTTL text") == ":5000")
    }

    @Test("A walk goes on over databases that were flushed or swapped, under the numbers of its beginning")
    func flushAndSwap() {
        let run = CommandRunner()
        for number in 0..<100 { run("SET zero\(number) 0 PX 5000") }
        run.database = 1
        for number in 0..<100 { run("SET one\(number) 1") }
        run.database = 0
        let copy = CommandRunner(seed: 2)
        let copier = Copier(copy.engine)
        run.engine.beginWalk(copier)
        _ = run.engine.walk(budget: 20)
        run("SWAPDB 0 1")
        run("SET one5 changed")
        run.database = 1
        run("FLUSHDB")
        run("SET zero5 changed")
        run.database = 2
        run("SWAPDB 1 2")
        while run.engine.walk(budget: 20) { run.engine.reclaim(budget: 5) }
        #expect(copier.keys.count == 200)
        copy.database = 0
        #expect(copy("DBSIZE") == ":100")
        #expect(copy("GET zero5") == "0" && copy("PTTL zero5") == ":5000")
        copy.database = 1
        #expect(copy("DBSIZE") == ":100")
        #expect(copy("GET one5") == "1")
        while run.engine.reclaim(budget: 5) {}
        #expect(run.engine.reclaimedObjects == 100)
        #expect(run("GET zero5") == "changed")
    }

    @Test("A walk that was given up shows nothing more, and the next one shows everything")
    func givenUp() {
        let run = CommandRunner()
        for number in 0..<100 { run("SET key\(number) v") }
        let first = Copier(CommandRunner(seed: 2).engine)
        run.engine.beginWalk(first)
        _ = run.engine.walk(budget: 20)
        let seen = first.keys.count
        run.engine.cancelWalk()
        run("SET key5 other")
        while run.engine.walk(budget: 20) {}
        #expect(first.keys.count == seen && seen < 100)
        let second = Copier(CommandRunner(seed: 3).engine)
        run.engine.beginWalk(second)
        while run.engine.walk(budget: 20) {}
        #expect(Set(second.keys).count == 100 && second.keys.count == 100)
    }

    @Test("A walk sees the members of its beginning, whatever commands do meanwhile")
    func pointInTime() {
        let run = CommandRunner()
        for number in 0..<50 {
            run("ZADD z\(number) 1 a 2 b")
            run("SADD s\(number) a b")
            run("HSET h\(number) f v")
        }
        let copy = CommandRunner(seed: 2)
        run.engine.beginWalk(Copier(copy.engine))
        _ = run.engine.walk(budget: 20)
        for number in 0..<50 {
            run("ZADD z\(number) 3 c")
            run("ZPOPMIN z\(number)")
            run("SPOP s\(number)")
            run("SUNIONSTORE s\(number) z s\(number)")
            run("HDEL h\(number) f")
            run("SADD new\(number) x")
        }
        while run.engine.walk(budget: 20) {}
        #expect(copy("DBSIZE") == ":150")
        for number in 0..<50 {
            #expect(copy("ZRANGE z\(number) 0 -1") == "[a b]")
            #expect(sortedWords(copy("SMEMBERS s\(number)")) == ["a", "b"])
            #expect(copy("HGETALL h\(number)") == "[f v]")
        }
    }

    @Test("Loading stands hints that lie, repeated members and scores that are not numbers")
    func hostileLoading() {
        let run = CommandRunner()
        for hint in [-5, 0, 1 << 60] {
            guard var builder = run.engine.beginLoading(.sortedSet, countHint: hint) else {
                Issue.record("no builder")
                return
            }
            builder.add(member: ByteView("a"), score: 1)
            builder.add(member: ByteView("b"), score: .nan)
            builder.add(member: ByteView("a"), score: 2)
            run.engine.finishLoading(builder, 0, ByteView("z"), expiry: nil)
            #expect(run("ZRANGE z 0 -1 WITHSCORES") == "[a 2]")
        }
    }
}
