// Ranges of sorted sets as text: bounds of scores, members and ranks.
//
// - Spec: Redis command reference 7.2: ZRANGE, "Score ranges", "Lexicographical ranges".
import ByteStorage
import RESP

/// What ranks a range covers: `lower..<upper`, empty when upper is not above lower.
struct RankRange {
    var lower: Int
    var upper: Int

    var count: Int { max(0, upper - lower) }

    /// Ranks as ZRANGE counts them: negative from the end, `stop` included.
    init(start: Int64, stop: Int64, count: Int) {
        let size = Int64(count)
        let first = start < 0 ? max(0, start &+ size) : start
        let last = min(stop < 0 ? stop &+ size : stop, size - 1)
        guard first <= last, first < size else {
            lower = 0
            upper = 0
            return
        }
        lower = Int(first)
        upper = Int(last) + 1
    }

    init(lower: Int, upper: Int) {
        self.lower = lower
        self.upper = upper
    }

    /// Applies LIMIT: skips `offset` members and keeps `limit`, all when negative, counted from the end of the walk's
    /// start.
    mutating func limit(offset: Int64, limit: Int64, reversed: Bool) {
        guard offset >= 0, offset < Int64(count) else {
            upper = lower
            return
        }
        let kept = limit < 0 ? count - Int(offset) : Int(min(limit, Int64(count) - offset))
        if reversed {
            upper -= Int(offset)
            lower = upper - kept
        } else {
            lower += Int(offset)
            upper = lower + kept
        }
    }
}

/// A range of scores; either end may be excluded.
struct ScoreRange {
    var minimum: Double
    var maximum: Double
    var excludesMinimum: Bool
    var excludesMaximum: Bool

    /// nil when a bound is no number.
    init?(_ minimumText: ByteView, _ maximumText: ByteView) {
        guard let (minimum, excludesMinimum) = ScoreRange.parse(minimumText),
            let (maximum, excludesMaximum) = ScoreRange.parse(maximumText)
        else { return nil }
        self.minimum = minimum
        self.maximum = maximum
        self.excludesMinimum = excludesMinimum
        self.excludesMaximum = excludesMaximum
    }

    private static func parse(_ text: ByteView) -> (Double, Bool)? {
        guard text.count > 0, text[0] == UInt8(ascii: "(") else { return parseBound(text).map { ($0, false) } }
        return parseBound(text.slice(1, text.count)).map { ($0, true) }
    }

    func ranks(_ value: SortedSetValue) -> RankRange {
        RankRange(
            lower: value.scorePrefix { $0 < minimum || excludesMinimum && $0 == minimum },
            upper: value.scorePrefix { $0 < maximum || !excludesMaximum && $0 == maximum })
    }
}

/// A range of members in byte order, for sorted sets whose scores are all equal.
struct MemberRange {
    enum Bound {
        case lowest
        case highest
        case included(ByteView)
        case excluded(ByteView)

        init?(_ text: ByteView) {
            guard text.count > 0 else { return nil }
            switch text[0] {
            case UInt8(ascii: "-") where text.count == 1: self = .lowest
            case UInt8(ascii: "+") where text.count == 1: self = .highest
            case UInt8(ascii: "["): self = .included(text.slice(1, text.count))
            case UInt8(ascii: "("): self = .excluded(text.slice(1, text.count))
            default: return nil
            }
        }
    }

    var minimum: Bound
    var maximum: Bound

    /// nil when a bound is ill-formed.
    init?(_ minimumText: ByteView, _ maximumText: ByteView) {
        guard let minimum = Bound(minimumText), let maximum = Bound(maximumText) else { return nil }
        self.minimum = minimum
        self.maximum = maximum
    }

    func ranks(_ value: SortedSetValue) -> RankRange {
        let lower: Int
        switch minimum {
        case .lowest: lower = 0
        case .highest: lower = value.count
        case .included(let member): lower = value.memberPrefix { $0.compare(member) < 0 }
        case .excluded(let member): lower = value.memberPrefix { $0.compare(member) <= 0 }
        }
        let upper: Int
        switch maximum {
        case .lowest: upper = 0
        case .highest: upper = value.count
        case .included(let member): upper = value.memberPrefix { $0.compare(member) <= 0 }
        case .excluded(let member): upper = value.memberPrefix { $0.compare(member) < 0 }
        }
        return RankRange(lower: lower, upper: upper)
    }
}

/// How the ends of a range are given, and what they are.
enum SortedSetRange {
    case ranks(start: Int64, stop: Int64)
    case scores(ScoreRange)
    case members(MemberRange)

    enum Kind { case rank, score, member }

    /// Reads the ends; replies with the error and returns nil when one is wrong.
    init?(_ c: Invocation, _ kind: Kind, minimum: Int, maximum: Int) {
        switch kind {
        case .rank:
            guard let start = c.integer(minimum), let stop = c.integer(maximum) else { return nil }
            self = .ranks(start: start, stop: stop)
        case .score:
            guard let range = ScoreRange(c[minimum], c[maximum]) else {
                c.reply.error("ERR min or max is not a float")
                return nil
            }
            self = .scores(range)
        case .member:
            guard let range = MemberRange(c[minimum], c[maximum]) else {
                c.reply.error("ERR min or max not valid string range item")
                return nil
            }
            self = .members(range)
        }
    }

    /// The ranks, counted upwards. `reversed` matters for ranks only, which are then given from the highest down.
    func resolve(_ value: SortedSetValue, reversed: Bool = false) -> RankRange {
        switch self {
        case .scores(let range): return range.ranks(value)
        case .members(let range): return range.ranks(value)
        case .ranks(let start, let stop):
            let range = RankRange(start: start, stop: stop, count: value.count)
            guard reversed, range.count > 0 else { return range }
            return RankRange(lower: value.count - range.upper, upper: value.count - range.lower)
        }
    }
}
