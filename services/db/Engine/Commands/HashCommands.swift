// Commands on hashes.
//
// - Spec: Redis command reference 7.2, group "hash"; NOVALUES of HSCAN from 7.4.
import ByteStorage
import RESP

extension Engine {
    // MARK: Reading

    @inline(__always) private func readHash(_ c: Invocation, else absent: () -> Void) -> HashValue? {
        readCollection(c, .hash, else: absent).map { HashValue(word: $0.word) }
    }

    func hget(_ c: Invocation) {
        guard let hash = readHash(c, else: { c.reply.null() }) else { return }
        if let value = hash.get(self, c[2]) { c.reply.bulk(value) } else { c.reply.null() }
    }

    func hmget(_ c: Invocation) {
        func replyNulls() {
            c.reply.array(c.count - 2)
            for _ in 2..<c.count { c.reply.null() }
        }
        guard let hash = readHash(c, else: replyNulls) else { return }
        c.reply.array(c.count - 2)
        for index in 2..<c.count {
            if let value = hash.get(self, c[index]) { c.reply.bulk(value) } else { c.reply.null() }
        }
    }

    func hgetall(_ c: Invocation) {
        guard let hash = readHash(c, else: { c.reply.map(0) }) else { return }
        c.reply.map(hash.count)
        hash.forEach { field, value in
            c.reply.bulk(field)
            c.reply.bulk(value)
        }
    }

    func hkeys(_ c: Invocation) {
        guard let hash = readHash(c, else: { c.reply.array(0) }) else { return }
        c.reply.array(hash.count)
        hash.forEach { field, _ in c.reply.bulk(field) }
    }

    func hvals(_ c: Invocation) {
        guard let hash = readHash(c, else: { c.reply.array(0) }) else { return }
        c.reply.array(hash.count)
        hash.forEach { _, value in c.reply.bulk(value) }
    }

    func hlen(_ c: Invocation) {
        guard let hash = readHash(c, else: { c.reply.integer(0) }) else { return }
        c.reply.integer(hash.count)
    }

    func hstrlen(_ c: Invocation) {
        guard let hash = readHash(c, else: { c.reply.integer(0) }) else { return }
        c.reply.integer(hash.get(self, c[2])?.count ?? 0)
    }

    func hexists(_ c: Invocation) {
        guard let hash = readHash(c, else: { c.reply.integer(0) }) else { return }
        c.reply.integer(hash.get(self, c[2]) != nil ? 1 : 0)
    }

    func hscan(_ c: Invocation) {
        guard ScanOptions.hasCursor(c, 2), let hash = readHash(c, else: { replyEmptyScan(c) }),
            let options = ScanOptions(c, cursorIndex: 2, allowsNoValues: true)
        else { return }
        func emit(_ field: ByteView, _ value: ByteView) -> Int {
            guard options.matches(field) else { return 0 }
            c.reply.bulk(field)
            if options.withoutValues { return 1 }
            c.reply.bulk(value)
            return 2
        }
        guard hash.isCompact else {
            return replyScan(c, hash.table, options) { emit($0.key, $0.string) }
        }
        replyWholeScan(c) {
            var elements = 0
            hash.forEach { elements += emit($0, $1) }
            return elements
        }
    }

    // MARK: Changing

    func hset(_ c: Invocation, repliesOK: Bool) {
        guard c.count % 2 == 0 else { return c.wrongArity(repliesOK ? "hmset" : "hset") }
        guard let entry = hashToChange(c) else { return }
        var hash = HashValue(word: entry.word)
        var added = 0
        for index in stride(from: 2, to: c.count, by: 2) where hash.set(self, c[index], c[index + 1]) { added += 1 }
        entry.word = hash.word
        changed(c.database, c.key, (c.count - 2) / 2)
        notify(.hash, "hset", c.database, c.key)
        if repliesOK { c.reply.ok() } else { c.reply.integer(added) }
    }

    /// The hash under the command's key, made when absent; nil after WRONGTYPE. The caller puts a field into it.
    @inline(__always) private func hashToChange(_ c: Invocation) -> Entry? {
        switch findCollection(c, c.key, c.hash, .hash) {
        case .found(let entry): entry
        case .wrongType: nil
        case .absent: insertCollection(c.database, c.key, c.hash, .hash, HashValue.make(self).word)
        }
    }

    func hsetnx(_ c: Invocation) {
        guard let entry = hashToChange(c) else { return }
        var hash = HashValue(word: entry.word)
        if hash.get(self, c[2]) != nil { return c.reply.integer(0) }
        _ = hash.set(self, c[2], c[3])
        entry.word = hash.word
        changed(c.database, c.key)
        notify(.hash, "hset", c.database, c.key)
        c.reply.integer(1)
    }

    func hdel(_ c: Invocation) {
        switch findCollection(c, c.key, c.hash, .hash) {
        case .absent: return c.reply.integer(0)
        case .wrongType: return
        case .found(let entry):
            var hash = HashValue(word: entry.word)
            var removed = 0
            for index in 2..<c.count where hash.remove(self, c[index]) { removed += 1 }
            entry.word = hash.word
            if removed > 0 {
                changed(c.database, c.key, removed)
                notify(.hash, "hdel", c.database, c.key)
                if hash.count == 0 { deleteEmptied(c.database, c.key) }
            }
            c.reply.integer(removed)
        }
    }

    func hincrby(_ c: Invocation) {
        guard let amount = c.integer(3) else { return }
        var current: Int64 = 0
        switch findCollection(c, c.key, c.hash, .hash) {
        case .wrongType: return
        case .absent: break
        case .found(let entry):
            if let text = HashValue(word: entry.word).get(self, c[2]) {
                guard let value = parseInteger(text) else { return c.reply.error("ERR hash value is not an integer") }
                current = value
            }
        }
        let (sum, overflow) = current.addingReportingOverflow(amount)
        if overflow { return c.reply.error(ErrorText.overflow) }
        withDecimal(sum) { storeField(c, $0, "hincrby") }
        c.reply.integer(sum)
    }

    func hincrbyfloat(_ c: Invocation) {
        guard let amount = parseDouble(c[3]) else { return c.reply.error(ErrorText.notFloat) }
        guard amount.isFinite else { return c.reply.error("ERR value is NaN or Infinity") }
        var current = Array("0".utf8)
        switch findCollection(c, c.key, c.hash, .hash) {
        case .wrongType: return
        case .absent: break
        case .found(let entry):
            if let text = HashValue(word: entry.word).get(self, c[2]) {
                guard parseDouble(text) != nil else { return c.reply.error("ERR hash value is not a float") }
                current = text.array
            }
        }
        guard let sum = addFloats(c, current, c[3].array) else { return }
        sum.withView { sum in
            storeField(c, sum, "hincrbyfloat")
            c.reply.bulk(sum)
            // The sum, not the addend: replicas must not round differently.
            propagate(c.database, [ByteView("HSET"), c.key, c[2], sum])
        }
    }

    /// Sets the command's field to `value`, which lies in memory of its own.
    private func storeField(_ c: Invocation, _ value: ByteView, _ event: StaticString) {
        guard let entry = hashToChange(c) else { return }
        var hash = HashValue(word: entry.word)
        _ = hash.set(self, c[2], value)
        entry.word = hash.word
        changed(c.database, c.key)
        notify(.hash, event, c.database, c.key)
    }

    // MARK: Random fields

    func hrandfield(_ c: Invocation) {
        if c.count == 2 {
            guard let hash = readHash(c, else: { c.reply.null() }) else { return }
            if let pair = hash.random(&state.pointee.random) { c.reply.bulk(pair.field) } else { c.reply.null() }
            return
        }
        let withValues = c.count == 4
        guard let count = randomCount(c, 2, isPaired: withValues && c.isWord(3, "withvalues")) else { return }
        if c.count > 4 || withValues && !c.isWord(3, "withvalues") { return c.reply.error(ErrorText.syntax) }
        guard let hash = readHash(c, else: { c.reply.array(0) }) else { return }
        let number = count < 0 ? -count : min(count, hash.count)
        let isNested = withValues && c.reply.isRESP3
        c.reply.array(withValues && !isNested ? number * 2 : number)
        func emit(_ field: ByteView, _ value: ByteView) {
            if isNested { c.reply.array(2) }
            c.reply.bulk(field)
            if withValues { c.reply.bulk(value) }
        }
        if count < 0 {
            for _ in 0..<number {
                if let pair = hash.random(&state.pointee.random) { emit(pair.field, pair.value) }
            }
        } else if number == hash.count {
            hash.forEach(emit)
        } else if hash.isCompact {
            var pairs: [(ByteView, ByteView)] = []
            hash.forEach { pairs.append(($0, $1)) }
            shuffleFront(&pairs, number)
            for pair in pairs[..<number] { emit(pair.0, pair.1) }
        } else {
            for entry in randomEntries(hash.table, number) { emit(entry.key, entry.string) }
        }
    }
}
