// SCAN, and the options that HSCAN, SSCAN and ZSCAN share with it.
//
// - Spec: Redis command reference 7.2: SCAN (MATCH, COUNT, TYPE) and its guarantees.
import ByteStorage
import RESP

/// The cursor and options of SCAN and its kin.
struct ScanOptions {
    var cursor: UInt64
    var pattern: ByteView?
    var count = 10
    var type: ByteView?
    var withoutValues = false

    /// Reads the cursor at `index` and the options after it; replies with the error and returns nil when one is wrong.
    init?(_ c: Invocation, cursorIndex: Int, allowsType: Bool = false, allowsNoValues: Bool = false) {
        guard let cursor = ScanOptions.cursor(c[cursorIndex]) else {
            c.reply.error(ErrorText.invalidCursor)
            return nil
        }
        self.cursor = cursor
        var index = cursorIndex + 1
        while index < c.count {
            if c.isWord(index, "match"), index + 1 < c.count {
                pattern = c[index + 1]
            } else if c.isWord(index, "count"), index + 1 < c.count {
                guard let number = c.integer(index + 1) else { return nil }
                guard number >= 1 else {
                    c.reply.error(ErrorText.syntax)
                    return nil
                }
                count = Int(min(number, 1 << 40))
            } else if allowsType, c.isWord(index, "type"), index + 1 < c.count {
                type = c[index + 1]
            } else if allowsNoValues, c.isWord(index, "novalues") {
                withoutValues = true
                index -= 1
            } else {
                c.reply.error(ErrorText.syntax)
                return nil
            }
            index += 2
        }
        if let pattern, pattern.count == 1, pattern[0] == UInt8(ascii: "*") { self.pattern = nil }
    }

    /// A cursor as Redis reads it, by strtoul: an empty one is 0, and a minus counts back from the end of the range.
    private static func cursor(_ text: ByteView) -> UInt64? {
        var index = 0
        if text.count > 0, text[0] == UInt8(ascii: "-") || text[0] == UInt8(ascii: "+") { index = 1 }
        guard text.count > index || text.count == 0 else { return nil }
        var value: UInt64 = 0
        for position in index..<text.count {
            let digit = text[position] &- 48
            guard digit <= 9 else { return nil }
            let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isOverflowing) = tens.addingReportingOverflow(UInt64(digit))
            if isTooLarge || isOverflowing { return nil }
            value = sum
        }
        return text.count > 0 && text[0] == UInt8(ascii: "-") ? 0 &- value : value
    }

    /// Redis looks at the cursor first, then at the key, and at the options last.
    static func hasCursor(_ c: Invocation, _ index: Int) -> Bool {
        if cursor(c[index]) != nil { return true }
        c.reply.error(ErrorText.invalidCursor)
        return false
    }

    func matches(_ text: ByteView) -> Bool {
        guard let pattern else { return true }
        return matchesGlob(pattern, text)
    }
}

extension Engine {
    func scan(_ c: Invocation) {
        guard let options = ScanOptions(c, cursorIndex: 1, allowsType: true) else { return }
        replyScan(c, table(c.database), options) { entry in
            if entry.hasExpiry && entry.expiry <= now { return 0 }
            if let type = options.type {
                let name = typeName(entry)
                guard type.count == name.utf8CodeUnitCount, type.equalsIgnoringCase(name) else { return 0 }
            }
            guard options.matches(entry.key) else { return 0 }
            c.reply.bulk(entry.key)
            return 1
        }
    }

    /// Walks `table` from the cursor for about `count` entries and replies cursor and elements. `emit` writes what it wants of
    /// an entry and returns the number of elements that it wrote.
    func replyScan(_ c: Invocation, _ table: Table, _ options: ScanOptions, _ emit: (Entry) -> Int) {
        let out = c.reply.out
        let start = out.count
        var cursor = options.cursor
        var visited = 0
        var elements = 0
        // Empty stretches are bounded as well: ten buckets for each entry that was asked for.
        var steps = options.count &* 10
        repeat {
            cursor = table.scan(cursor) { entry in
                visited += 1
                elements += emit(entry)
            }
            steps -= 1
        } while cursor != 0 && visited < options.count && steps > 0
        c.reply.insertArrayHeader(elements, after: start)
        insertCursor(c, cursor, elementBytes: out.count - start)
    }

    /// Replies everything that `emit` writes, with cursor 0: for collections in a compact encoding, and for absent keys.
    func replyWholeScan(_ c: Invocation, _ emit: () -> Int) {
        let out = c.reply.out
        let start = out.count
        let elements = emit()
        c.reply.insertArrayHeader(elements, after: start)
        insertCursor(c, 0, elementBytes: out.count - start)
    }

    func replyEmptyScan(_ c: Invocation) { replyWholeScan(c) { 0 } }

    /// Puts `*2` and the cursor before the elements just written.
    func insertCursor(_ c: Invocation, _ cursor: UInt64, elementBytes: Int) {
        let out = c.reply.out
        let head = OutputBuffer.create(capacity: 64)
        defer { head.destroy() }
        let writer = ReplyWriter(head)
        writer.array(2)
        writer.bulk(String(cursor))
        let length = head.count
        _ = out.reserve(length)
        let position = out.state.pointee.base + (out.end - elementBytes)
        (position + length).copyMemory(from: position, byteCount: elementBytes)
        position.copyMemory(from: head.readable, byteCount: length)
        out.commit(length)
    }
}
