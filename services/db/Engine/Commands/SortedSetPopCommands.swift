// Taking the lowest or highest members out, at once or by the non-blocking try of a blocking command.
//
// - Spec: Redis command reference 7.2: ZPOPMIN, ZPOPMAX, ZMPOP, BZPOPMIN, BZPOPMAX, BZMPOP.
import ByteStorage
import RESP

extension Engine {
    /// Removes up to `count` members from one end of the sorted set under `key` and hands each out before it goes; says
    /// so to listeners, and deletes the key when none is left.
    private func popMembers(
        _ c: Invocation, _ key: ByteView, _ entry: Entry, count: Int, fromMaximum: Bool,
        _ body: (ByteView, Double) -> Void
    ) {
        var value = SortedSetValue(word: entry.word)
        let lower = fromMaximum ? value.count - count : 0
        value.forEach(from: fromMaximum ? value.count - 1 : 0, count: count, reversed: fromMaximum, body)
        value.removeRange(self, from: lower, count: count)
        entry.word = value.word
        changed(c.database, key, count)
        notify(.sortedSet, fromMaximum ? "zpopmax" : "zpopmin", c.database, key)
        if value.count == 0 { deleteEmptied(c.database, key) }
    }

    func zpop(_ c: Invocation, fromMaximum: Bool) {
        if c.count > 3 { return c.reply.error(ErrorText.syntax) }
        var wanted: Int64 = 1
        if c.count == 3 {
            guard let count = c.positive(2) else { return }
            wanted = count
        }
        let isNested = c.count == 3 && c.reply.isRESP3
        switch findCollection(c, c.key, c.hash, .sortedSet) {
        case .wrongType: return
        case .absent: return c.reply.array(0)
        case .found(let entry):
            let count = Int(min(wanted, Int64(SortedSetValue(word: entry.word).count)))
            if count == 0 { return c.reply.array(0) }
            c.reply.array(isNested ? count : count * 2)
            popMembers(c, c.key, entry, count: count, fromMaximum: fromMaximum) { member, score in
                if isNested { c.reply.array(2) }
                c.reply.bulk(member)
                c.reply.score(score)
            }
        }
    }

    // MARK: Several keys

    func zmpop(_ c: Invocation) {
        if !tryPopFromSeveral(c, countIndex: 1) { c.reply.nullArray() }
    }

    /// The keys, the end and the number of members that ZMPOP or BZMPOP asks for; replies with the error and returns nil when
    /// the request is wrong.
    func popRequest(_ c: Invocation, countIndex: Int) -> (keys: Range<Int>, fromMaximum: Bool, wanted: Int64)? {
        func fail(_ text: StaticString) -> (keys: Range<Int>, fromMaximum: Bool, wanted: Int64)? {
            c.reply.error(text)
            return nil
        }
        guard let keyCount = parseInteger(c[countIndex]), keyCount > 0 else {
            return fail("ERR numkeys should be greater than 0")
        }
        let firstKey = countIndex + 1
        guard keyCount < Int64(c.count - firstKey) else { return fail(ErrorText.syntax) }
        let whereIndex = firstKey + Int(keyCount)
        let fromMaximum = c.isWord(whereIndex, "max")
        guard fromMaximum || c.isWord(whereIndex, "min") else { return fail(ErrorText.syntax) }
        guard c.count > whereIndex + 1 else { return (firstKey..<whereIndex, fromMaximum, 1) }
        guard c.count > whereIndex + 2, c.isWord(whereIndex + 1, "count") else { return fail(ErrorText.syntax) }
        guard let count = parseInteger(c[whereIndex + 2]), count > 0 else {
            return fail("ERR count should be greater than 0")
        }
        guard c.count == whereIndex + 3 else { return fail(ErrorText.syntax) }
        return (firstKey..<whereIndex, fromMaximum, count)
    }

    /// ZMPOP and the try of BZMPOP, whose number of keys is argument `countIndex`.
    ///
    /// - Returns: false when all sorted sets are absent and nothing was replied.
    func tryPopFromSeveral(_ c: Invocation, countIndex: Int) -> Bool {
        guard let request = popRequest(c, countIndex: countIndex) else { return true }
        let (wanted, fromMaximum) = (request.wanted, request.fromMaximum)
        for index in request.keys {
            switch findCollection(c, c[index], hash(c[index]), .sortedSet) {
            case .wrongType: return true
            case .absent: continue
            case .found(let entry):
                let count = Int(min(wanted, Int64(SortedSetValue(word: entry.word).count)))
                c.reply.array(2)
                c.reply.bulk(c[index])
                c.reply.array(count)
                popMembers(c, c[index], entry, count: count, fromMaximum: fromMaximum) { member, score in
                    c.reply.array(2)
                    c.reply.bulk(member)
                    c.reply.score(score)
                }
                propagatePop(c, c[index], count: count, fromMaximum: fromMaximum)
                return true
            }
        }
        return false
    }

    private func propagatePop(_ c: Invocation, _ key: ByteView, count: Int, fromMaximum: Bool) {
        let name = fromMaximum ? ByteView("ZPOPMAX") : ByteView("ZPOPMIN")
        withDecimal(Int64(count)) { propagate(c.database, [name, key, $0]) }
    }

    /// The try of BZPOPMIN and BZPOPMAX.
    func tryPopFirst(_ c: Invocation, fromMaximum: Bool) -> Bool {
        for index in 1..<(c.count - 1) {
            switch findCollection(c, c[index], hash(c[index]), .sortedSet) {
            case .wrongType: return true
            case .absent: continue
            case .found(let entry):
                c.reply.array(3)
                c.reply.bulk(c[index])
                popMembers(c, c[index], entry, count: 1, fromMaximum: fromMaximum) { member, score in
                    c.reply.bulk(member)
                    c.reply.score(score)
                }
                propagatePop(c, c[index], count: 1, fromMaximum: fromMaximum)
                return true
            }
        }
        return false
    }
}
