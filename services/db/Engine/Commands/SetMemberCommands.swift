// Commands on the members of one set, and SMOVE.
//
// - Spec: Redis command reference 7.2, group "set".
import ByteStorage
import RESP

extension Engine {
    // MARK: Reading

    @inline(__always) private func readSet(_ c: Invocation, else absent: () -> Void) -> SetValue? {
        readCollection(c, .set, else: absent).map { SetValue(word: $0.word) }
    }

    func scard(_ c: Invocation) {
        guard let set = readSet(c, else: { c.reply.integer(0) }) else { return }
        c.reply.integer(set.count)
    }

    func sismember(_ c: Invocation) {
        guard let set = readSet(c, else: { c.reply.integer(0) }) else { return }
        c.reply.integer(set.contains(self, c[2]) ? 1 : 0)
    }

    func smismember(_ c: Invocation) {
        func replyZeros() {
            c.reply.array(c.count - 2)
            for _ in 2..<c.count { c.reply.integer(0) }
        }
        guard let set = readSet(c, else: replyZeros) else { return }
        c.reply.array(c.count - 2)
        for index in 2..<c.count { c.reply.integer(set.contains(self, c[index]) ? 1 : 0) }
    }

    func smembers(_ c: Invocation) {
        guard let set = readSet(c, else: { c.reply.set(0) }) else { return }
        c.reply.set(set.count)
        set.forEach { c.reply.bulk($0) }
    }

    func sscan(_ c: Invocation) {
        guard ScanOptions.hasCursor(c, 2), let set = readSet(c, else: { replyEmptyScan(c) }),
            let options = ScanOptions(c, cursorIndex: 2)
        else { return }
        func emit(_ member: ByteView) -> Int {
            guard options.matches(member) else { return 0 }
            c.reply.bulk(member)
            return 1
        }
        if set.encoding == .indexed { return replyScan(c, set.table, options) { emit($0.key) } }
        replyWholeScan(c) {
            var elements = 0
            set.forEach { elements += emit($0) }
            return elements
        }
    }

    // MARK: Changing

    func sadd(_ c: Invocation) {
        let entry: Entry
        switch findCollection(c, c.key, c.hash, .set) {
        case .wrongType: return
        case .found(let found): entry = found
        case .absent: entry = insertCollection(c.database, c.key, c.hash, .set, SetValue.make(self).word)
        }
        var set = SetValue(word: entry.word)
        var added = 0
        for index in 2..<c.count where set.add(self, c[index]) { added += 1 }
        entry.word = set.word
        if added > 0 {
            changed(c.database, c.key, added)
            notify(.set, "sadd", c.database, c.key)
        }
        c.reply.integer(added)
    }

    func srem(_ c: Invocation) {
        switch findCollection(c, c.key, c.hash, .set) {
        case .wrongType: return
        case .absent: return c.reply.integer(0)
        case .found(let entry):
            var set = SetValue(word: entry.word)
            var removed = 0
            for index in 2..<c.count where set.remove(self, c[index]) { removed += 1 }
            entry.word = set.word
            if removed > 0 {
                changed(c.database, c.key, removed)
                notify(.set, "srem", c.database, c.key)
                if set.count == 0 { deleteEmptied(c.database, c.key) }
            }
            c.reply.integer(removed)
        }
    }

    func smove(_ c: Invocation) {
        let source: Entry
        switch findCollection(c, c.key, c.hash, .set) {
        case .wrongType: return
        case .absent: return c.reply.integer(0)
        case .found(let entry): source = entry
        }
        let targetHash = hash(c[2])
        let lookup = findCollection(c, c[2], targetHash, .set)
        if case .wrongType = lookup { return }
        var from = SetValue(word: source.word)
        if c[1] == c[2] { return c.reply.integer(from.contains(self, c[3]) ? 1 : 0) }
        guard from.remove(self, c[3]) else { return c.reply.integer(0) }
        source.word = from.word
        changed(c.database, c.key)
        notify(.set, "srem", c.database, c.key)
        if from.count == 0 { deleteEmptied(c.database, c.key) }
        let target: Entry
        if case .found(let entry) = lookup {
            target = entry
        } else {
            target = insertCollection(c.database, c[2], targetHash, .set, SetValue.make(self).word)
        }
        var to = SetValue(word: target.word)
        let isNew = to.add(self, c[3])
        target.word = to.word
        if isNew {
            changed(c.database, c[2])
            notify(.set, "sadd", c.database, c[2])
        }
        c.reply.integer(1)
    }

    // MARK: Random members

    func spop(_ c: Invocation) {
        if c.count > 3 { return c.reply.error(ErrorText.syntax) }
        var wanted: Int64?
        if c.count == 3 {
            guard let count = c.positive(2) else { return }
            wanted = count
        }
        let entry: Entry
        switch findCollection(c, c.key, c.hash, .set) {
        case .wrongType: return
        case .absent:
            if wanted == nil { c.reply.null() } else { c.reply.set(0) }
            return
        case .found(let found): entry = found
        }
        if wanted == 0 { return c.reply.set(0) }
        let set = SetValue(word: entry.word)
        let isWhole = wanted.map { $0 >= Int64(set.count) } ?? false
        if isWhole {
            c.reply.set(set.count)
            set.forEach { c.reply.bulk($0) }
            changed(c.database, c.key, set.count)
            notify(.set, "spop", c.database, c.key)
            deleteEmptied(c.database, c.key)
            return propagate(c.database, [ByteView("DEL"), c.key])
        }
        popSome(c, entry, Int(wanted ?? 1), isSingle: wanted == nil)
    }

    /// Takes `number` random members out. What goes to log and replicas names them.
    private func popSome(_ c: Invocation, _ entry: Entry, _ number: Int, isSingle: Bool) {
        var set = SetValue(word: entry.word)
        var popped = ByteStrings()
        defer { popped.destroy() }
        for _ in 0..<number {
            set.withRandom(&state.pointee.random) { popped.append($0) }
            _ = set.remove(self, popped[popped.count - 1])
        }
        entry.word = set.word
        if !isSingle { c.reply.set(number) }
        for index in 0..<number { c.reply.bulk(popped[index]) }
        changed(c.database, c.key, number)
        notify(.set, "spop", c.database, c.key)
        for start in stride(from: 0, to: number, by: 1024) {
            let members = (start..<min(start + 1024, number)).map { popped[$0] }
            propagate(c.database, [ByteView("SREM"), c.key] + members)
        }
        if set.count == 0 { deleteEmptied(c.database, c.key) }
    }

    func srandmember(_ c: Invocation) {
        if c.count > 3 { return c.reply.error(ErrorText.syntax) }
        if c.count == 2 {
            guard let set = readSet(c, else: { c.reply.null() }) else { return }
            return set.withRandom(&state.pointee.random) { c.reply.bulk($0) }
        }
        guard let count = randomCount(c, 2) else { return }
        guard let set = readSet(c, else: { c.reply.array(0) }) else { return }
        let number = count < 0 ? -count : min(count, set.count)
        c.reply.array(number)
        if count < 0 {
            for _ in 0..<number { set.withRandom(&state.pointee.random) { c.reply.bulk($0) } }
        } else if number == set.count {
            set.forEach { c.reply.bulk($0) }
        } else if set.encoding == .indexed {
            for entry in randomEntries(set.table, number) { c.reply.bulk(entry.key) }
        } else {
            var members = ByteStrings()
            defer { members.destroy() }
            set.forEach { members.append($0) }
            var order = Array(0..<members.count)
            shuffleFront(&order, number)
            for index in order[..<number] { c.reply.bulk(members[index]) }
        }
    }
}

extension Invocation {
    /// The integer argument at `index`, 0 or more; replies with the error and returns nil when it is none.
    func positive(_ index: Int) -> Int64? {
        if let value = parseInteger(self[index]), value >= 0 { return value }
        reply.error("ERR value is out of range, must be positive")
        return nil
    }
}
