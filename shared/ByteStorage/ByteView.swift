import CLinux

/// A borrowed run of bytes: a pointer and a length, trivial to copy, nothing to retain.
///
/// The hot path passes arguments, keys and values as views. A view owns nothing: it is valid only as long as the buffer
/// that it points into is neither freed, moved nor rewritten, which on the path of a command means until the command
/// returns. `base` may point anywhere when `count` is 0.
@frozen public struct ByteView {
    public let base: UnsafeRawPointer
    public let count: Int

    @inlinable @inline(__always) public init(_ base: UnsafeRawPointer, _ count: Int) {
        self.base = base
        self.count = count
    }

    /// The bytes of a literal, which live as long as the process.
    @inlinable @inline(__always) public init(_ literal: StaticString) {
        self.base = UnsafeRawPointer(literal.utf8Start)
        self.count = literal.utf8CodeUnitCount
    }

    @inlinable @inline(__always) public subscript(_ index: Int) -> UInt8 {
        base.load(fromByteOffset: index, as: UInt8.self)
    }

    @inlinable public var isEmpty: Bool { count == 0 }

    @inlinable @inline(__always) public func slice(_ from: Int, _ to: Int) -> ByteView {
        ByteView(base + from, to &- from)
    }

    /// Byte-for-byte equality.
    @inlinable @inline(__always) public static func == (left: ByteView, right: ByteView) -> Bool {
        left.count == right.count && bytesEqual(left.base, right.base, left.count)
    }

    /// Order of `memcmp`, a shorter prefix first: negative, zero or positive.
    @inlinable public func compare(_ other: ByteView) -> Int {
        let order = memcmp(base, other.base, min(count, other.count))
        return order != 0 ? Int(order) : count &- other.count
    }

    /// Equality without regard to the case of ASCII letters; `lowercase` must hold no upper-case letter.
    @inlinable public func equalsIgnoringCase(_ lowercase: StaticString) -> Bool {
        guard count == lowercase.utf8CodeUnitCount else { return false }
        for index in 0..<count where asciiLowercased(self[index]) != lowercase.utf8Start[index] { return false }
        return true
    }

    /// A copy as an array. For cold paths.
    public var array: [UInt8] { [UInt8](UnsafeRawBufferPointer(start: base, count: count)) }

    /// A copy as a string, ill-formed UTF-8 repaired. For cold paths: logs and settings.
    public var string: String { String(decoding: UnsafeRawBufferPointer(start: base, count: count), as: UTF8.self) }

    public var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
}

@inlinable @inline(__always) public func asciiLowercased(_ byte: UInt8) -> UInt8 {
    byte &- 65 < 26 ? byte | 0x20 : byte
}

/// Equality of two runs of the same length, eight bytes a step: keys are short, and a call to `memcmp` costs more.
@inlinable @inline(__always)
public func bytesEqual(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ count: Int) -> Bool {
    if count >= 8 {
        var index = 0
        while index &+ 8 <= count {
            if left.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                != right.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            {
                return false
            }
            index &+= 8
        }
        return left.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            == right.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
    }
    var index = 0
    while index < count {
        if left.load(fromByteOffset: index, as: UInt8.self) != right.load(fromByteOffset: index, as: UInt8.self) {
            return false
        }
        index &+= 1
    }
    return true
}

extension Array where Element == UInt8 {
    /// Calls `body` with a view of the array's bytes, valid during the call only.
    @inlinable public func withView<Result>(_ body: (ByteView) throws -> Result) rethrows -> Result {
        try withUnsafeBytes { buffer in
            // SAFETY: a nil base comes with count 0; any non-null address serves then.
            try body(ByteView(buffer.baseAddress ?? UnsafeRawPointer(emptyByteBase), buffer.count))
        }
    }
}

/// An address for empty views. Nothing is ever read from it.
public var emptyByteBase: UnsafeRawPointer { ByteView("").base }
