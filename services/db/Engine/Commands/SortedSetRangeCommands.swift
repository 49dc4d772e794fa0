// Commands on ranges of one sorted set: reading, counting, storing, removing.
//
// - Spec: Redis command reference 7.2: ZRANGE, ZRANGESTORE, ZREVRANGE, Z(REV)RANGEBYSCORE, Z(REV)RANGEBYLEX, ZCOUNT,
//   ZLEXCOUNT, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.
import ByteStorage
import RESP

/// The words of a range command after its key.
private struct RangeQuery {
    var kind = SortedSetRange.Kind.rank
    var isReversed = false
    var withScores = false
    var offset: Int64 = 0
    var limit: Int64 = -1

    /// Reads the options from `index` on; replies with the error and returns nil when one is wrong.
    ///
    /// - Parameters:
    ///   - fixed: kind and direction, for the commands whose name says them.
    init?(_ c: Invocation, from index: Int, fixed: (SortedSetRange.Kind, reversed: Bool)?, stores: Bool) {
        if let fixed { (kind, isReversed) = (fixed.0, fixed.reversed) }
        var index = index
        while index < c.count {
            let word = c[index]
            if !stores, word.equalsIgnoringCase("withscores") {
                withScores = true
            } else if word.equalsIgnoringCase("limit"), index + 2 < c.count {
                guard let offset = c.integer(index + 1), let limit = c.integer(index + 2) else { return nil }
                (self.offset, self.limit) = (offset, limit)
                index += 2
            } else if fixed == nil, word.equalsIgnoringCase("rev") {
                isReversed = true
            } else if fixed == nil, word.equalsIgnoringCase("bylex") {
                kind = .member
            } else if fixed == nil, word.equalsIgnoringCase("byscore") {
                kind = .score
            } else {
                c.reply.error(ErrorText.syntax)
                return nil
            }
            index += 1
        }
        if limit != -1 && kind == .rank {
            c.reply.error(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
            return nil
        }
        if withScores && kind == .member {
            c.reply.error("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
            return nil
        }
    }

    /// Reads the ends, which stand in walking order.
    func range(_ c: Invocation, _ first: Int) -> SortedSetRange? {
        let isSwapped = isReversed && kind != .rank
        return SortedSetRange(c, kind, minimum: isSwapped ? first + 1 : first, maximum: isSwapped ? first : first + 1)
    }

    func ranks(_ range: SortedSetRange, _ value: SortedSetValue) -> RankRange {
        var ranks = range.resolve(value, reversed: isReversed)
        if kind != .rank { ranks.limit(offset: offset, limit: limit, reversed: isReversed) }
        return ranks
    }
}

extension Engine {
    func zrange(_ c: Invocation, fixed: (SortedSetRange.Kind, reversed: Bool)? = nil) {
        guard let query = RangeQuery(c, from: 4, fixed: fixed, stores: false), let range = query.range(c, 2),
            let value = readSortedSet(c, else: { c.reply.array(0) })
        else { return }
        let ranks = query.ranks(range, value)
        let withScores = query.withScores
        replyScoredHeader(c, ranks.count, withScores)
        value.forEach(
            from: query.isReversed ? ranks.upper - 1 : ranks.lower, count: ranks.count, reversed: query.isReversed
        ) { replyScored(c, $0, $1, withScores) }
    }

    func zrangestore(_ c: Invocation) {
        guard let query = RangeQuery(c, from: 5, fixed: nil, stores: true), let range = query.range(c, 3) else {
            return
        }
        var result = SortedSetValue.make(self)
        if let entry = findToRead(c.database, c[2], hash(c[2])) {
            guard entry.kind == .sortedSet else {
                destroyCollection(.sortedSet, result.word)
                return c.wrongType()
            }
            let value = SortedSetValue(word: entry.word)
            let ranks = query.ranks(range, value)
            value.forEach(from: ranks.lower, count: ranks.count) { result.insert(self, $0, $1) }
        }
        storeResult(c, c[1], .sortedSet, result.word, count: result.count, .sortedSet, "zrangestore")
    }

    /// ZCOUNT and ZLEXCOUNT.
    func zcount(_ c: Invocation, _ kind: SortedSetRange.Kind) {
        guard let range = SortedSetRange(c, kind, minimum: 2, maximum: 3),
            let value = readSortedSet(c, else: { c.reply.integer(0) })
        else { return }
        c.reply.integer(range.resolve(value).count)
    }

    func zremrange(_ c: Invocation, _ kind: SortedSetRange.Kind, _ event: StaticString) {
        guard let range = SortedSetRange(c, kind, minimum: 2, maximum: 3) else { return }
        switch findCollection(c, c.key, c.hash, .sortedSet) {
        case .wrongType: return
        case .absent: return c.reply.integer(0)
        case .found(let entry):
            var value = SortedSetValue(word: entry.word)
            let ranks = range.resolve(value)
            value.removeRange(self, from: ranks.lower, count: ranks.count)
            entry.word = value.word
            if ranks.count > 0 { removedMembers(c, event, ranks.count, value) }
            c.reply.integer(ranks.count)
        }
    }
}
