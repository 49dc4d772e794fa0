import ByteStorage
import Testing

@testable import DatabaseEngine

@Suite("Freeing what is large in portions")
struct ReclaimerTests {
    /// Makes one large key of each kind: 5000 elements each, a string of 3 MiB.
    private func fill(_ run: CommandRunner) {
        for number in 0..<5000 {
            run("HSET hash f\(number) v\(number)")
            run("SADD set m\(number)")
            run("ZADD zset \(number) m\(number)")
            run("RPUSH list \(String(repeating: "e", count: 200))")
        }
        run("SETRANGE string \(3 << 20) x")
    }

    @Test(
        "A large value of each kind is gone at once and its memory bit by bit",
        arguments: ["hash", "set", "zset", "list", "string"])
    func kinds(key: String) {
        let run = CommandRunner()
        let empty = run.engine.usedBytes
        fill(run)
        for other in ["hash", "set", "zset", "list", "string"] where other != key { run("DEL \(other)") }
        while run.engine.reclaim(budget: 1000) {}
        let full = run.engine.usedBytes
        #expect(run("DEL \(key)") == ":1")
        #expect(run("EXISTS \(key)") == ":0")
        #expect(run.engine.objectsToReclaim == 1)
        #expect(run.engine.usedBytes > full - full / 4, "freed in place")
        var steps = 0
        while run.engine.reclaim(budget: 20) { steps += 1 }
        #expect(steps > 2, "freed in one step")
        #expect(run.engine.objectsToReclaim == 0 && run.engine.reclaimedObjects == 5)
        // Tables of the keyspace may have grown.
        #expect(run.engine.usedBytes - empty < 10_000)
        run.engine.slab.checkInvariants()
    }

    @Test("A flushed database is empty at once; what is written meanwhile stays")
    func flush() {
        let run = CommandRunner()
        fill(run)
        for number in 0..<10_000 { run("SET key\(number) value PX \(number + 1)") }
        run("FLUSHALL")
        #expect(run("DBSIZE") == ":0")
        #expect(run.engine.objectsToReclaim == 10_005)
        var number = 0
        while run.engine.reclaim(budget: 50) {
            run("SET new\(number) value PX 100000")
            number += 1
        }
        #expect(number > 100)
        #expect(run("DBSIZE") == ":\(number)")
        #expect(run.engine.objectsToReclaim == 0 && run.engine.reclaimedObjects == 10_005)
        run.engine.table(0).checkInvariants()
        run.engine.timers(0).checkInvariants()
        run.engine.slab.checkInvariants()
    }

    @Test("A table that is being resized is taken apart whole")
    func resizing() {
        let run = CommandRunner()
        var number = 0
        while number < 5000 || !run.engine.table(0).isRehashing {
            run("SET key\(number) value")
            number += 1
        }
        run("FLUSHALL")
        while run.engine.reclaim(budget: 10) {}
        #expect(run.engine.reclaimedObjects == number)
        #expect(run.engine.slab.state.pointee.allocatedBytes == 0)
    }

    @Test("At the memory limit what is deleted already is freed before another key has to go")
    func eviction() {
        let run = CommandRunner()
        for number in 0..<1000 { run("SET key\(number) value") }
        for number in 0..<5000 { run("SADD set m\(number)") }
        run.engine.state.pointee.settings.maxMemoryPolicy = .allKeysRandom
        run.engine.state.pointee.settings.maxMemoryBytes = run.engine.usedBytes - 100_000
        run("DEL set")
        #expect(run.engine.evict(overhead: 0, budget: 1000))
        #expect(run.engine.state.pointee.statistics.evictedKeys == 0)
        #expect(run("DBSIZE") == ":1000")
    }
}
