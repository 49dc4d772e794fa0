// SET with all its options, SETEX and PSETEX, GETEX: a string and its expiry in one command.
//
// What goes to log and replicas carries absolute times only, so that a late replay expires at the same instant.
//
// - Spec: Redis command reference 7.2: SET, SETEX, PSETEX, GETEX.
import ByteStorage
import RESP

/// The expiry part of SET and GETEX.
enum ExpiryOption {
    case none
    case keep
    case persist
    /// Milliseconds since 1970.
    case at(Int64)
}

extension Engine {
    @inline(__always) func set(_ c: Invocation) {
        if c.count == 3 {
            setString(c.database, c.key, c.hash, c[2], expiry: nil)
            wroteString(c, c.key)
            return c.reply.ok()
        }
        setWithOptions(c)
    }

    @inline(never) private func setWithOptions(_ c: Invocation) {
        var expiry = ExpiryOption.none
        var onlyIfAbsent = false
        var onlyIfPresent = false
        var wantsOld = false
        var timeArgument: (index: Int, unit: TimeUnit)?
        var index = 3
        while index < c.count {
            let word = c[index]
            if word.equalsIgnoringCase("nx"), !onlyIfPresent {
                onlyIfAbsent = true
            } else if word.equalsIgnoringCase("xx"), !onlyIfAbsent {
                onlyIfPresent = true
            } else if word.equalsIgnoringCase("get") {
                wantsOld = true
            } else if timeArgument == nil, word.equalsIgnoringCase("keepttl") {
                expiry = .keep
            } else if timeArgument == nil, case .none = expiry, index + 1 < c.count, let unit = TimeUnit(word) {
                timeArgument = (index + 1, unit)
                index += 1
            } else {
                return c.reply.error(ErrorText.syntax)
            }
            index += 1
        }
        if let (index, unit) = timeArgument {
            guard let time = absoluteTime(c, index, unit, "set") else { return }
            expiry = .at(time)
        }
        let slot = findSlot(c.database, c.key, c.hash)
        if wantsOld, let slot, !Table.entry(slot).kind.isString { return c.wrongType() }
        if wantsOld {
            if let slot { c.reply.bulk(Table.entry(slot).string) } else { c.reply.null() }
        }
        if onlyIfAbsent && slot != nil || onlyIfPresent && slot == nil {
            if !wantsOld { c.reply.null() }
            return
        }
        var time: Int64?
        switch expiry {
        case .none, .persist: time = nil
        case .keep: time = slot.flatMap { Table.entry($0).hasExpiry ? Table.entry($0).expiry : nil }
        case .at(let value): time = value
        }
        storeWithExpiry(c, value: c[2], time: time)
        if case .keep = expiry { propagate(c.database, [ByteView("SET"), c.key, c[2], ByteView("KEEPTTL")]) }
        if !wantsOld { c.reply.ok() }
    }

    func setex(_ c: Invocation, unit: TimeUnit, name: String) {
        guard let time = absoluteTime(c, 2, unit, name) else { return }
        storeWithExpiry(c, value: c[3], time: time)
        c.reply.ok()
    }

    /// Stores and propagates `SET key value [PXAT time]`; a time already past deletes the key instead.
    private func storeWithExpiry(_ c: Invocation, value: ByteView, time: Int64?) {
        if let time, time <= now, !state.pointee.obeysStream {
            if deleteKey(c.database, c.key) {
                changed(c.database, c.key)
                notify(.generic, "del", c.database, c.key)
                propagate(c.database, [ByteView("DEL"), c.key])
            }
            return
        }
        setString(c.database, c.key, c.hash, value, expiry: time)
        wroteString(c, c.key)
        guard let time else { return propagate(c.database, [ByteView("SET"), c.key, value]) }
        notify(.generic, "expire", c.database, c.key)
        if state.pointee.stream.isEnabled {
            withDecimal(time) {
                propagate(c.database, [ByteView("SET"), c.key, value, ByteView("PXAT"), $0])
            }
        }
    }

    func getex(_ c: Invocation) {
        var option = ExpiryOption.none
        var unit: TimeUnit?
        if c.count == 3, c.isWord(2, "persist") {
            option = .persist
        } else if c.count == 4 {
            unit = TimeUnit(c[2])
            if unit == nil { return c.reply.error(ErrorText.syntax) }
        } else if c.count > 2 {
            return c.reply.error(ErrorText.syntax)
        }
        guard let entry = findToRead(c.database, c.key, c.hash) else { return c.reply.null() }
        guard entry.kind.isString else { return c.wrongType() }
        if let unit {
            guard let time = absoluteTime(c, 3, unit, "getex") else { return }
            option = .at(time)
        }
        c.reply.bulk(entry.string)
        guard let slot = findSlot(c.database, c.key, c.hash) else { return }
        switch option {
        case .none, .keep: return
        case .persist:
            guard entry.hasExpiry else { return }
            updateExpiry(c.database, slot, nil)
            changed(c.database, c.key)
            notify(.generic, "persist", c.database, c.key)
            propagate(c.database, [ByteView("PERSIST"), c.key])
        case .at(let time):
            applyExpiry(c, slot, time)
        }
    }
}

/// How a time argument is to be read.
enum TimeUnit {
    case seconds, milliseconds, atSeconds, atMilliseconds

    /// The option words EX, PX, EXAT, PXAT.
    init?(_ word: ByteView) {
        if word.equalsIgnoringCase("ex") {
            self = .seconds
        } else if word.equalsIgnoringCase("px") {
            self = .milliseconds
        } else if word.equalsIgnoringCase("exat") {
            self = .atSeconds
        } else if word.equalsIgnoringCase("pxat") {
            self = .atMilliseconds
        } else {
            return nil
        }
    }

    var isRelative: Bool { self == .seconds || self == .milliseconds }
    var isSeconds: Bool { self == .seconds || self == .atSeconds }
}

extension Engine {
    /// Milliseconds since 1970 of the argument at `index`; replies with Redis's errors and returns nil when it is not a
    /// positive time that fits.
    func absoluteTime(_ c: Invocation, _ index: Int, _ unit: TimeUnit, _ name: String) -> Int64? {
        guard let value = c.integer(index) else { return nil }
        guard value > 0, let time = absoluteTime(value, unit) else {
            c.reply.error("ERR invalid expire time in '\(name)' command")
            return nil
        }
        return time
    }

    /// nil when the sum does not fit into 64 bits.
    func absoluteTime(_ value: Int64, _ unit: TimeUnit) -> Int64? {
        let (milliseconds, tooLong) = unit.isSeconds ? value.multipliedReportingOverflow(by: 1000) : (value, false)
        if tooLong { return nil }
        guard unit.isRelative else { return milliseconds }
        let (time, overflow) = milliseconds.addingReportingOverflow(now)
        return overflow ? nil : time
    }
}
