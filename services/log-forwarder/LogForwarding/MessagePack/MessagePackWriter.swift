// MessagePack as Fluentd's forward protocol uses it, written straight into an output buffer: no tree, no allocation.
import ByteStorage
import CLinux

/// A point in time with nanoseconds, as the forward protocol carries it.
public struct EventTime: Hashable, Sendable {
    /// Since 1970; the wire has 32 bits, unsigned.
    public var seconds: Int64
    public var nanoseconds: UInt32

    public init(seconds: Int64, nanoseconds: UInt32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

extension OutputBuffer {
    @inline(__always) func packBytes(_ first: UInt8, _ big: UInt16) {
        let target = reserve(3)
        target.storeBytes(of: first, as: UInt8.self)
        target.storeBytes(of: big.bigEndian, toByteOffset: 1, as: UInt16.self)
        commit(3)
    }

    @inline(__always) func packBytes(_ first: UInt8, _ big: UInt32) {
        let target = reserve(5)
        target.storeBytes(of: first, as: UInt8.self)
        target.storeBytes(of: big.bigEndian, toByteOffset: 1, as: UInt32.self)
        commit(5)
    }

    @inline(__always) func packBytes(_ first: UInt8, _ big: UInt64) {
        let target = reserve(9)
        target.storeBytes(of: first, as: UInt8.self)
        target.storeBytes(of: big.bigEndian, toByteOffset: 1, as: UInt64.self)
        commit(9)
    }

    func packNil() { append(byte: 0xc0) }
    func pack(_ flag: Bool) { append(byte: flag ? 0xc3 : 0xc2) }

    /// The shortest form.
    func pack(_ number: Int64) {
        if number >= 0 { return pack(UInt64(number)) }
        if number >= -32 { return append(byte: UInt8(bitPattern: Int8(number))) }
        if number >= Int64(Int8.min) {
            append(byte: 0xd0)
            return append(byte: UInt8(bitPattern: Int8(number)))
        }
        if number >= Int64(Int16.min) { return packBytes(0xd1, UInt16(bitPattern: Int16(number))) }
        if number >= Int64(Int32.min) { return packBytes(0xd2, UInt32(bitPattern: Int32(number))) }
        packBytes(0xd3, UInt64(bitPattern: number))
    }

    func pack(_ number: UInt64) {
        switch number {
        case 0..<128: append(byte: UInt8(number))
        case 128..<256:
            append(byte: 0xcc)
            append(byte: UInt8(number))
        case 256..<65536: packBytes(0xcd, UInt16(number))
        case 65536..<(1 << 32): packBytes(0xce, UInt32(number))
        default: packBytes(0xcf, number)
        }
    }

    func pack(_ number: Double) { packBytes(0xcb, number.bitPattern) }

    /// The header of a str; `count` bytes of UTF-8 must follow. More than 4 GiB cannot occur: lines have a limit.
    @inline(__always) func packStringHeader(_ count: Int) {
        if count < 32 { return append(byte: 0xa0 | UInt8(truncatingIfNeeded: count)) }
        if count < 256 {
            append(byte: 0xd9)
            return append(byte: UInt8(truncatingIfNeeded: count))
        }
        if count < 65536 { return packBytes(0xda, UInt16(truncatingIfNeeded: count)) }
        packBytes(0xdb, UInt32(clamping: count))
    }

    /// A str from bytes that are known to be UTF-8.
    @inline(__always) func packString(utf8 view: ByteView) {
        packStringHeader(view.count)
        append(view)
    }

    /// A str from bytes that should be UTF-8: what is ill-formed becomes U+FFFD.
    @inline(__always) func packString(_ view: ByteView) {
        if UTF8Check.isWellFormed(view) { return packString(utf8: view) }
        packString(view.string)
    }

    func packString(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            packStringHeader(bytes.count)
            if let base = bytes.baseAddress { append(UnsafeRawPointer(base), bytes.count) }
        }
    }

    func packBinaryHeader(_ count: Int) {
        if count < 256 {
            append(byte: 0xc4)
            return append(byte: UInt8(truncatingIfNeeded: count))
        }
        if count < 65536 { return packBytes(0xc5, UInt16(truncatingIfNeeded: count)) }
        packBytes(0xc6, UInt32(clamping: count))
    }

    func packArrayHeader(_ count: Int) {
        if count < 16 { return append(byte: 0x90 | UInt8(truncatingIfNeeded: count)) }
        if count < 65536 { return packBytes(0xdc, UInt16(truncatingIfNeeded: count)) }
        packBytes(0xdd, UInt32(clamping: count))
    }

    @inline(__always) func packMapHeader(_ count: Int) {
        if count < 16 { return append(byte: 0x80 | UInt8(truncatingIfNeeded: count)) }
        if count < 65536 { return packBytes(0xde, UInt16(truncatingIfNeeded: count)) }
        packBytes(0xdf, UInt32(clamping: count))
    }

    /// - Spec: Fluentd Forward Protocol v1, "EventTime Ext Format": fixext 8 of type 0, two big-endian words of 32 bits.
    @inline(__always) func pack(_ time: EventTime) {
        let target = reserve(10)
        target.storeBytes(of: 0xd7, as: UInt8.self)
        target.storeBytes(of: 0, toByteOffset: 1, as: UInt8.self)
        let seconds = UInt32(truncatingIfNeeded: max(0, min(time.seconds, Int64(UInt32.max))))
        target.storeBytes(of: seconds.bigEndian, toByteOffset: 2, as: UInt32.self)
        target.storeBytes(of: time.nanoseconds.bigEndian, toByteOffset: 6, as: UInt32.self)
        commit(10)
    }
}

enum UTF8Check {
    /// Whether the bytes are UTF-8, by the standard library's own rules. ASCII is passed eight bytes a step.
    @inline(__always) static func isWellFormed(_ view: ByteView) -> Bool {
        var index = 0
        while index &+ 8 <= view.count {
            if view.base.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 != 0 {
                return isWellFormedSlowly(view.slice(index, view.count))
            }
            index &+= 8
        }
        while index < view.count {
            if view[index] >= 0x80 { return isWellFormedSlowly(view.slice(index, view.count)) }
            index &+= 1
        }
        return true
    }

    @inline(never) private static func isWellFormedSlowly(_ view: ByteView) -> Bool {
        var decoder = UTF8()
        var bytes = view.buffer.makeIterator()
        while true {
            switch decoder.decode(&bytes) {
            case .scalarValue: continue
            case .emptyInput: return true
            case .error: return false
            }
        }
    }
}
