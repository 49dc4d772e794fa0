// Commands on the members of one sorted set.
//
// - Spec: Redis command reference 7.2, group "sorted-set".
import ByteStorage
import RESP

extension Engine {
    // MARK: Adding

    func zadd(_ c: Invocation) {
        var options = AddOptions()
        var index = 2
        while index < c.count, options.take(c[index]) { index += 1 }
        let words = c.count - index
        guard words > 0, words % 2 == 0 else { return c.reply.error(ErrorText.syntax) }
        if options.onlyNew && options.onlyPresent {
            return c.reply.error("ERR XX and NX options at the same time are not compatible")
        }
        if options.onlyGreater && options.onlyLess || options.onlyNew && (options.onlyGreater || options.onlyLess) {
            return c.reply.error("ERR GT, LT, and/or NX options at the same time are not compatible")
        }
        if options.increments && words > 2 {
            return c.reply.error("ERR INCR option supports a single increment-element pair")
        }
        addScores(c, from: index, options)
    }

    func zincrby(_ c: Invocation) { addScores(c, from: 2, AddOptions(increments: true)) }

    private func addScores(_ c: Invocation, from first: Int, _ options: AddOptions) {
        for index in stride(from: first, to: c.count, by: 2) where parseDouble(c[index]) == nil {
            return c.reply.error(ErrorText.notFloat)
        }
        let entry: Entry
        switch findCollection(c, c.key, c.hash, .sortedSet) {
        case .wrongType: return
        case .found(let found): entry = found
        case .absent:
            if options.onlyPresent {
                if options.increments { c.reply.null() } else { c.reply.integer(0) }
                return
            }
            entry = insertCollection(c.database, c.key, c.hash, .sortedSet, SortedSetValue.make(self).word)
        }
        var value = SortedSetValue(word: entry.word)
        var outcome = AddOutcome()
        for index in stride(from: first, to: c.count, by: 2) {
            let ok = addScore(&value, c[index + 1], parseDouble(c[index]) ?? 0, options, &outcome)
            // Only INCR can fail, and then nothing has changed.
            guard ok else { return c.reply.error("ERR resulting score is not a number (NaN)") }
        }
        entry.word = value.word
        if outcome.added + outcome.updated > 0 {
            changed(c.database, c.key, outcome.added + outcome.updated)
            notify(.sortedSet, options.increments ? "zincr" : "zadd", c.database, c.key)
            if outcome.added > 0 { signalReady(c.database, c.key) }
        }
        if options.increments {
            if let score = outcome.lastScore { c.reply.score(score) } else { c.reply.null() }
        } else {
            c.reply.integer(outcome.added + (options.countsChanges ? outcome.updated : 0))
        }
    }

    /// - Returns: false when the sum is not a number.
    private func addScore(
        _ value: inout SortedSetValue, _ member: ByteView, _ given: Double, _ options: AddOptions,
        _ outcome: inout AddOutcome
    ) -> Bool {
        guard let current = value.score(self, member) else {
            if options.onlyPresent { return true }
            value.insert(self, member, given)
            outcome.added += 1
            outcome.lastScore = given
            return true
        }
        if options.onlyNew { return true }
        let score = options.increments ? current + given : given
        if score.isNaN { return false }
        if options.onlyLess && score >= current || options.onlyGreater && score <= current { return true }
        if score != current {
            value.update(self, member, from: current, to: score)
            outcome.updated += 1
        }
        outcome.lastScore = score
        return true
    }

    func zrem(_ c: Invocation) {
        switch findCollection(c, c.key, c.hash, .sortedSet) {
        case .wrongType: return
        case .absent: return c.reply.integer(0)
        case .found(let entry):
            var value = SortedSetValue(word: entry.word)
            var removed = 0
            for index in 2..<c.count where value.remove(self, c[index]) { removed += 1 }
            entry.word = value.word
            if removed > 0 { removedMembers(c, "zrem", removed, value) }
            c.reply.integer(removed)
        }
    }

    /// Records that `number` members went, and deletes the key when none is left.
    func removedMembers(_ c: Invocation, _ event: StaticString, _ number: Int, _ value: SortedSetValue) {
        changed(c.database, c.key, number)
        notify(.sortedSet, event, c.database, c.key)
        if value.count == 0 { deleteEmptied(c.database, c.key) }
    }

    // MARK: Reading

    func readSortedSet(_ c: Invocation, else absent: () -> Void) -> SortedSetValue? {
        readCollection(c, .sortedSet, else: absent).map { SortedSetValue(word: $0.word) }
    }

    func zcard(_ c: Invocation) {
        guard let value = readSortedSet(c, else: { c.reply.integer(0) }) else { return }
        c.reply.integer(value.count)
    }

    func zscore(_ c: Invocation) {
        guard let value = readSortedSet(c, else: { c.reply.null() }) else { return }
        if let score = value.score(self, c[2]) { c.reply.score(score) } else { c.reply.null() }
    }

    func zmscore(_ c: Invocation) {
        func replyNulls() {
            c.reply.array(c.count - 2)
            for _ in 2..<c.count { c.reply.null() }
        }
        guard let value = readSortedSet(c, else: replyNulls) else { return }
        c.reply.array(c.count - 2)
        for index in 2..<c.count {
            if let score = value.score(self, c[index]) { c.reply.score(score) } else { c.reply.null() }
        }
    }

    func zrank(_ c: Invocation, reversed: Bool) {
        if c.count > 4 { return c.wrongArity(reversed ? "zrevrank" : "zrank") }
        if c.count == 4 && !c.isWord(3, "withscore") { return c.reply.error(ErrorText.syntax) }
        let withScore = c.count == 4
        func replyAbsent() {
            if withScore { c.reply.nullArray() } else { c.reply.null() }
        }
        guard let value = readSortedSet(c, else: replyAbsent) else { return }
        guard let (rank, score) = value.rank(self, c[2]) else { return replyAbsent() }
        if withScore { c.reply.array(2) }
        c.reply.integer(reversed ? value.count - 1 - rank : rank)
        if withScore { c.reply.score(score) }
    }

    func zscan(_ c: Invocation) {
        guard ScanOptions.hasCursor(c, 2), let value = readSortedSet(c, else: { replyEmptyScan(c) }),
            let options = ScanOptions(c, cursorIndex: 2)
        else { return }
        func emit(_ member: ByteView, _ score: Double) -> Int {
            guard options.matches(member) else { return 0 }
            c.reply.bulk(member)
            withDoubleText(score) { c.reply.bulk($0) }
            return 2
        }
        guard value.isCompact else {
            return replyScan(c, value.table, options) { emit($0.key, SortedSetValue.score($0)) }
        }
        replyWholeScan(c) {
            var elements = 0
            value.forEach { elements += emit($0, $1) }
            return elements
        }
    }

    // MARK: Random members

    func zrandmember(_ c: Invocation) {
        if c.count == 2 {
            guard let value = readSortedSet(c, else: { c.reply.null() }) else { return }
            let rank = Int(state.pointee.random.next(below: UInt64(value.count)))
            return value.forEach(from: rank, count: 1) { member, _ in c.reply.bulk(member) }
        }
        let withScores = c.count == 4
        guard let count = randomCount(c, 2, isPaired: withScores && c.isWord(3, "withscores")) else { return }
        if c.count > 4 || withScores && !c.isWord(3, "withscores") { return c.reply.error(ErrorText.syntax) }
        guard let value = readSortedSet(c, else: { c.reply.array(0) }) else { return }
        let number = count < 0 ? -count : min(count, value.count)
        replyScoredHeader(c, number, withScores)
        func emit(rank: Int) {
            value.forEach(from: rank, count: 1) { replyScored(c, $0, $1, withScores) }
        }
        if count < 0 {
            for _ in 0..<number { emit(rank: Int(state.pointee.random.next(below: UInt64(value.count)))) }
        } else if number == value.count {
            value.forEach { replyScored(c, $0, $1, withScores) }
        } else {
            for rank in randomRanks(number, below: value.count) { emit(rank: rank) }
        }
    }

    /// `number` different ranks; `number` must be less than `bound`.
    private func randomRanks(_ number: Int, below bound: Int) -> [Int] {
        if number * 3 > bound {
            var ranks = Array(0..<bound)
            shuffleFront(&ranks, number)
            return Array(ranks[..<number])
        }
        var seen = Set<Int>()
        var ranks: [Int] = []
        while ranks.count < number {
            let rank = Int(state.pointee.random.next(below: UInt64(bound)))
            if seen.insert(rank).inserted { ranks.append(rank) }
        }
        return ranks
    }

    // MARK: Replies of members with scores: RESP2 flat, RESP3 in pairs

    func replyScoredHeader(_ c: Invocation, _ count: Int, _ withScores: Bool) {
        c.reply.array(withScores && !c.reply.isRESP3 ? count * 2 : count)
    }

    @inline(__always)
    func replyScored(_ c: Invocation, _ member: ByteView, _ score: Double, _ withScores: Bool) {
        guard withScores else { return c.reply.bulk(member) }
        if c.reply.isRESP3 { c.reply.array(2) }
        c.reply.bulk(member)
        c.reply.score(score)
    }
}

/// The options of ZADD.
private struct AddOptions {
    var onlyNew = false
    var onlyPresent = false
    var onlyGreater = false
    var onlyLess = false
    var countsChanges = false
    var increments = false

    /// Takes `word` in; false when it is none of the options.
    mutating func take(_ word: ByteView) -> Bool {
        if word.equalsIgnoringCase("nx") {
            onlyNew = true
        } else if word.equalsIgnoringCase("xx") {
            onlyPresent = true
        } else if word.equalsIgnoringCase("gt") {
            onlyGreater = true
        } else if word.equalsIgnoringCase("lt") {
            onlyLess = true
        } else if word.equalsIgnoringCase("ch") {
            countsChanges = true
        } else if word.equalsIgnoringCase("incr") {
            increments = true
        } else {
            return false
        }
        return true
    }
}

private struct AddOutcome {
    var added = 0
    var updated = 0
    /// The score of the last member that was not passed over.
    var lastScore: Double?
}
