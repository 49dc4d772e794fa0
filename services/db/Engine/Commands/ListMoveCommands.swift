// Commands that move elements between lists or pop from one of several, and their blocking forms.
//
// A blocking command is tried here in its non-blocking form, outside of `execute`: what it did goes to the stream as
// LPOP, RPOP, LMOVE or RPOPLPUSH, because a replica or a log must not depend on what would have blocked.
//
// - Spec: Redis command reference 7.2, group "list": LMOVE, RPOPLPUSH, LMPOP, BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP.
import ByteStorage
import RESP

extension ListEnd {
    /// LEFT or RIGHT.
    init?(_ word: ByteView) {
        if word.equalsIgnoringCase("left") {
            self = .head
        } else if word.equalsIgnoringCase("right") {
            self = .tail
        } else {
            return nil
        }
    }

    var popName: ByteView { self == .head ? ByteView("LPOP") : ByteView("RPOP") }
}

extension Engine {
    // MARK: Moving one element

    func lmove(_ c: Invocation) {
        guard let from = ListEnd(c[3]), let to = ListEnd(c[4]) else { return c.reply.error(ErrorText.syntax) }
        if !moveElement(c, from, to) { c.reply.null() }
    }

    func rpoplpush(_ c: Invocation) {
        if !moveElement(c, .tail, .head) { c.reply.null() }
    }

    /// Moves an element from the list under the first key to the one under the second, which may be the same.
    ///
    /// - Returns: false when there is no source: then nothing has been replied. True after an error reply too.
    private func moveElement(_ c: Invocation, _ from: ListEnd, _ to: ListEnd, _ moved: () -> Void = {}) -> Bool {
        guard let sourceSlot = findSlot(c.database, c[1], c.hash) else { return false }
        // Entries, not slots: the next look-up makes a slot invalid.
        let sourceEntry = Table.entry(sourceSlot)
        let targetHash = hash(c[2])
        let targetEntry = findSlot(c.database, c[2], targetHash).map { Table.entry($0) }
        guard sourceEntry.kind == .list, targetEntry?.kind ?? .list == .list else {
            c.wrongType()
            return true
        }
        let source = sourceEntry.list
        // The reply holds a copy of the element: in a rotation the blocks of the list itself move.
        let length = source.peek(from).count
        c.reply.bulk(source.peek(from))
        let element = ByteView(c.reply.out.readable + (c.reply.out.count - length - 2), length)
        if let targetEntry {
            targetEntry.list.push(slab, listLimits, element, to)
        } else {
            let list = ListValue.make(slab)
            list.push(slab, listLimits, element, to)
            insertList(c.database, c[2], targetHash, list)
        }
        changed(c.database, c[2])
        notifyPush(to, c.database, c[2])
        source.removeOne(slab, from)
        changed(c.database, c[1], 0)
        notify(.list, from == .head ? "lpop" : "rpop", c.database, c[1])
        if source.count == 0 { deleteEmptied(c.database, c[1]) }
        moved()
        return true
    }

    // MARK: Popping from the first list that is there

    func lmpop(_ c: Invocation) {
        guard let request = MultiplePop.read(c, numberIndex: 1) else { return }
        if !popMultiple(c, request) { c.reply.nullArray() }
    }

    /// - Returns: false when none of the keys is there: then nothing has been replied. True after an error
    ///   reply too.
    private func popMultiple(_ c: Invocation, _ request: MultiplePop) -> Bool {
        for index in request.keys {
            let key = c[index]
            let hash = hash(key)
            switch findList(c, key, hash) {
            case .absent: continue
            case .wrongType: return true
            case .found(let slot):
                let list = Table.entry(slot).list
                let taken = Int(min(request.number, Int64(list.count)))
                c.reply.array(2)
                c.reply.bulk(key)
                replyElements(c, list, taken, request.end)
                removeElements(c.database, key, slot, hash, taken, request.end)
                withDecimal(Int64(taken)) { propagate(c.database, [request.end.popName, key, $0]) }
                return true
            }
        }
        return false
    }

    // MARK: Blocking forms: the timeout is among the arguments

    func serveBlockingPop(_ c: Invocation, _ end: ListEnd) -> Bool {
        for index in 1..<c.count - 1 {
            let key = c[index]
            let hash = hash(key)
            switch findList(c, key, hash) {
            case .absent: continue
            case .wrongType: return true
            case .found(let slot):
                c.reply.array(2)
                c.reply.bulk(key)
                c.reply.bulk(Table.entry(slot).list.peek(end))
                removeElements(c.database, key, slot, hash, 1, end)
                propagate(c.database, [end.popName, key])
                return true
            }
        }
        return false
    }

    func serveBlockingMove(_ c: Invocation) -> Bool {
        guard let from = ListEnd(c[3]), let to = ListEnd(c[4]) else {
            c.reply.error(ErrorText.syntax)
            return true
        }
        return moveElement(c, from, to) { propagate(c.database, [ByteView("LMOVE"), c[1], c[2], c[3], c[4]]) }
    }

    func checkMoveEnds(_ c: Invocation) -> Bool {
        if ListEnd(c[3]) != nil, ListEnd(c[4]) != nil { return true }
        c.reply.error(ErrorText.syntax)
        return false
    }

    func checkMultiplePop(_ c: Invocation, numberIndex: Int) -> Bool {
        MultiplePop.read(c, numberIndex: numberIndex) != nil
    }

    func serveBlockingRotate(_ c: Invocation) -> Bool {
        moveElement(c, .tail, .head) { propagate(c.database, [ByteView("RPOPLPUSH"), c[1], c[2]]) }
    }

    func serveBlockingMultiplePop(_ c: Invocation) -> Bool {
        guard let request = MultiplePop.read(c, numberIndex: 2) else { return true }
        return popMultiple(c, request)
    }
}

/// numkeys key [key ...] LEFT|RIGHT [COUNT count]
private struct MultiplePop {
    let keys: Range<Int>
    let end: ListEnd
    let number: Int64

    /// Reads the request; replies with the error and returns nil when it is wrong.
    static func read(_ c: Invocation, numberIndex: Int) -> MultiplePop? {
        guard let count = parseInteger(c[numberIndex]), count > 0 else {
            return fail(c, "ERR numkeys should be greater than 0")
        }
        // At least the word LEFT or RIGHT must follow the keys.
        guard count < Int64(c.count - numberIndex - 1) else { return fail(c, ErrorText.syntax) }
        let keys = numberIndex + 1..<numberIndex + 1 + Int(count)
        guard let end = ListEnd(c[keys.upperBound]) else { return fail(c, ErrorText.syntax) }
        let option = keys.upperBound + 1
        if option == c.count { return MultiplePop(keys: keys, end: end, number: 1) }
        guard option + 2 <= c.count, c.isWord(option, "count") else { return fail(c, ErrorText.syntax) }
        guard let number = parseInteger(c[option + 1]), number > 0 else {
            return fail(c, "ERR count should be greater than 0")
        }
        guard option + 2 == c.count else { return fail(c, ErrorText.syntax) }
        return MultiplePop(keys: keys, end: end, number: number)
    }

    private static func fail(_ c: Invocation, _ text: StaticString) -> MultiplePop? {
        c.reply.error(text)
        return nil
    }
}
