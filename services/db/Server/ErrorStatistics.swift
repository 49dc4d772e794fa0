// Error replies by their code, for INFO errorstats.
import ByteStorage
import DatabaseEngine

struct ErrorStatistics {
    /// Codes that are told apart; further ones are only part of the total. Codes come from clients' scripts in Redis, here
    /// from our own texts, so there are few.
    private static let mostCodes = 128

    private(set) var total = 0
    private(set) var counts: [String: Int] = [:]

    mutating func add(_ code: String) {
        total += 1
        guard counts[code] != nil || counts.count < ErrorStatistics.mostCodes else { return }
        counts[code, default: 0] += 1
    }
}

extension Server {
    /// Counts the error reply that a command has left in `output`, if it did. Call it before anything is sent from there.
    @inline(__always) func countError(_ slot: UInt16, _ output: OutputBuffer, isRejection: Bool = false) {
        if output.state.pointee.errorMark != 0 { noteError(Int(slot), output, isRejection: isRejection) }
    }

    @inline(never) private func noteError(_ slot: Int, _ output: OutputBuffer, isRejection: Bool) {
        timings.addFailure(slot: slot, isRejection: isRejection)
        takeError(output)
    }

    /// Counts an error reply that belongs to no command.
    func takeError(_ output: OutputBuffer) {
        let mark = output.state.pointee.errorMark
        output.state.pointee.errorMark = 0
        guard mark > 0, mark < output.count else { return }
        let text = output.view.slice(mark, min(output.count, mark + 64))
        var length = 0
        while length < text.count, text[length] > 32 { length += 1 }
        errors.add(text.slice(0, length).string)
    }
}
