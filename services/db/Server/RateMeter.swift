// Rates for INFO: averages over the last sixteen tenths of a second, as Redis has them.
import Reactor

struct RateMeter {
    private static let samples = 16
    private var rates = [Double](repeating: 0, count: samples)
    private var next = 0
    private var last: UInt64 = 0

    /// Takes the total so far; `milliseconds` since the last time.
    mutating func add(total: UInt64, milliseconds: Int64) {
        defer { last = total }
        // A total that went back was reset.
        guard milliseconds > 0, total >= last else { return }
        rates[next] = Double(total - last) * 1000 / Double(milliseconds)
        next = (next + 1) % RateMeter.samples
    }

    var perSecond: Double { rates.reduce(0, +) / Double(RateMeter.samples) }
}

/// The rates that INFO stats shows.
struct ServerRates {
    var commands = RateMeter()
    var input = RateMeter()
    var output = RateMeter()
    var replicationInput = RateMeter()
    var replicationOutput = RateMeter()
    var turns = RateMeter()
    private var lastTick: Int64 = 0

    /// Milliseconds since the last call; before the first one, those of a tick.
    mutating func elapsed(_ now: Int64) -> Int64 {
        defer { lastTick = now }
        return lastTick == 0 ? 100 : now - lastTick
    }
}

extension Server {
    /// Bytes from our primary and to our replicas since statistics were reset.
    var replicationTraffic: (input: UInt64, output: UInt64) {
        var input = statistics.replicationBytesReceived
        if let connection = primary?.connection { input += connection.state.pointee.bytesReceived }
        var output = statistics.replicationBytesSent
        for client in replicas { output += client.connection.state.pointee.bytesSent }
        return (input, output)
    }

    func updateRates() {
        let elapsed = rates.elapsed(reactor.monotonicNow)
        let traffic = replicationTraffic
        rates.commands.add(total: UInt64(statistics.commandsProcessed), milliseconds: elapsed)
        rates.input.add(total: reactor.traffic.bytesReceived &- traffic.input, milliseconds: elapsed)
        rates.output.add(total: reactor.traffic.bytesSent &- traffic.output, milliseconds: elapsed)
        rates.replicationInput.add(total: traffic.input, milliseconds: elapsed)
        rates.replicationOutput.add(total: traffic.output, milliseconds: elapsed)
        rates.turns.add(total: UInt64(reactor.turns), milliseconds: elapsed)
    }
}
