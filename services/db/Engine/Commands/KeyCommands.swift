// Commands on keys, whatever their values are.
//
// - Spec: Redis command reference 7.2, group "generic", and FLUSHDB, FLUSHALL, SWAPDB, DBSIZE.
import ByteStorage
import RESP

extension Engine {
    func delete(_ c: Invocation) {
        var deleted = 0
        for index in 1..<c.count where deleteKey(c.database, c[index]) {
            deleted += 1
            changed(c.database, c[index])
            notify(.generic, "del", c.database, c[index])
        }
        c.reply.integer(deleted)
    }

    func exists(_ c: Invocation) {
        var found = 0
        for index in 1..<c.count where findToRead(c.database, c[index], hash(c[index])) != nil { found += 1 }
        c.reply.integer(found)
    }

    func touchCommand(_ c: Invocation) {
        var found = 0
        for index in 1..<c.count where findSlot(c.database, c[index], hash(c[index])) != nil { found += 1 }
        c.reply.integer(found)
    }

    func type(_ c: Invocation) {
        guard let slot = peek(c.database, c.key) else { return c.reply.simple("none") }
        c.reply.simple(typeName(Table.entry(slot)))
    }

    func keys(_ c: Invocation) {
        let start = c.reply.out.count
        let everything = c[1].count == 1 && c[1][0] == UInt8(ascii: "*")
        var found = 0
        table(c.database).forEach { entry in
            if entry.hasExpiry && entry.expiry <= now { return }
            if everything || matchesGlob(c[1], entry.key) {
                c.reply.bulk(entry.key)
                found += 1
            }
        }
        c.reply.insertArrayHeader(found, after: start)
    }

    func randomKey(_ c: Invocation) {
        // A keyspace of expired keys that a replica may not delete: give up after some tries, as Redis does.
        for _ in 0..<100 {
            guard let entry = table(c.database).randomEntry(&state.pointee.random) else { break }
            if entry.hasExpiry && entry.expiry <= now {
                if !state.pointee.isReplica { _ = findSlot(c.database, entry.key, hash(entry.key)) }
                continue
            }
            return c.reply.bulk(entry.key)
        }
        c.reply.null()
    }

    // MARK: Rename, copy, move

    func rename(_ c: Invocation, onlyIfFree: Bool) {
        guard let slot = findSlot(c.database, c.key, c.hash) else { return c.reply.error(ErrorText.noSuchKey) }
        if c[1] == c[2] {
            if onlyIfFree { c.reply.integer(0) } else { c.reply.ok() }
            return
        }
        if onlyIfFree && findSlot(c.database, c[2], hash(c[2])) != nil { return c.reply.integer(0) }
        _ = slot
        relocate(c, from: c.database, to: c.database, key: c[1], newKey: c[2])
        changed(c.database, c[1])
        changed(c.database, c[2])
        notify(.generic, "rename_from", c.database, c[1])
        notify(.generic, "rename_to", c.database, c[2])
        if onlyIfFree { c.reply.integer(1) } else { c.reply.ok() }
    }

    /// Moves the value of `key` under `newKey`, replacing what is there, expiry and access time included.
    private func relocate(_ c: Invocation, from: Int, to: Int, key: ByteView, newKey: ByteView) {
        deleteKey(to, newKey)
        let oldHash = hash(key)
        guard let slot = locate(from, key, oldHash) else { return }
        let old = Table.entry(slot)
        let new = Entry.make(
            slab, key: newKey, kind: old.kind, valueBytes: old.inlineValueLength, expires: old.hasExpiry)
        new.valueBase.copyMemory(from: old.valueBase, byteCount: old.inlineValueLength)
        new.header = new.header & ~Entry.modified | old.header & Entry.modified
        new.access = old.access
        table(from).remove(slot, oldHash)
        if old.hasExpiry {
            new.expiry = old.expiry
            timers(from).remove(old)
            timers(to).add(new)
        }
        old.freeBlock(slab)
        table(to).insert(new, hash(newKey))
        if new.kind == .list || new.kind == .sortedSet { signalReady(to, newKey) }
    }

    func move(_ c: Invocation) {
        guard let target = c.integer(2) else { return }
        guard target >= 0, target < Int64(databaseCount) else { return c.reply.error("ERR DB index is out of range") }
        guard Int(target) != c.database else { return c.reply.error("ERR source and destination objects are the same") }
        guard findSlot(c.database, c.key, c.hash) != nil, findSlot(Int(target), c.key, c.hash) == nil else {
            return c.reply.integer(0)
        }
        relocate(c, from: c.database, to: Int(target), key: c.key, newKey: c.key)
        changed(c.database, c.key)
        changed(Int(target), c.key)
        notify(.generic, "move_from", c.database, c.key)
        notify(.generic, "move_to", Int(target), c.key)
        c.reply.integer(1)
    }

    func copy(_ c: Invocation) {
        var target = c.database
        var replaces = false
        var index = 3
        while index < c.count {
            if c.isWord(index, "replace") {
                replaces = true
            } else if c.isWord(index, "db"), index + 1 < c.count {
                guard let number = c.integer(index + 1) else { return }
                guard number >= 0, number < Int64(databaseCount) else {
                    return c.reply.error("ERR DB index is out of range")
                }
                target = Int(number)
                index += 1
            } else {
                return c.reply.error(ErrorText.syntax)
            }
            index += 1
        }
        if target == c.database && c[1] == c[2] {
            return c.reply.error("ERR source and destination objects are the same")
        }
        guard let slot = findSlot(c.database, c.key, c.hash) else { return c.reply.integer(0) }
        _ = slot
        if findSlot(target, c[2], hash(c[2])) != nil {
            guard replaces else { return c.reply.integer(0) }
            deleteKey(target, c[2])
        }
        guard let source = findSlot(c.database, c.key, c.hash) else { return c.reply.integer(0) }
        duplicate(Table.entry(source), to: target, key: c[2])
        changed(target, c[2])
        notify(.generic, "copy_to", target, c[2])
        c.reply.integer(1)
    }

    // MARK: Whole databases

    /// Deletes everything in `database` and returns how many keys that were.
    @discardableResult
    public func flush(_ database: Int, isCommand: Bool = false) -> Int {
        let count = keyCount(database)
        guard count > 0 else { return 0 }
        detach(table(database))
        timers(database).destroy()
        state.pointee.databases[database] = Database(
            table: Table(hash: state.pointee.hash, slab: slab, buckets: 16), timers: TimerWheel(now: now))
        state.pointee.dirty += count
        // Of commands the server looks before them which watched keys they concern.
        if state.pointee.tracksModifications, !isCommand {
            state.pointee.events.append(.flushed(database: database))
        }
        return count
    }

    func flushCommand(_ c: Invocation, all: Bool) {
        if c.count > 2 || c.count == 2 && !c.isWord(1, "async") && !c.isWord(1, "sync") {
            return c.reply.error(ErrorText.syntax)
        }
        if all {
            for database in 0..<databaseCount { flush(database, isCommand: true) }
        } else {
            flush(c.database, isCommand: true)
        }
        // Replicas must be as empty as we are, even when nothing was there.
        state.pointee.dirty += 1
        c.reply.ok()
    }

    func swapDatabases(_ c: Invocation) {
        guard let first = parseInteger(c[1]) else { return c.reply.error("ERR invalid first DB index") }
        guard let second = parseInteger(c[2]) else { return c.reply.error("ERR invalid second DB index") }
        let range = 0..<Int64(databaseCount)
        guard range.contains(first), range.contains(second) else {
            return c.reply.error("ERR DB index is out of range")
        }
        state.pointee.walk?.numbers.swapAt(Int(first), Int(second))
        let databases = state.pointee.databases
        (databases[Int(first)], databases[Int(second)]) = (databases[Int(second)], databases[Int(first)])
        state.pointee.dirty += 1
        c.reply.ok()
    }

    // MARK: OBJECT

    func object(_ c: Invocation) {
        if c.isWord(1, "help") { return replyHelp(c, objectHelp) }
        let known = ["encoding", "refcount", "idletime", "freq"] as [StaticString]
        guard let name = known.first(where: { c.isWord(1, $0) }) else { return c.unknownSubcommand("OBJECT") }
        guard c.count == 3 else { return c.wrongArity("object|\(name)") }
        guard let slot = peek(c.database, c[2]) else { return c.reply.null() }
        let entry = Table.entry(slot)
        let isLFU = state.pointee.settings.maxMemoryPolicy.isLFU
        if c.isWord(1, "encoding") {
            c.reply.bulk(encodingName(entry))
        } else if c.isWord(1, "refcount") {
            c.reply.integer(1)
        } else if c.isWord(1, "idletime") {
            if isLFU {
                return c.reply.error(
                    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
                )
            }
            c.reply.integer(idleSeconds(entry))
        } else {
            guard isLFU else {
                return c.reply.error(
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
                )
            }
            c.reply.integer(Int(lfuCounter(entry)))
        }
    }

    func replyHelp(_ c: Invocation, _ lines: [String]) {
        c.reply.array(lines.count)
        for line in lines { c.reply.simple(line) }
    }
}

private let objectHelp = [
    "OBJECT <subcommand> <key>. Subcommands are:",
    "ENCODING <key>", "    The representation of the value.",
    "FREQ <key>", "    The access frequency counter, with an LFU policy.",
    "IDLETIME <key>", "    Seconds since the last access, with any other policy.",
    "REFCOUNT <key>", "    Always 1: values are not shared.",
    "HELP", "    This text.",
]
