import ByteStorage
import DatabaseEngine
import RESP
import TestSupport
import Testing

@testable import DatabaseServer

struct IntrospectionTests {
    @Test("A latency event keeps 160 samples, one a second, the worst of each")
    func latencySamples() {
        var monitor = LatencyMonitor()
        for second in 0..<200 as Range<Int64> {
            monitor.add("command", seconds: second, milliseconds: Int(second))
            monitor.add("command", seconds: second, milliseconds: 1)
        }
        let samples = monitor.events["command"]?.samples ?? []
        #expect(samples.count == LatencyMonitor.keptSamples)
        #expect(samples.first == LatencyMonitor.Sample(seconds: 40, milliseconds: 40))
        #expect(samples.last == LatencyMonitor.Sample(seconds: 199, milliseconds: 199))
        monitor.add("command", seconds: 200, milliseconds: 7)
        #expect(monitor.events["command"]?.longest == 199)
        let wasThere = monitor.reset("command")
        let isThere = monitor.reset("command")
        #expect(wasThere && !isThere)
    }

    @Test("A latency graph has a column a sample, as high as its value, and its age beneath")
    func latencyGraph() {
        var event = LatencyMonitor.Event()
        event.add(LatencyMonitor.Sample(seconds: 0, milliseconds: 10))
        event.add(LatencyMonitor.Sample(seconds: 3590, milliseconds: 120))
        let lines = LatencyGraph(event, now: 3600).text(name: "x").split(
            separator: "\n", omittingEmptySubsequences: false)
        #expect(lines[0] == "x - high 120 ms, low 10 ms (all time high 120 ms)")
        #expect(lines[2...] == [" #", " #", " #", "_#", "11", "h0", " s", ""])
    }

    @Test("Percentiles of durations are exact to seven percent, and the counts of calls add up")
    func histogram() {
        var histogram = CommandTimings.Histogram()
        for nanoseconds in 1...100_000 as ClosedRange<UInt64> { histogram.add(nanoseconds) }
        for (percent, exact) in [(50.0, 50_000.0), (99, 99_000), (99.9, 99_900), (100, 100_000)] {
            let found = Double(histogram.percentile(percent))
            #expect(found >= exact && found <= exact * 1.07, "p\(percent) is \(found)")
        }
        let buckets = histogram.cumulativeMicroseconds
        #expect(buckets.last?.calls == 100_000)
        #expect(buckets.map(\.limit) == [1, 2, 4, 8, 16, 32, 64, 128])
        #expect(zip(buckets, buckets.dropFirst()).allSatisfy { $0.calls < $1.calls })
        histogram.add(.max)
        #expect(histogram.percentile(100) > 1 << 40)
        #expect(CommandTimings.Histogram().percentile(50) == 0)
    }

    @Test("A rate is the average of sixteen samples, and a total that goes back does not count")
    func rates() {
        var meter = RateMeter()
        for step in 1...16 as ClosedRange<UInt64> { meter.add(total: step * 100, milliseconds: 100) }
        #expect(meter.perSecond == 1000)
        meter.add(total: 5, milliseconds: 100)
        #expect(meter.perSecond == 1000)
        meter.add(total: 5, milliseconds: 0)
        #expect(meter.perSecond == 1000)
        for _ in 0..<16 { meter.add(total: 5, milliseconds: 100) }
        #expect(meter.perSecond == 0)
    }

    @Test("Errors are counted by command and by code, on every way that a command takes")
    func errorCounts() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        _ = harness.ask(
            client,
            "SET k v\r\nLPUSH k x\r\nGET\r\nNOTHING\r\nCONFIG NOTHING\r\nCONFIG GET\r\nMULTI\r\nINCR k\r\nEXEC\r\nLPOP k x\r\n"
        )
        let timings = harness.server.timings.entries
        func entry(_ id: CommandID) -> CommandTimings.Entry { timings[Int(id.rawValue)] }
        #expect(entry(.lpush).failed == 1 && entry(.lpush).rejected == 0)
        #expect(entry(.get).rejected == 1 && entry(.get).failed == 0)
        #expect(entry(.incr).failed == 1 && entry(.exec).failed == 0)
        #expect(entry(.lpop).failed == 1)
        #expect(harness.server.errors.counts == ["WRONGTYPE": 1, "ERR": 6])
        #expect(harness.server.errors.total == 7)
        let get = try #require(harness.server.commands.specs.flatMap(\.subcommands).first { $0.name == "config|get" })
        #expect(timings[get.slot].rejected == 1)
    }

    @Test("What a client's own command pushes to it follows the command's reply, also outside a transaction")
    func ownMessages() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        _ = harness.ask(client, "HELLO 3\r\nSUBSCRIBE c\r\n")
        let message = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"
        harness.expect(client, "PUBLISH c x\r\nPING\r\n", gives: ":1\r\n\(message)+PONG\r\n")
        harness.expect(
            client, "MULTI\r\nPUBLISH c x\r\nPING\r\nEXEC\r\n",
            gives: "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+PONG\r\n\(message)")
    }

    @Test("A replica's durable offset follows its log, and starts anew with another history")
    func durableReplication() {
        var durable = DurableReplication()
        durable.note(replicationOffset: 100, streamOffset: 10)
        durable.note(replicationOffset: 200, streamOffset: 20)
        durable.synchronized(9)
        #expect(durable.reached == 0)
        durable.synchronized(19)
        #expect(durable.reached == 100)
        for offset in 0..<5000 as Range<Int64> {
            durable.note(replicationOffset: 201 + offset, streamOffset: UInt64(21 + offset))
        }
        durable.synchronized(.max)
        #expect(durable.reached == 5200)
        durable.note(replicationOffset: 50, streamOffset: 6000)
        #expect(durable.reached == 0)
        durable.synchronized(6000)
        #expect(durable.reached == 50)
    }

    @Test("Every row of the command tables has its details, and every subcommand its command")
    func tables() {
        let table = CommandTable.shared
        #expect(table.allSpecs.count == table.slotCount)
        for (slot, spec) in table.allSpecs.enumerated() {
            #expect(spec.slot == slot)
            #expect(!spec.categories.isEmpty, "\(spec.name)")
            if spec.name.contains("|") {
                #expect(table.spec(spec.id).subcommands.contains { $0.name == spec.name })
            }
            // The first key of the short description is the one that the key specs begin with.
            if spec.firstKey > 0 { #expect(spec.keySpecs.first?.begin == spec.firstKey, "\(spec.name)") }
        }
        for name in ["GET", "get", "HelP", ""] {
            Array(name.utf8).withView { view in
                #expect((table.subcommand(.config, view) != nil) == ["GET", "get", "HelP"].contains(name))
            }
        }
    }
}
