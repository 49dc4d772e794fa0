import ByteStorage
import Testing

@testable import RESP

@Suite("Parsing that goes on where it ended") struct RequestProgressTests {
    /// Gives the parser ever longer beginnings of `bytes`, and returns its last word with the number of attempts.
    private func resume(_ bytes: [UInt8], cuts: [Int]) -> (status: RequestStatus, words: [String], attempts: Int) {
        let arena = ArgumentArena(capacity: 16)
        defer { arena.destroy() }
        var progress = RequestProgress()
        var attempts = 0
        var needed = 1
        var status = RequestStatus.incomplete(needed: 1)
        for end in cuts + [bytes.count] where end >= needed {
            // Another buffer each time: nothing may be kept by address.
            let copy = bytes + [UInt8](repeating: 0, count: 16)
            let words = copy.withUnsafeBytes { buffer -> [String]? in
                guard let base = buffer.baseAddress else { return nil }
                attempts += 1
                status = progress.parse(RequestParser(), base, 0, end, arena)
                guard case .command(_, let count) = status else { return nil }
                return (arena.count - count..<arena.count).map { arena[$0].string }
            }
            if let words { return (status, words, attempts) }
            guard case .incomplete(let more) = status else { return (status, [], attempts) }
            #expect(more > end && more <= bytes.count, "what is needed must come")
            needed = more
        }
        return (status, [], attempts)
    }

    @Test("A command means the same whether it is parsed at once or resumed at any byte") func everySplit() {
        for words in [["PING"], ["SET", "key", "a\r\nb"], ["MSET", "", "", "k", String(repeating: "v", count: 30)]] {
            let bytes = Array(request(words).utf8)
            let whole = RequestStatus.command(next: bytes.count, argumentCount: words.count)
            for first in 1..<bytes.count {
                for second in first..<bytes.count {
                    let result = resume(bytes, cuts: [first, second])
                    #expect(result.status == whole && result.words == words, "\(words) cut at \(first) and \(second)")
                }
            }
            #expect(resume(bytes, cuts: Array(1..<bytes.count)).words == words)
        }
    }

    @Test("Damage is reported as by the ordinary parser") func damage() {
        for (text, error) in [
            ("*2\r\n$1\r\nA\r\nB\r\n", RequestError.expectedDollar(got: 66)),
            ("*1\r\n$-1\r\n", .invalidBulkLength), ("*1\r\n$536870913\r\n", .invalidBulkLength),
            ("*2147483648\r\n", .invalidMultibulkLength),
        ] {
            let bytes = Array(text.utf8)
            for cuts in [[], Array(1..<bytes.count)] as [[Int]] {
                #expect(resume(bytes, cuts: cuts).status == .failed(error), "\(text.debugDescription)")
            }
        }
    }

    @Test("A command may have as many arguments as Redis takes: more than a million") func manyArguments() {
        let count = 1_050_000
        let bytes = Array("*\(count)\r\n".utf8) + Array(String(repeating: "$1\r\na\r\n", count: count).utf8)
        let arena = ArgumentArena()
        defer { arena.destroy() }
        let status = bytes.withUnsafeBytes { buffer -> RequestStatus in
            buffer.baseAddress.map { RequestParser().parse($0, 0, buffer.count, arena) } ?? .nothing(next: 0)
        }
        #expect(status == .command(next: bytes.count, argumentCount: count))
        arena.reset()
        #expect(arena.state.pointee.capacity <= ArgumentArena.keptCapacity)
    }

    @Test("Two hundred thousand arguments in forty thousand pieces are read once, not once a piece") func linear() {
        let count = 200_000
        let bytes =
            Array("*\(count)\r\n".utf8) + Array(String(repeating: "$3\r\nabc\r\n", count: count).utf8)
        let arena = ArgumentArena()
        defer { arena.destroy() }
        var progress = RequestProgress()
        var attempts = 0
        let clock = ContinuousClock()
        let took = clock.measure {
            bytes.withUnsafeBytes { buffer in
                guard let base = buffer.baseAddress else { return }
                for end in stride(from: 45, through: buffer.count, by: 45) {
                    attempts += 1
                    _ = progress.parse(RequestParser(), base, 0, end, arena)
                }
                #expect(
                    progress.parse(RequestParser(), base, 0, buffer.count, arena)
                        == .command(next: buffer.count, argumentCount: count))
            }
        }
        #expect(attempts > 35_000)
        // From the beginning each time these would be four thousand million arguments: many minutes.
        #expect(took < .seconds(20))
    }
}
