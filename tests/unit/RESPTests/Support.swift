import ByteStorage
import Testing

@testable import RESP

/// What a whole input means, as a server sees it: its commands up to the end or the first error.
struct Parsed: Equatable {
    var commands: [[[UInt8]]] = []
    var error: RequestError?
    /// Bytes that belong to no whole command.
    var rest = 0
}

/// Feeds `input` to a parser the way the server does, cut at the positions of `cuts`: what is incomplete is asked for again
/// only when as many bytes are there as the parser said it needs.
func parse(_ input: [UInt8], cuts: [Int] = [], _ parser: RequestParser = RequestParser()) -> Parsed {
    var result = Parsed()
    let arena = ArgumentArena(capacity: 2)
    defer { arena.destroy() }
    var start = 0
    var needed = 0
    for end in cuts + [input.count] {
        // A copy with nothing readable behind it but the slack that a receive buffer has.
        let bytes = Array(input[0..<end]) + [UInt8](repeating: 0x2a, count: 16)
        let isDone: Bool = bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return true }
            while start < end {
                if end - start < needed { return false }
                needed = 0
                let before = arena.count
                switch parser.parse(base, start, end, arena) {
                case .command(let next, let count):
                    result.commands.append((arena.count - count..<arena.count).map { arena[$0].array })
                    #expect(arena.count == before + count)
                    start = next
                    arena.reset()
                case .nothing(let next):
                    #expect(arena.count == before)
                    start = next
                case .incomplete(let wanted):
                    #expect(arena.count == before, "an incomplete command leaves no arguments behind")
                    needed = wanted
                    return false
                case .failed(let error):
                    #expect(arena.count == before, "a refused command leaves no arguments behind")
                    result.error = error
                    return true
                }
            }
            return false
        }
        if isDone { break }
    }
    result.rest = result.error == nil ? input.count - start : 0
    return result
}

func parse(_ text: String, _ parser: RequestParser = RequestParser()) -> Parsed { parse(Array(text.utf8), parser) }

func words(_ commands: Parsed) -> [[String]] {
    commands.commands.map { $0.map { String(decoding: $0, as: UTF8.self) } }
}

func request(_ words: [String]) -> String {
    "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
}
