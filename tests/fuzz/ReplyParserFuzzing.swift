// Fuzzes the reply side: the scanner must find the same end however the bytes come, and the parser must agree with it.
import ByteStorage
import RESP

private let maximumBytes = 1 << 16

/// Lengths of the replies at the front, and the error that ends the stream, when bytes come in pieces.
private func scan(_ bytes: ByteView, piece: Int) -> (lengths: [Int], error: ReplyError?) {
    var lengths: [Int] = []
    var start = 0
    var available = 0
    var scanner = ReplyScanner(maximumBytes: maximumBytes)
    while true {
        switch scanner.scan(bytes.slice(start, available)) {
        case .complete(let length):
            precondition(length > 0 && start + length <= available, "a reply of \(length) bytes ends where it cannot")
            lengths.append(length)
            start += length
        case .incomplete:
            if available == bytes.count { return (lengths, nil) }
            available = min(bytes.count, available + piece)
        case .failed(let error):
            return (lengths, error)
        }
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzReplyParser(_ start: UnsafeRawPointer, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let choice = Int(start.load(as: UInt8.self))
    let bytes = ByteView(start + 1, count - 1)
    let whole = scan(bytes, piece: bytes.count)
    let split = scan(bytes, piece: 1 + choice % 16)
    precondition(whole.lengths == split.lengths, "split: \(split.lengths), in one piece: \(whole.lengths)")
    precondition((whole.error == nil) == (split.error == nil), "split: \(split), in one piece: \(whole)")
    var position = 0
    for length in whole.lengths {
        var parser = ReplyParser(maximumBytes: maximumBytes)
        switch parser.parse(bytes.slice(position, bytes.count)) {
        case .value(_, let parsed): precondition(parsed == length, "parsed \(parsed) of \(length) bytes")
        case .incomplete: preconditionFailure("a complete reply of \(length) bytes is incomplete for the parser")
        case .failed: return 0  // a number that is none, or too deep: the scanner does not look at that
        }
        position += length
    }
    return 0
}
