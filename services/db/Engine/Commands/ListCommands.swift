// Commands on the ends of lists, and reading them.
//
// - Spec: Redis command reference 7.2, group "list": LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP, LLEN, LINDEX,
//   LRANGE, LPOS.
import ByteStorage
import RESP

/// The list that a command is to change.
enum ListLookup {
    case absent
    case found(Slot)
    /// Something else is under the key; the error has been sent.
    case wrongType
}

extension Engine {
    // MARK: Finding

    @inline(__always) func findList(_ c: Invocation, _ key: ByteView, _ hash: UInt64) -> ListLookup {
        guard let slot = findSlot(c.database, key, hash) else { return .absent }
        if Table.entry(slot).kind == .list { return .found(slot) }
        c.wrongType()
        return .wrongType
    }

    /// The list under the invocation's key for a command that reads it. When nil, a reply has been sent: WRONGTYPE,
    /// or by `absent`.
    @inline(__always) func readList(_ c: Invocation, else absent: () -> Void) -> ListValue? {
        guard let entry = findToRead(c.database, c.key, c.hash) else {
            absent()
            return nil
        }
        if entry.kind == .list { return entry.list }
        c.wrongType()
        return nil
    }

    /// Deletes the list at `slot` when nothing is left of it, and says so.
    @inline(__always) func deleteIfEmpty(_ database: Int, _ key: ByteView, _ slot: Slot, _ hash: UInt64) {
        guard Table.entry(slot).list.count == 0 else { return }
        remove(database, slot, hash)
        notify(.generic, "del", database, key)
    }

    /// Refuses elements that no list can hold.
    @inline(__always) func acceptsElement(_ c: Invocation, _ element: ByteView) -> Bool {
        if element.count <= ListNode.largestElement { return true }
        c.reply.error(ErrorText.stringTooLong)
        return false
    }

    // MARK: Pushing

    @inline(__always) func notifyPush(_ end: ListEnd, _ database: Int, _ key: ByteView) {
        notify(.list, end == .head ? "lpush" : "rpush", database, key)
    }

    func push(_ c: Invocation, _ end: ListEnd, onlyIfThere: Bool) {
        for index in 2..<c.count where !acceptsElement(c, c[index]) { return }
        let limits = listLimits
        let list: ListValue
        switch findList(c, c.key, c.hash) {
        case .wrongType: return
        case .found(let slot):
            list = Table.entry(slot).list
            for index in 2..<c.count { list.push(slab, limits, c[index], end) }
        case .absent:
            if onlyIfThere { return c.reply.integer(0) }
            list = ListValue.make(slab)
            for index in 2..<c.count { list.push(slab, limits, c[index], end) }
            insertList(c.database, c.key, c.hash, list)
        }
        changed(c.database, c.key, c.count &- 2)
        notifyPush(end, c.database, c.key)
        c.reply.integer(list.count)
    }

    // MARK: Popping

    func pop(_ c: Invocation, _ end: ListEnd, name: String) {
        guard c.count <= 3 else { return c.wrongArity(name) }
        guard c.count == 2 else { return popCounted(c, end) }
        switch findList(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: c.reply.null()
        case .found(let slot):
            c.reply.bulk(Table.entry(slot).list.peek(end))
            removeElements(c.database, c.key, slot, c.hash, 1, end)
        }
    }

    private func popCounted(_ c: Invocation, _ end: ListEnd) {
        guard let number = parseInteger(c[2]), number >= 0 else {
            return c.reply.error("ERR value is out of range, must be positive")
        }
        switch findList(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: c.reply.nullArray()
        case .found(let slot):
            guard number > 0 else { return c.reply.array(0) }
            let taken = Int(min(number, Int64(Table.entry(slot).list.count)))
            replyElements(c, Table.entry(slot).list, taken, end)
            removeElements(c.database, c.key, slot, c.hash, taken, end)
        }
    }

    /// Replies an array of `number` elements from `end` on; the list must have so many.
    func replyElements(_ c: Invocation, _ list: ListValue, _ number: Int, _ end: ListEnd) {
        c.reply.array(number)
        if end == .head {
            list.forEach(number) { c.reply.bulk($0) }
        } else {
            list.forEachBackwards(number) { c.reply.bulk($0) }
        }
    }

    /// Removes elements that have been replied, the key with the last one, and tells everybody.
    @inline(__always)
    func removeElements(
        _ database: Int, _ key: ByteView, _ slot: Slot, _ hash: UInt64, _ number: Int, _ end: ListEnd
    ) {
        let list = Table.entry(slot).list
        if number == 1 { list.removeOne(slab, end) } else { list.remove(slab, number, from: end) }
        changed(database, key, number)
        notify(.list, end == .head ? "lpop" : "rpop", database, key)
        deleteIfEmpty(database, key, slot, hash)
    }

    // MARK: Reading

    func llen(_ c: Invocation) {
        guard let list = readList(c, else: { c.reply.integer(0) }) else { return }
        c.reply.integer(list.count)
    }

    func lindex(_ c: Invocation) {
        guard let list = readList(c, else: { c.reply.null() }) else { return }
        guard let index = c.integer(2) else { return }
        guard let cursor = list.cursor(at: absoluteIndex(index, list)) else { return c.reply.null() }
        c.reply.bulk(cursor.element)
    }

    /// The index from the head for one that counts from the tail when negative; negative or too large when there is
    /// no such element.
    func absoluteIndex(_ index: Int64, _ list: ListValue) -> Int {
        Int(index < 0 ? index &+ Int64(list.count) : index)
    }

    func lrange(_ c: Invocation) {
        guard let start = c.integer(2), let stop = c.integer(3) else { return }
        guard let list = readList(c, else: { c.reply.array(0) }) else { return }
        let range = clampedRange(start, stop, list)
        c.reply.array(range.count)
        list.forEach(from: range.lowerBound, range.count) { c.reply.bulk($0) }
    }

    /// The indexes that exist of `start...stop`, negative ones counted from the tail.
    func clampedRange(_ start: Int64, _ stop: Int64, _ list: ListValue) -> Range<Int> {
        let first = max(0, absoluteIndex(start, list))
        let last = min(list.count - 1, absoluteIndex(stop, list))
        return first <= last ? first..<last + 1 : 0..<0
    }

    // MARK: LPOS

    func lpos(_ c: Invocation) {
        guard let options = PositionOptions.read(c) else { return }
        guard let list = readList(c, else: { if options.number == nil { c.reply.null() } else { c.reply.array(0) } })
        else { return }
        let out = c.reply.out
        let start = out.count
        var found = 0
        searchPositions(list, c[2], options) { index in
            c.reply.integer(index)
            found += 1
        }
        if options.number != nil {
            c.reply.insertArrayHeader(found, after: start)
        } else if found == 0 {
            c.reply.null()
        }
    }

    private func searchPositions(
        _ list: ListValue, _ element: ByteView, _ options: PositionOptions, _ body: (Int) -> Void
    ) {
        let isBackward = options.rank < 0
        guard var cursor = list.cursor(isBackward ? .tail : .head) else { return }
        var skip = options.rank.magnitude - 1
        var left = options.number ?? 1
        if left == 0 { left = .max }
        var compared: Int64 = 0
        var index = isBackward ? list.count - 1 : 0
        repeat {
            if options.most != 0, compared == options.most { return }
            compared += 1
            if cursor.element == element {
                if skip > 0 {
                    skip -= 1
                } else {
                    body(index)
                    left -= 1
                    if left == 0 { return }
                }
            }
            index += isBackward ? -1 : 1
        } while isBackward ? cursor.moveBackward() : cursor.moveForward()
    }
}

private let zeroRank: StaticString = """
    ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from \
    the end of the list
    """

/// RANK, COUNT and MAXLEN of LPOS.
private struct PositionOptions {
    var rank: Int64 = 1
    /// Matches wanted, 0: all; nil without COUNT.
    var number: Int64?
    /// Elements to compare, 0: all.
    var most: Int64 = 0

    /// Reads the options; replies with the error and returns nil when one is wrong.
    static func read(_ c: Invocation) -> PositionOptions? {
        var options = PositionOptions()
        var index = 3
        while index < c.count {
            guard index + 1 < c.count else { return fail(c, ErrorText.syntax) }
            let value = parseInteger(c[index + 1])
            if c.isWord(index, "rank") {
                guard let value else { return fail(c, ErrorText.notInteger) }
                guard value != 0 else {
                    return fail(c, zeroRank)
                }
                guard value != .min else {
                    return fail(
                        c, "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
                }
                options.rank = value
            } else if c.isWord(index, "count") {
                guard let value, value >= 0 else { return fail(c, "ERR COUNT can't be negative") }
                options.number = value
            } else if c.isWord(index, "maxlen") {
                guard let value, value >= 0 else { return fail(c, "ERR MAXLEN can't be negative") }
                options.most = value
            } else {
                return fail(c, ErrorText.syntax)
            }
            index += 2
        }
        return options
    }

    private static func fail(_ c: Invocation, _ text: StaticString) -> PositionOptions? {
        c.reply.error(text)
        return nil
    }
}
