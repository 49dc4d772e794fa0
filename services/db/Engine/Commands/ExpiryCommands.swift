// Commands that set, read and remove expiries.
//
// - Spec: Redis command reference 7.2: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT (NX, XX, GT, LT), TTL, PTTL, EXPIRETIME,
//   PEXPIRETIME, PERSIST.
import ByteStorage
import RESP

extension Engine {
    func expireCommand(_ c: Invocation, unit: TimeUnit, name: String) {
        guard let condition = ExpiryCondition(c), let value = c.integer(2) else { return }
        guard let time = absoluteTime(value, unit) else {
            return c.reply.error("ERR invalid expire time in '\(name)' command")
        }
        guard let slot = findSlot(c.database, c.key, c.hash) else { return c.reply.integer(0) }
        let entry = Table.entry(slot)
        guard condition.allows(current: entry.hasExpiry ? entry.expiry : nil, new: time) else {
            return c.reply.integer(0)
        }
        applyExpiry(c, slot, time)
        c.reply.integer(1)
    }

    /// Sets an absolute expiry, or deletes the key when the time is past, and propagates which of the two it was.
    func applyExpiry(_ c: Invocation, _ slot: Slot, _ time: Int64) {
        if time <= now, !state.pointee.obeysStream {
            changed(c.database, c.key)
            notify(.generic, "del", c.database, c.key)
            propagate(c.database, [ByteView("DEL"), c.key])
            remove(c.database, slot, c.hash)
            return
        }
        updateExpiry(c.database, slot, time)
        changed(c.database, c.key)
        notify(.generic, "expire", c.database, c.key)
        guard state.pointee.stream.isEnabled else { return }
        withDecimal(time) { propagate(c.database, [ByteView("PEXPIREAT"), c.key, $0]) }
    }

    func persist(_ c: Invocation) {
        guard let slot = findSlot(c.database, c.key, c.hash), Table.entry(slot).hasExpiry else {
            return c.reply.integer(0)
        }
        updateExpiry(c.database, slot, nil)
        changed(c.database, c.key)
        notify(.generic, "persist", c.database, c.key)
        c.reply.integer(1)
    }

    /// TTL and its kin: -2 without the key, -1 without an expiry.
    func timeToLive(_ c: Invocation, unit: TimeUnit) {
        guard let slot = peek(c.database, c.key) else { return c.reply.integer(-2) }
        let entry = Table.entry(slot)
        guard entry.hasExpiry else { return c.reply.integer(-1) }
        let milliseconds = unit.isRelative ? max(0, entry.expiry - now) : entry.expiry
        guard unit.isSeconds else { return c.reply.integer(milliseconds) }
        c.reply.integer(unit.isRelative ? (milliseconds + 500) / 1000 : milliseconds / 1000)
    }
}

/// The condition words of EXPIRE. A key without expiry counts as one that lives for ever.
private struct ExpiryCondition {
    private var onlyIfNone = false
    private var onlyIfSet = false
    private var onlyIfGreater = false
    private var onlyIfLess = false

    init?(_ c: Invocation) {
        for index in 3..<max(3, c.count) {
            let word = c[index]
            if word.equalsIgnoringCase("nx") {
                onlyIfNone = true
            } else if word.equalsIgnoringCase("xx") {
                onlyIfSet = true
            } else if word.equalsIgnoringCase("gt") {
                onlyIfGreater = true
            } else if word.equalsIgnoringCase("lt") {
                onlyIfLess = true
            } else {
                let shown = word.array.prefix { $0 != 0 }
                c.reply.error("ERR Unsupported option \(String(decoding: shown, as: UTF8.self))")
                return nil
            }
        }
        if onlyIfNone && (onlyIfSet || onlyIfGreater || onlyIfLess) {
            c.reply.error("ERR NX and XX, GT or LT options at the same time are not compatible")
            return nil
        }
        if onlyIfGreater && onlyIfLess {
            c.reply.error("ERR GT and LT options at the same time are not compatible")
            return nil
        }
    }

    func allows(current: Int64?, new: Int64) -> Bool {
        if onlyIfNone && current != nil || onlyIfSet && current == nil { return false }
        if onlyIfGreater && (current == nil || new <= current ?? .max) { return false }
        if onlyIfLess, let current, new >= current { return false }
        return true
    }
}
