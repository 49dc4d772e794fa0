// Commands that change lists anywhere but at their ends.
//
// - Spec: Redis command reference 7.2, group "list": LSET, LINSERT, LREM, LTRIM.
import ByteStorage
import RESP

extension Engine {
    func lset(_ c: Invocation) {
        guard acceptsElement(c, c[3]) else { return }
        switch findList(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: c.reply.error(ErrorText.noSuchKey)
        case .found(let slot):
            let list = Table.entry(slot).list
            guard let index = c.integer(2) else { return }
            guard let cursor = list.cursor(at: absoluteIndex(index, list)) else {
                return c.reply.error(ErrorText.outOfRange)
            }
            list.replace(slab, listLimits, c[3], cursor)
            changed(c.database, c.key)
            notify(.list, "lset", c.database, c.key)
            c.reply.ok()
        }
    }

    func linsert(_ c: Invocation) {
        let isAfter = c.isWord(2, "after")
        guard isAfter || c.isWord(2, "before") else { return c.reply.error(ErrorText.syntax) }
        guard acceptsElement(c, c[4]) else { return }
        switch findList(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: c.reply.integer(0)
        case .found(let slot):
            let list = Table.entry(slot).list
            guard let cursor = firstElement(list, equalTo: c[3]) else { return c.reply.integer(-1) }
            list.insert(slab, listLimits, c[4], cursor, after: isAfter)
            changed(c.database, c.key)
            notify(.list, "linsert", c.database, c.key)
            c.reply.integer(list.count)
        }
    }

    private func firstElement(_ list: ListValue, equalTo bytes: ByteView) -> ListCursor? {
        guard var cursor = list.cursor(.head) else { return nil }
        repeat {
            if cursor.element == bytes { return cursor }
        } while cursor.moveForward()
        return nil
    }

    func lrem(_ c: Invocation) {
        guard let number = c.integer(2) else { return }
        guard number != .min else {
            return c.reply.error(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
        }
        switch findList(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: c.reply.integer(0)
        case .found(let slot):
            let limit = number == 0 ? Int.max : Int(number.magnitude)
            let removed = Table.entry(slot).list.removeAll(
                slab, listLimits, equalTo: c[3], atMost: limit, from: number < 0 ? .tail : .head)
            if removed > 0 {
                changed(c.database, c.key, removed)
                notify(.list, "lrem", c.database, c.key)
                deleteIfEmpty(c.database, c.key, slot, c.hash)
            }
            c.reply.integer(removed)
        }
    }

    func ltrim(_ c: Invocation) {
        guard let start = c.integer(2), let stop = c.integer(3) else { return }
        switch findList(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: c.reply.ok()
        case .found(let slot):
            let list = Table.entry(slot).list
            let count = list.count
            let kept = clampedRange(start, stop, list)
            if kept.isEmpty {
                list.remove(slab, count, from: .head)
            } else {
                list.remove(slab, count - kept.upperBound, from: .tail)
                list.remove(slab, kept.lowerBound, from: .head)
            }
            changed(c.database, c.key, count - kept.count)
            notify(.list, "ltrim", c.database, c.key)
            deleteIfEmpty(c.database, c.key, slot, c.hash)
            c.reply.ok()
        }
    }
}
