import CLinux

/// The value of a decimal integer in Redis's strict form: an optional minus, no plus, no leading zero, no blank,
/// within Int64; nil otherwise.
@inlinable public func parseInteger(_ view: ByteView) -> Int64? {
    let count = view.count
    guard count > 0, count <= 20 else { return nil }
    var index = 0
    var negative = false
    if view[0] == 45 {
        negative = true
        index = 1
        guard count > 1 else { return nil }
    }
    let first = view[index] &- 48
    guard first <= 9 else { return nil }
    if first == 0 { return count == 1 ? 0 : nil }
    var magnitude = UInt64(first)
    index &+= 1
    while index < count {
        let digit = view[index] &- 48
        guard digit <= 9 else { return nil }
        let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
        if overflow || carry { return nil }
        magnitude = sum
        index &+= 1
    }
    if negative {
        guard magnitude <= 1 << 63 else { return nil }
        return Int64(truncatingIfNeeded: 0 &- magnitude)
    }
    return Int64(exactly: magnitude)
}

/// Writes `value` in decimal at `target` and returns the number of bytes, 20 at most.
@inlinable @inline(__always) public func formatInteger(_ value: Int64, _ target: UnsafeMutableRawPointer) -> Int {
    if value >= 0 && value < 10 {
        target.storeBytes(of: 48 &+ UInt8(truncatingIfNeeded: value), as: UInt8.self)
        return 1
    }
    var rest = value.magnitude
    var index = 0
    if value < 0 {
        target.storeBytes(of: 45, as: UInt8.self)
        index = 1
    }
    let digits = decimalDigits(rest)
    let total = index &+ digits
    index = total
    repeat {
        index &-= 1
        let quotient = rest / 10
        let digit = UInt8(truncatingIfNeeded: rest &- quotient &* 10)
        target.storeBytes(of: 48 &+ digit, toByteOffset: index, as: UInt8.self)
        rest = quotient
    } while rest != 0
    return total
}

@inlinable @inline(__always) public func decimalDigits(_ value: UInt64) -> Int {
    if value < 10 { return 1 }
    if value < 100 { return 2 }
    if value < 1000 { return 3 }
    if value < 10000 { return 4 }
    var digits = 4
    var rest = value / 10000
    while rest != 0 {
        digits &+= 1
        rest /= 10
    }
    return digits
}

extension OutputBuffer {
    @inlinable public func append(decimal value: Int64) {
        let target = reserve(20)
        commit(formatInteger(value, target))
    }
}
