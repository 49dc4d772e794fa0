import ByteStorage
import Testing

@testable import DatabaseEngine

@Suite("Set commands")
struct SetTests {
    @Test("Sets under random commands hold what a model would, in every encoding", arguments: [1, 2, 3, 4] as [UInt64])
    func randomWorkload(seed: UInt64) {
        let run = CommandRunner(seed: seed)
        var random = RandomGenerator(seed: seed)
        var models: [String: Set<String>] = ["a": [], "b": [], "c": []]
        let keys = ["a", "b", "c"]
        // Integers only; integers and words; few words; many words.
        func member() -> String {
            switch seed {
            case 1: return "\(random.below(900) - 450)"
            case 2: return random.below(60) == 0 ? "w\(random.below(20))" : "\(random.below(200) * 40_000)"
            case 3: return "w\(random.below(60))"
            default: return "w\(random.below(400))"
            }
        }
        for step in 0..<2500 {
            let key = keys[random.below(3)]
            let other = keys[random.below(3)]
            let word = member()
            switch random.below(9) {
            case 0, 1, 2, 3:
                #expect(run("SADD \(key) \(word)") == (models[key, default: []].insert(word).inserted ? ":1" : ":0"))
            case 4: #expect(run("SREM \(key) \(word)") == (models[key, default: []].remove(word) != nil ? ":1" : ":0"))
            case 5: #expect(run("SISMEMBER \(key) \(word)") == (models[key, default: []].contains(word) ? ":1" : ":0"))
            case 6:
                let had = models[key, default: []].contains(word)
                if had && key != other {
                    models[key, default: []].remove(word)
                    models[other, default: []].insert(word)
                }
                #expect(run("SMOVE \(key) \(other) \(word)") == (had ? ":1" : ":0"))
            case 7:
                let reply = run("SPOP \(key)")
                #expect(
                    models[key, default: []].isEmpty ? reply == "nil" : models[key, default: []].remove(reply) != nil)
            default:
                let picked = sortedWords(run("SRANDMEMBER \(key) 7"))
                #expect(picked.count == min(7, models[key, default: []].count))
                #expect(models[key, default: []].isSuperset(of: picked) && Set(picked).count == picked.count)
            }
            if step % 250 == 0 { check(run, models) }
        }
        check(run, models)
        for key in keys { run("SPOP \(key) 10000") }
        #expect(run("DBSIZE") == ":0")
        while run.engine.reclaim(budget: 1000) {}
        #expect(run.engine.slab.state.pointee.allocatedBytes == 0)
    }

    private func check(_ run: CommandRunner, _ models: [String: Set<String>]) {
        let a = models["a"] ?? []
        let b = models["b"] ?? []
        let c = models["c"] ?? []
        for (key, model) in models {
            #expect(sortedWords(run("SMEMBERS \(key)")) == model.sorted())
            #expect(run("SCARD \(key)") == ":\(model.count)")
            #expect(run("EXISTS \(key)") == (model.isEmpty ? ":0" : ":1"))
            if run("COPY \(key) copy") == ":1" {
                #expect(sortedWords(run("SMEMBERS copy")) == model.sorted())
                run("DEL copy")
            }
            if let slot = Array(key.utf8).withView({ run.engine.peek(0, $0) }) {
                SetValue(word: Table.entry(slot).word).checkInvariants()
            }
        }
        #expect(sortedWords(run("SINTER a b c")) == a.intersection(b).intersection(c).sorted())
        #expect(sortedWords(run("SUNION a b c")) == a.union(b).union(c).sorted())
        #expect(sortedWords(run("SDIFF a b c")) == a.subtracting(b).subtracting(c).sorted())
        #expect(run("SINTERCARD 2 a b") == ":\(a.intersection(b).count)")
        #expect(run("SINTERCARD 2 a b LIMIT 3") == ":\(min(3, a.intersection(b).count))")
        for (name, result) in [("SINTER", a.intersection(b)), ("SUNION", a.union(b)), ("SDIFF", a.subtracting(b))] {
            #expect(run("\(name)STORE d a b") == ":\(result.count)")
            #expect(sortedWords(run("SMEMBERS d")) == result.sorted())
            run("DEL d")
        }
        #expect(sortedWords(run("SINTER a a")) == a.sorted())
        #expect(run("SDIFF a a") == "[]")
    }

    @Test("The encoding goes from intset to listpack to hashtable at Redis's limits")
    func encodings() {
        let run = CommandRunner()
        for number in 1...512 { run("SADD i \(number)") }
        #expect(run("OBJECT ENCODING i") == "intset")
        run("SADD i 513")
        #expect(run("OBJECT ENCODING i") == "hashtable")
        run("SADD s 1 2 3")
        run("SADD s word")
        #expect(run("OBJECT ENCODING s") == "listpack")
        for number in 1...124 { run("SADD s w\(number)") }
        #expect(run("SCARD s") == ":128")
        #expect(run("OBJECT ENCODING s") == "listpack")
        run("SADD s w1")
        #expect(run("OBJECT ENCODING s") == "listpack")
        run("SADD s w125")
        #expect(run("OBJECT ENCODING s") == "hashtable")
        for number in 1...128 { run("SADD m \(number)") }
        run("SADD m word")
        #expect(run("OBJECT ENCODING m") == "hashtable")
        run("SADD l 1 \(String(repeating: "x", count: 65))")
        #expect(run("OBJECT ENCODING l") == "hashtable")
        run("SADD t 007 -0 +1")
        #expect(run("OBJECT ENCODING t") == "listpack")
        run("SADD b -9223372036854775808 9223372036854775807 9223372036854775808")
        #expect(run("SMEMBERS b") == "[-9223372036854775808 9223372036854775807 9223372036854775808]")
    }

    @Test("Replies for absent keys; RESP3 has its own type for sets")
    func absent() {
        let run = CommandRunner()
        #expect(run("SMEMBERS s") == "[]")
        #expect(run("SPOP s") == "nil")
        #expect(run("SPOP s 2") == "[]")
        #expect(run("SRANDMEMBER s") == "nil")
        #expect(run("SRANDMEMBER s 2") == "[]")
        #expect(run("SCARD s") == ":0")
        #expect(run("SREM s a") == ":0")
        #expect(run("SMOVE s t a") == ":0")
        #expect(run("SMISMEMBER s a b") == "[:0 :0]")
        #expect(run("SSCAN s 0") == "[0 []]")
        #expect(run("SINTER s t") == "[]")
        #expect(run("SINTERCARD 1 s") == ":0")
        run.isRESP3 = true
        run("SADD t 1")
        #expect(run("SMEMBERS s") == "~[]")
        #expect(run("SMEMBERS t") == "~[1]")
        #expect(run("SUNION s t") == "~[1]")
        #expect(run("SINTER t t") == "~[1]")
        #expect(run("SDIFF t s") == "~[1]")
        #expect(run("SRANDMEMBER t 1") == "[1]")
        #expect(run("SPOP t 1") == "~[1]")
    }

    @Test("Every set command refuses a key of another type")
    func wrongType() {
        let run = CommandRunner()
        run("SET s x")
        run("SADD t a")
        let lines = [
            "SADD s a", "SREM s a", "SISMEMBER s a", "SMISMEMBER s a", "SMEMBERS s", "SCARD s", "SPOP s", "SPOP s 1",
            "SRANDMEMBER s", "SRANDMEMBER s 1", "SMOVE s t a", "SMOVE t s a", "SINTER t s", "SINTER absent s",
            "SINTERCARD 2 t s", "SINTERSTORE d t s", "SUNION t s", "SUNIONSTORE d t s", "SDIFF t s", "SDIFFSTORE d s t",
            "SSCAN s 0",
        ]
        for line in lines {
            #expect(run(line) == "-WRONGTYPE Operation against a key holding the wrong kind of value", "\(line)")
        }
        #expect(run("SUNIONSTORE s t") == ":1")
        #expect(run("TYPE s") == "+set")
    }

    @Test("Wrong counts and options get Redis's errors")
    func errors() {
        let run = CommandRunner()
        run("SADD s a")
        #expect(run("SPOP s -1") == "-ERR value is out of range, must be positive")
        #expect(run("SPOP s x") == "-ERR value is out of range, must be positive")
        #expect(run("SPOP s 1 2") == "-ERR syntax error")
        #expect(run("SRANDMEMBER s x") == "-ERR value is not an integer or out of range")
        #expect(run("SRANDMEMBER s 1 2") == "-ERR syntax error")
        #expect(run("SRANDMEMBER s -4") == "[a a a a]")
        #expect(run("SINTERCARD 0 s") == "-ERR numkeys should be greater than 0")
        #expect(run("SINTERCARD 2 s") == "-ERR Number of keys can't be greater than number of args")
        #expect(run("SINTERCARD 1 s LIMIT -1") == "-ERR LIMIT can't be negative")
        #expect(run("SINTERCARD 1 s LIMIT") == "-ERR syntax error")
        #expect(run("SINTERCARD 1 s nothing 1") == "-ERR syntax error")
        #expect(run("SINTERCARD 1 s LIMIT 0") == ":1")
    }

    @Test("SPOP is propagated as what it removed")
    func propagation() {
        let run = CommandRunner()
        run("SADD s a b c")
        run("SADD one x")
        run("SADD all x y")
        run.startPropagation()
        let first = run("SPOP s")
        let second = sortedWords(run("SPOP s 1"))
        run("SPOP s 0")
        run("SPOP one")
        run("SPOP all 5")
        run("SPOP all 5")
        #expect(run.propagated() == ["SREM s \(first)", "SREM s \(second[0])", "SREM one x", "DEL all"])
    }

    @Test("Events name what happened, and a set that is emptied is deleted")
    func events() {
        let run = CommandRunner()
        run.startEvents()
        run("SADD s a b")
        run("SADD s a")
        run("SMOVE s t a")
        run("SREM s b c")
        run("SPOP t")
        #expect(run.events() == ["sadd s", "srem s", "sadd t", "srem s", "del s", "spop t", "del t"])
        run("SADD s a")
        run("SINTERSTORE d s s")
        run("SDIFFSTORE d s s")
        run("SDIFFSTORE d s s")
        #expect(run.events() == ["sadd s", "sinterstore d", "del d"])
    }

    @Test("A store command replaces the destination with its expiry, even when it is a source")
    func stores() {
        let run = CommandRunner()
        run("SADD a 1 2 3")
        run("SADD b 2 3 4")
        run("EXPIRE a 100")
        #expect(run("SINTERSTORE a a b") == ":2")
        #expect(run("TTL a") == ":-1")
        #expect(run("SMEMBERS a") == "[2 3]")
        run("SET text x")
        #expect(run("SINTERSTORE text a absent") == ":0")
        #expect(run("EXISTS text") == ":0")
    }

    @Test("Random members of a table are drawn about equally often")
    func fairness() {
        let run = CommandRunner()
        for number in 0..<200 { run("SADD s w\(number)") }
        var hits: [String: Int] = [:]
        for word in sortedWords(run("SRANDMEMBER s -20000")) { hits[word, default: 0] += 1 }
        #expect(hits.count == 200)
        #expect(hits.values.allSatisfy { $0 > 50 && $0 < 170 })
    }

    @Test("SSCAN visits all of a large set, and a small one at once")
    func scanning() {
        let run = CommandRunner()
        run("SADD small 1 2 12")
        #expect(run("SSCAN small 0 MATCH 1*") == "[0 [1 12]]")
        for number in 0..<500 { run("SADD s w\(number)") }
        var cursor = "0"
        var seen: Set<Substring> = []
        repeat {
            let parts = run("SSCAN s \(cursor) COUNT 30").dropFirst().dropLast().split(separator: " ", maxSplits: 1)
            cursor = String(parts[0])
            seen.formUnion(parts[1].dropFirst().dropLast().split(separator: " "))
        } while cursor != "0"
        #expect(seen.count == 500)
    }
}
