// Intersection, union and difference of sets, replied or stored.
//
// - Spec: Redis command reference 7.2: SINTER, SINTERCARD, SINTERSTORE, SUNION, SUNIONSTORE, SDIFF, SDIFFSTORE.
import ByteStorage
import RESP

extension Engine {
    /// The sets under the keys `range` of the arguments, nil where a key is absent; nil as a whole after WRONGTYPE.
    private func sourceSets(_ c: Invocation, _ range: Range<Int>) -> [SetValue?]? {
        var sets: [SetValue?] = []
        sets.reserveCapacity(range.count)
        for index in range {
            guard let entry = findToRead(c.database, c[index], hash(c[index])) else {
                sets.append(nil)
                continue
            }
            guard entry.kind == .set else {
                c.wrongType()
                return nil
            }
            sets.append(SetValue(word: entry.word))
        }
        return sets
    }

    /// Replies a set whose members `produce` hands out, each once.
    private func replySet(_ c: Invocation, _ produce: ((ByteView) -> Void) -> Void) {
        let out = c.reply.out
        let start = out.count
        var members = 0
        produce { member in
            c.reply.bulk(member)
            members += 1
        }
        c.reply.insertArrayHeader(
            members, after: start, kind: UInt8(ascii: c.reply.isRESP3 ? "~" : "*"))
    }

    /// Stores a set whose members `produce` hands out.
    private func storeSet(_ c: Invocation, _ event: StaticString, _ produce: ((ByteView) -> Void) -> Void) {
        var result = SetValue.make(self)
        produce { _ = result.add(self, $0) }
        storeResult(c, c[1], .set, result.word, count: result.count, .set, event)
    }

    // MARK: Intersection

    /// Hands out the members that all of `sets` have, at most `limit`.
    private func intersect(_ sets: [SetValue?], limit: Int = .max, _ body: (ByteView) -> Void) {
        var present = sets.compactMap { $0 }
        guard present.count == sets.count, limit > 0 else { return }
        // Walk the smallest and ask the others, the small ones first: they say no soonest.
        present.sort { $0.count < $1.count }
        let others = present[1...]
        var found = 0
        present[0].forEachWhile({ member in
            guard others.allSatisfy({ $0.contains(self, member) }) else { return true }
            body(member)
            found += 1
            return found < limit
        })
    }

    func sinter(_ c: Invocation) {
        guard let sets = sourceSets(c, 1..<c.count) else { return }
        replySet(c) { intersect(sets, $0) }
    }

    func sinterstore(_ c: Invocation) {
        guard let sets = sourceSets(c, 2..<c.count) else { return }
        storeSet(c, "sinterstore") { intersect(sets, $0) }
    }

    func sintercard(_ c: Invocation) {
        guard let (keys, limit) = cardinalityArguments(c) else { return }
        guard let sets = sourceSets(c, keys) else { return }
        var count = 0
        intersect(sets, limit: limit) { _ in count += 1 }
        c.reply.integer(count)
    }

    /// The keys and the limit of SINTERCARD; replies with the error and returns nil when they are wrong.
    private func cardinalityArguments(_ c: Invocation) -> (keys: Range<Int>, limit: Int)? {
        guard let keyCount = parseInteger(c[1]), keyCount > 0 else {
            c.reply.error("ERR numkeys should be greater than 0")
            return nil
        }
        guard keyCount <= Int64(c.count - 2) else {
            c.reply.error("ERR Number of keys can't be greater than number of args")
            return nil
        }
        let keys = 2..<(2 + Int(keyCount))
        var limit = Int.max
        var index = keys.upperBound
        while index < c.count {
            guard c.isWord(index, "limit"), index + 1 < c.count else {
                c.reply.error(ErrorText.syntax)
                return nil
            }
            guard let value = parseInteger(c[index + 1]), value >= 0 else {
                c.reply.error("ERR LIMIT can't be negative")
                return nil
            }
            limit = value == 0 ? .max : Int(value)
            index += 2
        }
        return (keys, limit)
    }

    // MARK: Union

    func sunion(_ c: Invocation) {
        guard let sets = sourceSets(c, 1..<c.count) else { return }
        let present = sets.compactMap { $0 }
        if present.count == 1 {
            return replySet(c) { present[0].forEach($0) }
        }
        // What was handed out already is in the union, so that has to be built.
        let union = unite(present)
        c.reply.set(union.count)
        union.forEach { c.reply.bulk($0) }
        destroyCollection(.set, union.word)
    }

    private func unite(_ sets: [SetValue]) -> SetValue {
        var union = SetValue.make(self)
        for set in sets { set.forEach { _ = union.add(self, $0) } }
        return union
    }

    func sunionstore(_ c: Invocation) {
        guard let sets = sourceSets(c, 2..<c.count) else { return }
        let union = unite(sets.compactMap { $0 })
        storeResult(c, c[1], .set, union.word, count: union.count, .set, "sunionstore")
    }

    // MARK: Difference

    /// Hands out the members of the first set that none of the others has.
    private func subtract(_ sets: [SetValue?], _ body: (ByteView) -> Void) {
        guard let first = sets[0] else { return }
        // The large ones first: they are the likeliest to have a member.
        let others = sets[1...].compactMap { $0 }.sorted { $0.count > $1.count }
        if others.contains(where: { $0.word == first.word }) { return }
        first.forEach { member in
            if !others.contains(where: { $0.contains(self, member) }) { body(member) }
        }
    }

    func sdiff(_ c: Invocation) {
        guard let sets = sourceSets(c, 1..<c.count) else { return }
        replySet(c) { subtract(sets, $0) }
    }

    func sdiffstore(_ c: Invocation) {
        guard let sets = sourceSets(c, 2..<c.count) else { return }
        storeSet(c, "sdiffstore") { subtract(sets, $0) }
    }
}
