// Union, intersection and difference of sorted sets and sets, replied or stored.
//
// - Spec: Redis command reference 7.2: ZUNION, ZINTER, ZDIFF and their STORE forms (WEIGHTS, AGGREGATE, WITHSCORES),
//   ZINTERCARD. Plain sets take part with score 1.
import ByteStorage
import RESP

/// One input of the computation.
private struct ScoredSource {
    enum Members {
        case none
        case set(SetValue)
        case sortedSet(SortedSetValue)
    }

    var members: Members
    var weight = 1.0

    var count: Int {
        switch members {
        case .none: 0
        case .set(let value): value.count
        case .sortedSet(let value): value.count
        }
    }

    /// The weighted score, where infinity times 0 counts as 0.
    private func weighted(_ score: Double) -> Double {
        let product = score * weight
        return product.isNaN ? 0 : product
    }

    func score(_ engine: Engine, _ member: ByteView) -> Double? {
        switch members {
        case .none: nil
        case .set(let value): value.contains(engine, member) ? weighted(1) : nil
        case .sortedSet(let value): value.score(engine, member).map(weighted)
        }
    }

    func forEach(_ body: (ByteView, Double) -> Void) {
        switch members {
        case .none: break
        case .set(let value): value.forEach { body($0, weighted(1)) }
        case .sortedSet(let value): value.forEach { body($0, weighted($1)) }
        }
    }

    /// Like `forEach`, ending when `body` returns false.
    func forEachWhile(_ body: (ByteView) -> Bool) {
        switch members {
        case .none: break
        case .set(let value): value.forEachWhile(body)
        case .sortedSet(let value):
            // In portions, so that an early end is early.
            var rank = 0
            var goesOn = true
            while goesOn, rank < value.count {
                let portion = min(64, value.count - rank)
                value.forEach(from: rank, count: portion) { member, _ in goesOn = goesOn && body(member) }
                rank += portion
            }
        }
    }
}

private enum ScoreAggregate {
    case sum, minimum, maximum

    func callAsFunction(_ left: Double, _ right: Double) -> Double {
        switch self {
        case .sum:
            let sum = left + right
            // Infinities of opposite signs.
            return sum.isNaN ? 0 : sum
        case .minimum: return min(left, right)
        case .maximum: return max(left, right)
        }
    }
}

enum ScoredOperation { case union, intersection, difference }

/// The words of the command.
private struct AlgebraQuery {
    var sources: [ScoredSource] = []
    var aggregate = ScoreAggregate.sum
    var withScores = false

    /// ZINTERCARD: its LIMIT.
    var limit = Int.max

    enum Options {
        case forReply
        case forStoring
        case forCounting
    }

    /// Reads keys and options; replies with the error and returns nil when one is wrong.
    init?(
        _ engine: Engine, _ c: Invocation, _ operation: ScoredOperation, countIndex: Int, name: String,
        _ options: Options
    ) {
        guard let keyCount = c.integer(countIndex) else { return nil }
        guard keyCount >= 1 else {
            c.reply.error("ERR at least 1 input key is needed for '\(name)' command")
            return nil
        }
        guard keyCount <= Int64(c.count - countIndex - 1) else {
            c.reply.error(ErrorText.syntax)
            return nil
        }
        let firstKey = countIndex + 1
        let keys = firstKey..<(firstKey + Int(keyCount))
        guard let found = engine.scoredSources(c, keys) else { return nil }
        sources = found
        guard readOptions(c, keys.upperBound, operation, options) else { return nil }
    }

    private mutating func readOptions(
        _ c: Invocation, _ first: Int, _ operation: ScoredOperation, _ options: Options
    ) -> Bool {
        let isWeighted = operation != .difference && options != .forCounting
        var index = first
        while index < c.count {
            if isWeighted, c.isWord(index, "weights"), c.count - index > sources.count {
                for number in 0..<sources.count {
                    guard let weight = parseDouble(c[index + 1 + number]) else {
                        c.reply.error("ERR weight value is not a float")
                        return false
                    }
                    sources[number].weight = weight
                }
                index += sources.count + 1
            } else if isWeighted, c.isWord(index, "aggregate"), index + 1 < c.count {
                if c.isWord(index + 1, "sum") {
                    aggregate = .sum
                } else if c.isWord(index + 1, "min") {
                    aggregate = .minimum
                } else if c.isWord(index + 1, "max") {
                    aggregate = .maximum
                } else {
                    c.reply.error(ErrorText.syntax)
                    return false
                }
                index += 2
            } else if options == .forReply, c.isWord(index, "withscores") {
                withScores = true
                index += 1
            } else if options == .forCounting, c.isWord(index, "limit"), index + 1 < c.count {
                guard let value = parseInteger(c[index + 1]), value >= 0 else {
                    c.reply.error("ERR LIMIT can't be negative")
                    return false
                }
                limit = value == 0 ? .max : Int(value)
                index += 2
            } else {
                c.reply.error(ErrorText.syntax)
                return false
            }
        }
        return true
    }
}

extension Engine {
    fileprivate func scoredSources(_ c: Invocation, _ keys: Range<Int>) -> [ScoredSource]? {
        var sources: [ScoredSource] = []
        sources.reserveCapacity(keys.count)
        for index in keys {
            guard let entry = findToRead(c.database, c[index], hash(c[index])) else {
                sources.append(ScoredSource(members: .none))
                continue
            }
            switch entry.kind {
            case .set: sources.append(ScoredSource(members: .set(SetValue(word: entry.word))))
            case .sortedSet: sources.append(ScoredSource(members: .sortedSet(SortedSetValue(word: entry.word))))
            default:
                c.wrongType()
                return nil
            }
        }
        return sources
    }

    func zcombine(_ c: Invocation, _ operation: ScoredOperation, _ name: String) {
        guard let query = AlgebraQuery(self, c, operation, countIndex: 1, name: name, .forReply) else { return }
        let result = combine(operation, query)
        replyScoredHeader(c, result.count, query.withScores)
        result.forEach { replyScored(c, $0, $1, query.withScores) }
        destroyCollection(.sortedSet, result.word)
    }

    func zcombineAndStore(_ c: Invocation, _ operation: ScoredOperation, _ name: StaticString) {
        guard let query = AlgebraQuery(self, c, operation, countIndex: 2, name: "\(name)", .forStoring) else { return }
        let result = combine(operation, query)
        storeResult(c, c[1], .sortedSet, result.word, count: result.count, .sortedSet, name)
    }

    private func combine(_ operation: ScoredOperation, _ query: AlgebraQuery) -> SortedSetValue {
        switch operation {
        case .union: unite(query.sources, query.aggregate)
        case .intersection: intersect(query.sources, query.aggregate)
        case .difference: subtract(query.sources)
        }
    }

    /// Gathers scores in a table first and puts them in order once: a member of many sources moves only once.
    private func unite(_ sources: [ScoredSource], _ aggregate: ScoreAggregate) -> SortedSetValue {
        let scores = Table(hash: state.pointee.hash, slab: slab)
        for source in sources.sorted(by: { $0.count < $1.count }) {
            source.forEach { member, score in
                let hash = hash(member)
                if let slot = scores.find(member, hash) {
                    let entry = Table.entry(slot)
                    let total = aggregate(SortedSetValue.score(entry), score)
                    entry.valueBase.storeBytes(of: total, as: Double.self)
                } else {
                    let entry = Entry.make(slab, key: member, kind: .inlineString, valueBytes: 8, expires: false)
                    entry.valueBase.storeBytes(of: score, as: Double.self)
                    scores.insert(entry, hash)
                }
            }
        }
        var result = SortedSetValue.make(self)
        scores.forEach { result.insert(self, $0.key, SortedSetValue.score($0)) }
        scores.destroyWithEntries()
        return result
    }

    private func intersect(_ sources: [ScoredSource], _ aggregate: ScoreAggregate) -> SortedSetValue {
        var result = SortedSetValue.make(self)
        let sorted = sources.sorted { $0.count < $1.count }
        sorted[0].forEach { member, first in
            var total = first
            for other in sorted[1...] {
                guard let score = other.score(self, member) else { return }
                total = aggregate(total, score)
            }
            result.insert(self, member, total)
        }
        return result
    }

    private func subtract(_ sources: [ScoredSource]) -> SortedSetValue {
        var result = SortedSetValue.make(self)
        let others = sources[1...].sorted { $0.count > $1.count }
        sources[0].forEach { member, score in
            if !others.contains(where: { $0.score(self, member) != nil }) { result.insert(self, member, score) }
        }
        return result
    }

    func zintercard(_ c: Invocation) {
        guard let query = AlgebraQuery(self, c, .intersection, countIndex: 1, name: "zintercard", .forCounting) else {
            return
        }
        let sorted = query.sources.sorted { $0.count < $1.count }
        var found = 0
        sorted[0].forEachWhile { member in
            if sorted[1...].allSatisfy({ $0.score(self, member) != nil }) { found += 1 }
            return found < query.limit
        }
        c.reply.integer(found)
    }
}
