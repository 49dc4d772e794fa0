// Commands on strings that hold numbers.
//
// - Spec: Redis command reference 7.2: INCR, INCRBY, DECR, DECRBY, INCRBYFLOAT.
import ByteStorage
import CLinux
import RESP

extension Engine {
    func increment(_ c: Invocation, by amount: Int64) {
        switch findString(c, c.key, c.hash) {
        case .wrongType: return
        case .absent:
            storeInteger(c, nil, amount)
        case .found(let slot):
            guard let value = parseInteger(Table.entry(slot).string) else {
                return c.reply.error(ErrorText.notInteger)
            }
            let (sum, overflow) = value.addingReportingOverflow(amount)
            if overflow { return c.reply.error(ErrorText.overflow) }
            storeInteger(c, slot, sum)
        }
    }

    private func storeInteger(_ c: Invocation, _ slot: Slot?, _ value: Int64) {
        let expiry = slot.flatMap { Table.entry($0).hasExpiry ? Table.entry($0).expiry : nil }
        withDecimal(value) { digits in
            if let slot, expiry != nil {
                replaceString(c.database, slot, c.key, digits, expiry)
            } else {
                setString(c.database, c.key, c.hash, digits, expiry: nil)
            }
        }
        changed(c.database, c.key)
        notify(.string, "incrby", c.database, c.key)
        c.reply.integer(value)
    }

    func decrementBy(_ c: Invocation) {
        guard let amount = c.integer(2) else { return }
        guard amount != .min else { return c.reply.error("ERR decrement would overflow") }
        increment(c, by: -amount)
    }

    func incrementByFloat(_ c: Invocation) {
        var current: [UInt8] = Array("0".utf8)
        var expiry: Int64?
        switch findString(c, c.key, c.hash) {
        case .wrongType: return
        case .absent: break
        case .found(let slot):
            current = Table.entry(slot).string.array
            expiry = Table.entry(slot).hasExpiry ? Table.entry(slot).expiry : nil
        }
        guard let sum = addFloats(c, current, c[2].array) else { return }
        sum.withView { sum in
            if let slot = findSlot(c.database, c.key, c.hash) {
                replaceString(c.database, slot, c.key, sum, expiry)
            } else {
                setString(c.database, c.key, c.hash, sum, expiry: nil)
            }
            changed(c.database, c.key)
            notify(.string, "incrbyfloat", c.database, c.key)
            c.reply.bulk(sum)
            // The sum, not the addend: replicas must not round differently.
            propagate(c.database, [ByteView("SET"), c.key, sum, ByteView("KEEPTTL")])
        }
    }

    /// The sum of two decimal numbers as text, 17 decimals at most, no trailing zeros; replies with the error on nil.
    func addFloats(_ c: Invocation, _ left: [UInt8], _ right: [UInt8]) -> [UInt8]? {
        // A zero byte would end the text for the C library: such a value is no number.
        guard left.count < 256, right.count < 256, !left.contains(0), !right.contains(0) else {
            c.reply.error(ErrorText.notFloat)
            return nil
        }
        var result = [CChar](repeating: 0, count: 5200)
        let length = (left + [0]).withUnsafeBufferPointer { left in
            (right + [0]).withUnsafeBufferPointer { right in
                left.withMemoryRebound(to: CChar.self) { left in
                    right.withMemoryRebound(to: CChar.self) { right in
                        Int(cl_add_long_double(left.baseAddress, right.baseAddress, &result, result.count))
                    }
                }
            }
        }
        if length == -2 {
            c.reply.error("ERR increment would produce NaN or Infinity")
            return nil
        }
        guard length > 0, length < result.count else {
            c.reply.error(ErrorText.notFloat)
            return nil
        }
        var text = result[..<length].map { UInt8(bitPattern: $0) }
        if text.contains(UInt8(ascii: ".")) {
            while text.last == UInt8(ascii: "0") { text.removeLast() }
            if text.last == UInt8(ascii: ".") { text.removeLast() }
        }
        if text == Array("-0".utf8) { text = Array("0".utf8) }
        return text
    }
}
