// Fuzzes the request parser: no input may trap or read outside its bytes, and how the bytes are split must not matter.
//
// The first byte chooses the size of the pieces, the rest is what a client sends. Every command, and the error that ends
// the stream, must be the same for one piece and for many; and waiting for the bytes that `needed` asks for must not stall.
import ByteStorage
import RESP

/// What the parser made of a stream.
private struct Outcome {
    var commands: [[[UInt8]]] = []
    var error: RequestError?
}

// A line over its limit is refused only while its end is missing, so how it is split does matter: the limit lies above
// the longest input.
private let limits = RequestLimits(bulkBytes: 4096, arguments: 1024, inlineBytes: 1 << 16)

/// Parses as a server does: more bytes come in pieces, and the parser is asked again when `needed` are there.
private func parse(_ bytes: UnsafeRawBufferPointer, piece: Int, restricted: Bool) -> Outcome {
    var outcome = Outcome()
    guard let base = bytes.baseAddress else { return outcome }
    let parser = RequestParser(limits: limits, restricted: restricted)
    let arena = ArgumentArena(capacity: 16)
    defer { arena.destroy() }
    var start = 0
    var available = 0
    var wanted = 1
    while true {
        guard available - start >= wanted else {
            if available == bytes.count { return outcome }
            available = min(bytes.count, available + piece)
            continue
        }
        arena.reset()
        switch parser.parse(base, start, available, arena) {
        case .command(let next, let count):
            precondition(next > start && next <= available && count == arena.count, "a command ends where it cannot")
            var arguments: [[UInt8]] = []
            for index in 0..<count {
                let view = arena[index]
                arguments.append((0..<view.count).map { view[$0] })
            }
            outcome.commands.append(arguments)
            start = next
            wanted = 1
        case .nothing(let next):
            precondition(next > start && next <= available, "an empty request ends where it cannot")
            start = next
            wanted = 1
        case .incomplete(let needed):
            precondition(arena.count == 0, "an incomplete command left arguments behind")
            if available == bytes.count { return outcome }
            // One more byte must come at least, whatever the parser says.
            wanted = max(needed, available - start + 1)
        case .failed(let error):
            precondition(arena.count == 0, "a failed command left arguments behind")
            outcome.error = error
            return outcome
        }
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRequestParser(_ start: UnsafeRawPointer, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let choice = start.load(as: UInt8.self)
    let bytes = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
    let restricted = choice >= 128
    let whole = parse(bytes, piece: bytes.count, restricted: restricted)
    let split = parse(bytes, piece: 1 + Int(choice % 16), restricted: restricted)
    precondition(whole.commands == split.commands, "in pieces: \(split), in one piece: \(whole)")
    // A malformed end may still be waiting for the bytes that it asked for, but a refusal never depends on the pieces.
    precondition(split.error == nil || split.error == whole.error, "in pieces: \(split), in one piece: \(whole)")
    return 0
}
