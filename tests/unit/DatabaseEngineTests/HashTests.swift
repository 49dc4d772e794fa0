import ByteStorage
import Testing

@testable import DatabaseEngine

@Suite("Hash commands")
struct HashTests {
    @Test(
        "A hash under random commands holds what a dictionary would, in both encodings",
        arguments: [1, 2, 3] as [UInt64])
    func randomWorkload(seed: UInt64) {
        let run = CommandRunner(seed: seed)
        var random = RandomGenerator(seed: seed)
        var model: [String: String] = [:]
        let fields = seed == 1 ? 40 : 300
        for step in 0..<3000 {
            let field = "f\(random.below(fields))"
            var value = "v\(random.below(1000))"
            if seed == 3, random.below(100) == 0 { value = String(repeating: "x", count: 60 + random.below(2000)) }
            switch random.below(6) {
            case 0, 1:
                #expect(
                    run("HSET h \(field) \(value)") == (model.updateValue(value, forKey: field) == nil ? ":1" : ":0"))
            case 2:
                #expect(run("HDEL h \(field)") == (model.removeValue(forKey: field) != nil ? ":1" : ":0"))
            case 3: #expect(run("HGET h \(field)") == model[field] ?? "nil")
            case 4: #expect(run("HEXISTS h \(field)") == (model[field] != nil ? ":1" : ":0"))
            default: #expect(run("HSTRLEN h \(field)") == ":\(model[field]?.utf8.count ?? 0)")
            }
            if step % 500 == 0 { check(run, model) }
        }
        check(run, model)
        for field in model.keys { run("HDEL h \(field)") }
        #expect(run("EXISTS h") == ":0")
        while run.engine.reclaim(budget: 1000) {}
        #expect(run.engine.slab.state.pointee.allocatedBytes == 0)
    }

    private func check(_ run: CommandRunner, _ model: [String: String]) {
        #expect(run("HLEN h") == ":\(model.count)")
        #expect(sortedWords(run("HGETALL h")) == model.flatMap { [$0, $1] }.sorted())
        #expect(sortedWords(run("HKEYS h")) == model.keys.sorted())
        #expect(sortedWords(run("HVALS h")) == model.values.sorted())
        run("COPY h copy REPLACE")
        #expect(sortedWords(run("HGETALL copy")) == model.flatMap { [$0, $1] }.sorted())
        run("DEL copy")
        if let slot = run.engine.peek(0, ByteView("h")) { HashValue(word: Table.entry(slot).word).checkInvariants() }
    }

    @Test("The encoding changes past 512 fields and past 64 bytes, for fields and for values")
    func encodings() {
        let run = CommandRunner()
        for number in 1...512 { run("HSET h f\(number) v") }
        #expect(run("OBJECT ENCODING h") == "listpack")
        run("HSET h f1 other")
        #expect(run("OBJECT ENCODING h") == "listpack")
        run("HSET h f513 v")
        #expect(run("OBJECT ENCODING h") == "hashtable")
        #expect(run("HLEN h") == ":513")
        let long = String(repeating: "x", count: 65)
        run("HSET v f \(long.dropFirst())")
        #expect(run("OBJECT ENCODING v") == "listpack")
        run("HSET v f \(long)")
        #expect(run("OBJECT ENCODING v") == "hashtable")
        run("HSET n \(long) v")
        #expect(run("OBJECT ENCODING n") == "hashtable")
        #expect(run("HGET n \(long)") == "v")
    }

    @Test("Replies for absent keys and fields")
    func absent() {
        let run = CommandRunner()
        #expect(run("HGET h f") == "nil")
        #expect(run("HMGET h a b") == "[nil nil]")
        #expect(run("HGETALL h") == "[]")
        #expect(run("HKEYS h") == "[]")
        #expect(run("HVALS h") == "[]")
        #expect(run("HLEN h") == ":0")
        #expect(run("HDEL h a b") == ":0")
        #expect(run("HRANDFIELD h") == "nil")
        #expect(run("HRANDFIELD h 3") == "[]")
        #expect(run("HSCAN h 0") == "[0 []]")
        run.isRESP3 = true
        #expect(run("HGET h f") == "_")
        #expect(run("HGETALL h") == "{}")
        #expect(run("HRANDFIELD h 3 WITHVALUES") == "[]")
    }

    @Test("Every hash command refuses a key of another type")
    func wrongType() {
        let run = CommandRunner()
        run("SET s x")
        let lines = [
            "HGET s f", "HSET s f v", "HSETNX s f v", "HMSET s f v", "HMGET s f", "HGETALL s", "HKEYS s", "HVALS s",
            "HLEN s", "HSTRLEN s f", "HEXISTS s f", "HDEL s f", "HINCRBY s f 1", "HINCRBYFLOAT s f 1",
            "HRANDFIELD s", "HRANDFIELD s 1", "HSCAN s 0",
        ]
        for line in lines {
            #expect(run(line) == "-WRONGTYPE Operation against a key holding the wrong kind of value", "\(line)")
        }
        #expect(run("GET s") == "x")
        run("HSET h f v")
        #expect(run("GET h").hasPrefix("-WRONGTYPE"))
        #expect(run("TYPE h") == "+hash")
    }

    @Test("HSET and HMSET check that fields and values come in pairs; HSETNX keeps what is there")
    func setting() {
        let run = CommandRunner()
        #expect(run("HSET h a 1 b") == "-ERR wrong number of arguments for 'hset' command")
        #expect(run("HMSET h a 1 b") == "-ERR wrong number of arguments for 'hmset' command")
        #expect(run("HSET h a 1 b 2 a 3") == ":2")
        #expect(run("HMSET h c 4") == "+OK")
        #expect(run("HSETNX h a 9") == ":0")
        #expect(run("HSETNX h d 5") == ":1")
        #expect(run("HMGET h a b c d e") == "[3 2 4 5 nil]")
        run.isRESP3 = true
        #expect(run("HGETALL h") == "{a 3 b 2 c 4 d 5}")
    }

    @Test("HINCRBY adds, refuses what is no integer, and refuses to overflow")
    func incrementing() {
        let run = CommandRunner()
        #expect(run("HINCRBY h n 5") == ":5")
        #expect(run("HINCRBY h n -7") == ":-2")
        #expect(run("HINCRBY h n x") == "-ERR value is not an integer or out of range")
        run("HSET h t text m 9223372036854775807")
        #expect(run("HINCRBY h t 1") == "-ERR hash value is not an integer")
        #expect(run("HINCRBY h m 1") == "-ERR increment or decrement would overflow")
        #expect(run("HINCRBYFLOAT h n 2.5") == "0.5")
        #expect(run("HINCRBYFLOAT h n -0.5") == "0")
        #expect(run("HINCRBYFLOAT h t 1") == "-ERR hash value is not a float")
        #expect(run("HINCRBYFLOAT h n x") == "-ERR value is not a valid float")
        #expect(run("HINCRBYFLOAT h n inf") == "-ERR value is NaN or Infinity")
        #expect(run("HINCRBYFLOAT h e 5.0e3") == "5000")
    }

    @Test("HINCRBYFLOAT is propagated as the HSET of its result; the others as they came")
    func propagation() {
        let run = CommandRunner()
        run.startPropagation()
        run("HINCRBYFLOAT h f 1.25")
        run("HSET h g 1")
        run("HDEL h absent")
        run("HDEL h g f")
        #expect(run.propagated() == ["HSET h f 1.25", "HSET h g 1", "HDEL h g f"])
    }

    @Test("Deleting the last field deletes the key and says so")
    func lastField() {
        let run = CommandRunner()
        run.startEvents()
        run("HSET h a 1 b 2")
        run("HDEL h a b c")
        #expect(run("EXISTS h") == ":0")
        #expect(run.events() == ["hset h", "hdel h", "del h"])
    }

    @Test("HRANDFIELD without repetition gives different fields; with repetition as many as asked")
    func randomFields() {
        for size in [20, 400] {
            let run = CommandRunner()
            for number in 0..<size { run("HSET h f\(number) v\(number)") }
            for count in [1, 3, size - 1, size, size + 5] {
                let fields = sortedWords(run("HRANDFIELD h \(count)"))
                #expect(fields.count == min(count, size))
                #expect(Set(fields).count == fields.count)
            }
            #expect(sortedWords(run("HRANDFIELD h -50")).count == 50)
            let pairs = run("HRANDFIELD h 5 WITHVALUES").dropFirst().dropLast().split(separator: " ")
            #expect(pairs.count == 10)
            #expect(pairs[0].dropFirst() == pairs[1].dropFirst())
        }
        let run = CommandRunner()
        run("HSET h a 1")
        #expect(run("HRANDFIELD h") == "a")
        #expect(run("HRANDFIELD h 0") == "[]")
        #expect(run("HRANDFIELD h -2 withvalues") == "[a 1 a 1]")
        #expect(run("HRANDFIELD h 1 nothing") == "-ERR syntax error")
        #expect(run("HRANDFIELD h x") == "-ERR value is not an integer or out of range")
        #expect(run("HRANDFIELD h -9223372036854775807") == "-ERR value is out of range")
        run.isRESP3 = true
        #expect(run("HRANDFIELD h 5 WITHVALUES") == "[[a 1]]")
    }

    @Test("HSCAN gives a small hash at once and a large one in steps, with every option")
    func scanning() {
        let run = CommandRunner()
        run("HSET h a 1 b 2 ab 3")
        #expect(run("HSCAN h 0") == "[0 [a 1 b 2 ab 3]]")
        #expect(run("HSCAN h 77 MATCH a* NOVALUES") == "[0 [a ab]]")
        #expect(run("HSCAN h x") == "-ERR invalid cursor")
        #expect(run("HSCAN h 0 COUNT 0") == "-ERR syntax error")
        for number in 0..<300 { run("HSET big f\(number) v") }
        var cursor = "0"
        var seen: Set<Substring> = []
        repeat {
            let reply = run("HSCAN big \(cursor) COUNT 20 NOVALUES").dropFirst().dropLast()
            let parts = reply.split(separator: " ", maxSplits: 1)
            cursor = String(parts[0])
            seen.formUnion(parts[1].dropFirst().dropLast().split(separator: " "))
        } while cursor != "0"
        #expect(seen.count == 300)
    }

    @Test("Memory is given back when hashes of both encodings are deleted, flushed or overwritten")
    func memory() {
        let run = CommandRunner()
        let empty = run.engine.usedBytes
        for number in 0..<200 { run("HSET a f\(number) \(String(repeating: "x", count: number * 10))") }
        run("HSET b f v")
        run("SET a x")
        run("DEL a b")
        while run.engine.reclaim(budget: 1000) {}
        #expect(run.engine.usedBytes == empty)
        for number in 0..<200 { run("HSET a f\(number) \(String(repeating: "x", count: number * 10))") }
        run("HSET b f v")
        run("FLUSHALL")
        while run.engine.reclaim(budget: 1000) {}
        #expect(run.engine.usedBytes == empty)
    }
}
