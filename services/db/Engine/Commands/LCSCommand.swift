// LCS: the longest common subsequence of two strings.
//
// - Spec: Redis command reference 7.2: LCS (LEN, IDX, MINMATCHLEN, WITHMATCHLEN).
import ByteStorage
import RESP

extension Engine {
    /// Cells of the table of partial lengths: 4 bytes each, so this is 1 GiB at most, as much as Redis allows by default.
    private static let largestTable = 1 << 28

    func lcs(_ c: Invocation) {
        var texts: [[UInt8]] = []
        for position in 1...2 {
            guard let entry = findToRead(c.database, c[position], hash(c[position])) else {
                texts.append([])
                continue
            }
            guard entry.kind.isString else {
                return c.reply.error("ERR The specified keys must contain string values")
            }
            texts.append(entry.string.array)
        }
        var wantsLength = false
        var wantsMatches = false
        var withLengths = false
        var shortest: Int64 = 0
        var index = 3
        while index < c.count {
            if c.isWord(index, "len") {
                wantsLength = true
            } else if c.isWord(index, "idx") {
                wantsMatches = true
            } else if c.isWord(index, "withmatchlen") {
                withLengths = true
            } else if c.isWord(index, "minmatchlen"), index + 1 < c.count {
                guard let number = c.integer(index + 1) else { return }
                shortest = max(0, number)
                index += 1
            } else {
                return c.reply.error(ErrorText.syntax)
            }
            index += 1
        }
        if wantsLength && wantsMatches {
            return c.reply.error("ERR If you want both the length and indexes, please just use IDX.")
        }
        let cells = (texts[0].count + 1).multipliedReportingOverflow(by: texts[1].count + 1)
        guard !cells.overflow, cells.partialValue <= Engine.largestTable else {
            return c.reply.error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
        }
        let table = LCSTable(texts[0], texts[1])
        if wantsLength { return c.reply.integer(table.length) }
        if !wantsMatches { return c.reply.bulk(table.subsequence()) }
        replyMatches(c, table, shortest: shortest, withLengths: withLengths)
    }

    private func replyMatches(_ c: Invocation, _ table: LCSTable, shortest: Int64, withLengths: Bool) {
        let matches = table.matches().filter { $0.length >= max(1, shortest) }
        c.reply.map(2)
        c.reply.bulk("matches")
        c.reply.array(matches.count)
        for match in matches {
            c.reply.array(withLengths ? 3 : 2)
            for start in [match.first, match.second] {
                c.reply.array(2)
                c.reply.integer(start)
                c.reply.integer(start + match.length - 1)
            }
            if withLengths { c.reply.integer(match.length) }
        }
        c.reply.bulk("len")
        c.reply.integer(table.length)
    }
}

/// Lengths of the longest common subsequences of all prefixes.
private struct LCSTable {
    struct Match {
        var first: Int
        var second: Int
        var length: Int
    }

    private let first: [UInt8]
    private let second: [UInt8]
    private let width: Int
    private var lengths: [UInt32]

    init(_ first: [UInt8], _ second: [UInt8]) {
        self.first = first
        self.second = second
        width = second.count + 1
        lengths = [UInt32](repeating: 0, count: (first.count + 1) * width)
        for row in 0..<first.count {
            for column in 0..<second.count {
                lengths[(row + 1) * width + column + 1] =
                    first[row] == second[column]
                    ? lengths[row * width + column] + 1
                    : max(lengths[row * width + column + 1], lengths[(row + 1) * width + column])
            }
        }
    }

    var length: Int { Int(lengths[lengths.count - 1]) }

    /// Walks back from the ends of both texts, as Redis does, so that ties are broken alike.
    private func walk(_ body: (_ row: Int, _ column: Int) -> Void) {
        var row = first.count
        var column = second.count
        while row > 0, column > 0 {
            if first[row - 1] == second[column - 1] {
                row -= 1
                column -= 1
                body(row, column)
            } else if lengths[(row - 1) * width + column] > lengths[row * width + column - 1] {
                row -= 1
            } else {
                column -= 1
            }
        }
    }

    func subsequence() -> [UInt8] {
        var result: [UInt8] = []
        walk { row, _ in result.append(first[row]) }
        return result.reversed()
    }

    /// Runs that match in both texts, the last one first.
    func matches() -> [Match] {
        var result: [Match] = []
        walk { row, column in
            if let last = result.last, last.first == row + 1, last.second == column + 1 {
                result[result.count - 1] = Match(first: row, second: column, length: last.length + 1)
            } else {
                result.append(Match(first: row, second: column, length: 1))
            }
        }
        return result
    }
}
