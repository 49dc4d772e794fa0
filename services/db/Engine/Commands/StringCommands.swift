// Commands on string values: reading, setting, appending, ranges.
//
// - Spec: Redis command reference 7.2, group "string".
import ByteStorage
import CLinux
import RESP

extension Engine {
    /// The string entry under the invocation's key: nil when absent; replies WRONGTYPE and returns `.some(nil)`-like
    /// `.wrongType` when something else is there.
    enum StringLookup {
        case absent
        case found(Slot)
        case wrongType
    }

    @inline(__always) func findString(_ c: Invocation, _ key: ByteView, _ hash: UInt64) -> StringLookup {
        guard let slot = findSlot(c.database, key, hash) else { return .absent }
        if Table.entry(slot).kind.isString { return .found(slot) }
        c.wrongType()
        return .wrongType
    }

    // MARK: Reading

    @inline(__always) func get(_ c: Invocation) {
        guard let entry = findToRead(c.database, c.key, c.hash) else { return c.reply.null() }
        guard entry.kind.isString else { return c.wrongType() }
        c.reply.bulk(entry.string)
    }

    func strlen(_ c: Invocation) {
        guard let entry = findToRead(c.database, c.key, c.hash) else { return c.reply.integer(0) }
        guard entry.kind.isString else { return c.wrongType() }
        c.reply.integer(entry.string.count)
    }

    func mget(_ c: Invocation) {
        c.reply.array(c.count - 1)
        for index in 1..<c.count {
            if let entry = findToRead(c.database, c[index], hash(c[index])), entry.kind.isString {
                c.reply.bulk(entry.string)
            } else {
                c.reply.null()
            }
        }
    }

    func getrange(_ c: Invocation) {
        guard var start = c.integer(2), var end = c.integer(3) else { return }
        guard let entry = findToRead(c.database, c.key, c.hash) else { return c.reply.bulk("") }
        guard entry.kind.isString else { return c.wrongType() }
        let value = entry.string
        let count = Int64(value.count)
        if start < 0 && end < 0 && start > end { return c.reply.bulk("") }
        if start < 0 { start = max(0, start &+ count) }
        if end < 0 { end = max(0, end &+ count) }
        end = min(end, count - 1)
        if start > end || count == 0 { return c.reply.bulk("") }
        c.reply.bulk(value.slice(Int(start), Int(end) + 1))
    }

    // MARK: Setting

    func getset(_ c: Invocation) {
        switch findString(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: c.reply.null()
        case .found(let slot): c.reply.bulk(Table.entry(slot).string)
        }
        setString(c.database, c.key, c.hash, c[2], expiry: nil)
        wroteString(c, c.key)
        propagate(c.database, [ByteView("SET"), c.key, c[2]])
    }

    @inline(__always) func wroteString(_ c: Invocation, _ key: ByteView) {
        changed(c.database, key)
        notify(.string, "set", c.database, key)
    }

    func setnx(_ c: Invocation) {
        if findSlot(c.database, c.key, c.hash) != nil { return c.reply.integer(0) }
        setString(c.database, c.key, c.hash, c[2], expiry: nil)
        wroteString(c, c.key)
        c.reply.integer(1)
    }

    func mset(_ c: Invocation, onlyIfNone: Bool) {
        guard c.count % 2 == 1 else { return c.wrongArity(onlyIfNone ? "msetnx" : "mset") }
        if onlyIfNone {
            for index in stride(from: 1, to: c.count, by: 2)
            where findSlot(c.database, c[index], hash(c[index])) != nil {
                return c.reply.integer(0)
            }
        }
        for index in stride(from: 1, to: c.count, by: 2) {
            setString(c.database, c[index], hash(c[index]), c[index + 1], expiry: nil)
            wroteString(c, c[index])
        }
        if onlyIfNone { c.reply.integer(1) } else { c.reply.ok() }
    }

    func getdel(_ c: Invocation) {
        switch findString(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: c.reply.null()
        case .found(let slot):
            c.reply.bulk(Table.entry(slot).string)
            remove(c.database, slot, c.hash)
            changed(c.database, c.key)
            notify(.generic, "del", c.database, c.key)
            propagate(c.database, [ByteView("DEL"), c.key])
        }
    }

    // MARK: Changing in place

    func append(_ c: Invocation) {
        let tail = c[2]
        switch findString(c, c.key, c.hash) {
        case .wrongType: return
        case .absent:
            setString(c.database, c.key, c.hash, tail, expiry: nil)
            c.reply.integer(tail.count)
        case .found(let slot):
            let length = Table.entry(slot).string.count
            guard fits(c, length, tail.count) else { return }
            let target = makeWritable(c.database, slot, length + tail.count)
            (target + length).copyMemory(from: tail.base, byteCount: tail.count)
            c.reply.integer(length + tail.count)
        }
        changed(c.database, c.key)
        notify(.string, "append", c.database, c.key)
    }

    func setrange(_ c: Invocation) {
        guard let offset = c.integer(2) else { return }
        guard offset >= 0 else { return c.reply.error("ERR offset is out of range") }
        let value = c[3]
        let lookup = findString(c, c.key, c.hash)
        if case .wrongType = lookup { return }
        var length = 0
        if case .found(let slot) = lookup { length = Table.entry(slot).string.count }
        if value.isEmpty { return c.reply.integer(length) }
        guard offset <= Int64(state.pointee.settings.maxStringBytes), fits(c, Int(offset), value.count) else {
            if offset > Int64(state.pointee.settings.maxStringBytes) { c.reply.error(ErrorText.stringTooLong) }
            return
        }
        if case .absent = lookup { setString(c.database, c.key, c.hash, ByteView(""), expiry: nil) }
        guard let slot = findSlot(c.database, c.key, c.hash) else { return }
        let newLength = max(length, Int(offset) + value.count)
        let target = makeWritable(c.database, slot, newLength)
        (target + Int(offset)).copyMemory(from: value.base, byteCount: value.count)
        changed(c.database, c.key)
        notify(.string, "setrange", c.database, c.key)
        c.reply.integer(newLength)
    }

    private func fits(_ c: Invocation, _ length: Int, _ extra: Int) -> Bool {
        if length + extra <= state.pointee.settings.maxStringBytes { return true }
        c.reply.error(ErrorText.stringTooLong)
        return false
    }

    /// Makes the string at `slot` `count` bytes long, new bytes zero, and returns its bytes to write to.
    func makeWritable(_ database: Int, _ slot: Slot, _ count: Int) -> UnsafeMutableRawPointer {
        var entry = Table.entry(slot)
        let old = entry.string
        if entry.kind == .blobString {
            if count <= entry.blob.capacity {
                if count > old.count { memset(entry.blob.bytes + old.count, 0, count - old.count) }
                entry.blob.count = count
                return entry.blob.bytes
            }
            // Twice the need, as long as that is no great waste.
            let blob = Blob.make(slab, count: count, capacity: count + min(count, 1 << 20))
            blob.bytes.copyMemory(from: old.base, byteCount: old.count)
            memset(blob.bytes + old.count, 0, count - old.count)
            entry.blob.destroy(slab)
            entry.setPointer(blob.base)
            return blob.bytes
        }
        let offset = entry.valueOffset
        let spare = entry.blockBytes - SlabAllocator.rounded(offset + count)
        if count <= Entry.largestInlineValue, spare >= 0 {
            if count > old.count { memset(entry.base + offset + old.count, 0, count - old.count) }
            entry.header =
                entry.header & ~(0xff_0000_0fff) | UInt64(count) | UInt64(spare >> 3) << 32 | Entry.modified
            return entry.base + offset
        }
        let expiry = entry.hasExpiry ? entry.expiry : nil
        let grown: Entry
        if count <= Entry.largestInlineValue {
            grown = Entry.make(slab, key: entry.key, kind: .inlineString, valueBytes: count, expires: expiry != nil)
            grown.valueBase.copyMemory(from: old.base, byteCount: old.count)
            memset(grown.valueBase + old.count, 0, count - old.count)
        } else {
            grown = Entry.make(slab, key: entry.key, kind: .blobString, valueBytes: 8, expires: expiry != nil)
            let blob = Blob.make(slab, count: count, capacity: count * 2)
            blob.bytes.copyMemory(from: old.base, byteCount: old.count)
            memset(blob.bytes + old.count, 0, count - old.count)
            grown.setPointer(blob.base)
        }
        grown.header |= Entry.modified
        grown.access = entry.access
        if let expiry { grown.expiry = expiry }
        slot.pointee = UInt(bitPattern: grown.base)
        destroy(database, entry)
        if expiry != nil { timers(database).add(grown) }
        entry = grown
        return entry.kind == .blobString ? entry.blob.bytes : entry.valueBase
    }
}
