// The reply side of RESP as a server writes it: RESP2 and RESP3 from the same calls.
//
// - Spec: RESP protocol specification, RESP2 types and RESP3 types (null, boolean, double, big number, bulk error,
//   verbatim string, map, set, push).
import ByteStorage

/// Appends replies to a connection's output buffer. A trivial handle: copy it freely.
@frozen public struct ReplyWriter {
    public let out: OutputBuffer
    /// The connection speaks RESP3 (after `HELLO 3`).
    public let isRESP3: Bool

    @inlinable @inline(__always) public init(_ out: OutputBuffer, isRESP3: Bool = false) {
        self.out = out
        self.isRESP3 = isRESP3
    }

    // MARK: Scalars

    @inlinable @inline(__always) public func ok() {
        // "+OK\r\n" in one eight-byte store.
        out.reserve(8).storeBytes(of: 0x0a0d_4b4f2b, as: UInt64.self)
        out.commit(5)
    }

    /// A simple string. `text` must hold no CR or LF.
    @inlinable public func simple(_ text: StaticString) {
        out.append(byte: 43)
        out.append(text)
        crlf()
    }

    public func simple(_ text: String) {
        out.append(byte: 43)
        out.append(text)
        crlf()
    }

    /// An error: `text` starts with its code, as in `ERR syntax error`.
    @inline(never) public func error(_ text: StaticString) {
        out.state.pointee.errorMark = out.count &+ 1
        out.append(byte: 45)
        out.append(text)
        crlf()
    }

    /// An error with computed text; CR and LF in it become blanks.
    @inline(never) public func error(_ text: String) {
        out.state.pointee.errorMark = out.count &+ 1
        out.append(byte: 45)
        for byte in text.utf8 { out.append(byte: byte == 13 || byte == 10 ? 32 : byte) }
        crlf()
    }

    @inlinable @inline(__always) public func integer(_ value: Int64) { header(58, value) }
    @inlinable @inline(__always) public func integer(_ value: Int) { header(58, Int64(value)) }

    @inlinable @inline(__always) public func bulk(_ view: ByteView) { bulk(view.base, view.count) }

    @inlinable @inline(__always) public func bulk(_ base: UnsafeRawPointer, _ count: Int) {
        let target = out.reserve(count &+ 32)
        target.storeBytes(of: 36, as: UInt8.self)
        var length = 1 &+ formatInteger(Int64(count), target + 1)
        target.storeBytes(of: 0x0a0d, toByteOffset: length, as: UInt16.self)
        length &+= 2
        (target + length).copyMemory(from: base, byteCount: count)
        target.storeBytes(of: 0x0a0d, toByteOffset: length &+ count, as: UInt16.self)
        out.commit(length &+ count &+ 2)
    }

    @inlinable public func bulk(_ text: StaticString) { bulk(ByteView(text)) }

    public func bulk(_ text: String) {
        var text = text
        text.withUTF8 { bulk(ByteView($0.baseAddress.map { UnsafeRawPointer($0) } ?? emptyByteBase, $0.count)) }
    }

    public func bulk(_ bytes: [UInt8]) { bytes.withView { bulk($0) } }

    /// A bulk string that is the decimal form of `value`.
    @inlinable public func bulk(integer value: Int64) {
        let target = out.reserve(48)
        let digits = value < 0 ? decimalDigits(value.magnitude) &+ 1 : decimalDigits(value.magnitude)
        target.storeBytes(of: 36, as: UInt8.self)
        var length = 1 &+ formatInteger(Int64(digits), target + 1)
        target.storeBytes(of: 0x0a0d, toByteOffset: length, as: UInt16.self)
        length &+= 2
        length &+= formatInteger(value, target + length)
        target.storeBytes(of: 0x0a0d, toByteOffset: length, as: UInt16.self)
        out.commit(length &+ 2)
    }

    /// The absent value where RESP2 has `$-1`.
    @inlinable @inline(__always) public func null() {
        if isRESP3 { out.append("_\r\n") } else { out.append("$-1\r\n") }
    }

    /// The absent value where RESP2 has `*-1`.
    @inlinable public func nullArray() {
        if isRESP3 { out.append("_\r\n") } else { out.append("*-1\r\n") }
    }

    @inlinable public func boolean(_ value: Bool) {
        if isRESP3 {
            out.append(value ? "#t\r\n" : "#f\r\n")
        } else {
            integer(value ? 1 : 0)
        }
    }

    /// A double: RESP3 `,`, RESP2 a bulk string. `formatted` is the shortest text that reads back to the value.
    public func double(formatted: ByteView) {
        if isRESP3 {
            out.append(byte: 44)
            out.append(formatted)
            crlf()
        } else {
            bulk(formatted)
        }
    }

    /// A verbatim string of three-letter format, or a bulk string for RESP2.
    public func verbatim(_ text: String, format: StaticString = "txt") {
        guard isRESP3 else { return bulk(text) }
        header(61, Int64(text.utf8.count + 4))
        out.append(format)
        out.append(byte: 58)
        out.append(text)
        crlf()
    }

    // MARK: Aggregates

    @inlinable @inline(__always) public func array(_ count: Int) { header(42, Int64(count)) }
    /// `count` pairs follow. RESP2: a flat array.
    @inlinable public func map(_ count: Int) {
        if isRESP3 { header(37, Int64(count)) } else { header(42, Int64(count) &* 2) }
    }
    @inlinable public func set(_ count: Int) { header(isRESP3 ? 126 : 42, Int64(count)) }
    /// Out-of-band data. RESP2: an array.
    @inlinable public func push(_ count: Int) { header(isRESP3 ? 62 : 42, Int64(count)) }

    /// Puts an array header before what was written since `out.count` was `readable`, for replies whose number of elements
    /// is known only at the end. Costs one move of the elements.
    ///
    /// The place is given as a count of readable bytes because growing may move them within the buffer; it is valid as
    /// long as nothing is consumed.
    public func insertArrayHeader(_ count: Int, after readable: Int, kind: UInt8 = 42) {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 1) { scratch in
            guard let base = scratch.baseAddress else { return }
            base.storeBytes(of: kind, as: UInt8.self)
            var length = 1 + formatInteger(Int64(count), base + 1)
            base.storeBytes(of: 13, toByteOffset: length, as: UInt8.self)
            base.storeBytes(of: 10, toByteOffset: length + 1, as: UInt8.self)
            length += 2
            let tail = out.count - readable
            _ = out.reserve(length)
            let start = out.state.pointee.base + (out.end - tail)
            (start + length).copyMemory(from: start, byteCount: tail)
            start.copyMemory(from: base, byteCount: length)
            out.commit(length)
        }
    }

    @inlinable @inline(__always) public func crlf() {
        out.reserve(2).storeBytes(of: 0x0a0d, as: UInt16.self)
        out.commit(2)
    }

    @inlinable @inline(__always) func header(_ kind: UInt8, _ value: Int64) {
        let target = out.reserve(24)
        target.storeBytes(of: kind, as: UInt8.self)
        let length = 1 &+ formatInteger(value, target + 1)
        target.storeBytes(of: 0x0a0d, toByteOffset: length, as: UInt16.self)
        out.commit(length &+ 2)
    }
}
