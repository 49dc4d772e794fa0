import ByteStorage
import CLinux

// Walkers over Redis's compact in-memory encodings, which RDB files hold as opaque strings: listpack, ziplist, intset,
// zipmap. Each is a struct with `next()`; each checks every length against the end of its blob before it looks at a
// byte, so a damaged blob is an error with the place in the blob.
//
// - Spec: listpack (antirez/listpack, "listpack.md"); ziplist, intset and zipmap as in RDB files of Redis 2.4 to 7.0.

enum PackedValue {
    case bytes(ByteView)
    case integer(Int64)
}

struct PackedError: Error {
    /// Within the blob.
    let offset: Int
    let expected: StaticString
}

protocol PackedWalker {
    init(_ blob: ByteView) throws(PackedError)
    /// The next value, or nil at the end, when all of the blob has been seen.
    mutating func next() throws(PackedError) -> PackedValue?
}

extension ByteView {
    @inline(__always) func little<Value: FixedWidthInteger>(_ type: Value.Type, _ offset: Int) -> Value {
        Value(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }

    /// A 24-bit signed integer, least significant byte first.
    @inline(__always) func little24(_ offset: Int) -> Int64 {
        let raw = UInt32(self[offset]) | UInt32(self[offset &+ 1]) << 8 | UInt32(self[offset &+ 2]) << 16
        return Int64(Int32(bitPattern: raw << 8) >> 8)
    }
}

struct ListpackWalker: PackedWalker {
    private let blob: ByteView
    private var position = 6
    private var seen = 0
    private let stated: Int

    init(_ blob: ByteView) throws(PackedError) {
        guard blob.count >= 7 else { throw PackedError(offset: 0, expected: "a listpack of at least 7 bytes") }
        guard blob.little(UInt32.self, 0) == blob.count else {
            throw PackedError(offset: 0, expected: "the listpack's own length")
        }
        stated = Int(blob.little(UInt16.self, 4))
        self.blob = blob
    }

    mutating func next() throws(PackedError) -> PackedValue? {
        let start = position
        let left = blob.count &- start
        guard left > 0 else { throw PackedError(offset: start, expected: "a listpack entry or end mark") }
        let first = blob[start]
        if first == 0xff {
            guard left == 1 else { throw PackedError(offset: start, expected: "the end mark as last byte") }
            guard stated == seen || stated == 0xffff else {
                throw PackedError(offset: 4, expected: "a count of entries that is right")
            }
            return nil
        }
        let value: PackedValue
        let size: Int
        if first < 0x80 {
            value = .integer(Int64(first))
            size = 1
        } else if first < 0xc0 {
            size = 1 &+ Int(first & 0x3f)
            value = .bytes(try text(start, 1, size, left))
        } else if first < 0xe0 {
            size = try fixed(2, start, left)
            let raw = Int64(first & 0x1f) << 8 | Int64(blob[start &+ 1])
            value = .integer(raw >= 1 << 12 ? raw &- 1 << 13 : raw)
        } else if first < 0xf0 {
            _ = try fixed(2, start, left)
            size = 2 &+ (Int(first & 0x0f) << 8 | Int(blob[start &+ 1]))
            value = .bytes(try text(start, 2, size, left))
        } else {
            switch first {
            case 0xf0:
                _ = try fixed(5, start, left)
                size = 5 &+ Int(blob.little(UInt32.self, start &+ 1))
                value = .bytes(try text(start, 5, size, left))
            case 0xf1:
                size = try fixed(3, start, left)
                value = .integer(Int64(blob.little(Int16.self, start &+ 1)))
            case 0xf2:
                size = try fixed(4, start, left)
                value = .integer(blob.little24(start &+ 1))
            case 0xf3:
                size = try fixed(5, start, left)
                value = .integer(Int64(blob.little(Int32.self, start &+ 1)))
            case 0xf4:
                size = try fixed(9, start, left)
                value = .integer(blob.little(Int64.self, start &+ 1))
            default: throw PackedError(offset: start, expected: "a listpack entry's encoding")
            }
        }
        position = try skipBackwardLength(start &+ size, size)
        seen &+= 1
        return value
    }

    private func fixed(_ size: Int, _ start: Int, _ left: Int) throws(PackedError) -> Int {
        guard left > size else { throw PackedError(offset: start, expected: "an entry inside the listpack") }
        return size
    }

    private func text(_ start: Int, _ header: Int, _ size: Int, _ left: Int) throws(PackedError) -> ByteView {
        guard left > size else { throw PackedError(offset: start, expected: "a string inside the listpack") }
        return blob.slice(start &+ header, start &+ size)
    }

    /// Each entry is followed by its size, in 7-bit groups, most significant first, all but the first marked.
    private func skipBackwardLength(_ start: Int, _ size: Int) throws(PackedError) -> Int {
        let length = size < 128 ? 1 : size < 1 << 14 ? 2 : size < 1 << 21 ? 3 : size < 1 << 28 ? 4 : 5
        guard blob.count &- start > length else {
            throw PackedError(offset: start, expected: "an entry's backward length")
        }
        for index in 0..<length {
            let group = UInt8(truncatingIfNeeded: (size >> (7 &* (length &- 1 &- index))) & 0x7f)
            guard blob[start &+ index] == (index == 0 ? group : group | 0x80) else {
                throw PackedError(offset: start, expected: "the entry's own length")
            }
        }
        return start &+ length
    }
}

struct ZiplistWalker: PackedWalker {
    private let blob: ByteView
    private var position = 10
    private var previousSize = 0
    private var seen = 0
    private let stated: Int

    init(_ blob: ByteView) throws(PackedError) {
        guard blob.count >= 11 else { throw PackedError(offset: 0, expected: "a ziplist of at least 11 bytes") }
        guard blob.little(UInt32.self, 0) == blob.count else {
            throw PackedError(offset: 0, expected: "the ziplist's own length")
        }
        stated = Int(blob.little(UInt16.self, 8))
        self.blob = blob
    }

    mutating func next() throws(PackedError) -> PackedValue? {
        let start = position
        guard start < blob.count else { throw PackedError(offset: start, expected: "a ziplist entry or end mark") }
        if blob[start] == 0xff {
            guard start &+ 1 == blob.count else {
                throw PackedError(offset: start, expected: "the end mark as last byte")
            }
            guard stated == seen || stated == 0xffff else {
                throw PackedError(offset: 8, expected: "a count of entries that is right")
            }
            return nil
        }
        var cursor = start &+ 1
        var previous = Int(blob[start])
        if previous == 254 {
            guard blob.count &- cursor > 4 else { throw outside(start) }
            previous = Int(blob.little(UInt32.self, cursor))
            cursor &+= 4
        }
        guard previous == previousSize else {
            throw PackedError(offset: start, expected: "the length of the entry before")
        }
        // At least one byte, the end mark, must follow whatever is read: hence `>` below.
        guard blob.count &- cursor > 1 else { throw outside(start) }
        let encoding = blob[cursor]
        let left = blob.count &- cursor
        let header: Int
        var length = 0
        switch encoding >> 6 {
        case 0:
            header = 1
            length = Int(encoding & 0x3f)
        case 1:
            header = 2
            guard left > 2 else { throw outside(start) }
            length = Int(encoding & 0x3f) << 8 | Int(blob[cursor &+ 1])
        case 2:
            header = 5
            guard left > 5, encoding == 0x80 else { throw outside(start) }
            length = Int(UInt32(bigEndian: blob.base.loadUnaligned(fromByteOffset: cursor &+ 1, as: UInt32.self)))
        default:
            let (value, size) = try integer(encoding, cursor, left, start)
            finish(start, cursor &+ size)
            return .integer(value)
        }
        guard left &- header > length else { throw outside(start) }
        let text = blob.slice(cursor &+ header, cursor &+ header &+ length)
        finish(start, cursor &+ header &+ length)
        return .bytes(text)
    }

    private func integer(
        _ encoding: UInt8, _ cursor: Int, _ left: Int, _ start: Int
    ) throws(PackedError) -> (Int64, Int) {
        let size: Int
        switch encoding {
        case 0xc0: size = 3
        case 0xd0: size = 5
        case 0xe0: size = 9
        case 0xf0: size = 4
        case 0xfe: size = 2
        case 0xf1...0xfd: return (Int64(encoding & 0x0f) &- 1, 1)
        default: throw PackedError(offset: cursor, expected: "a ziplist entry's encoding")
        }
        guard left > size else { throw outside(start) }
        switch encoding {
        case 0xc0: return (Int64(blob.little(Int16.self, cursor &+ 1)), size)
        case 0xd0: return (Int64(blob.little(Int32.self, cursor &+ 1)), size)
        case 0xe0: return (blob.little(Int64.self, cursor &+ 1), size)
        case 0xf0: return (blob.little24(cursor &+ 1), size)
        default: return (Int64(Int8(bitPattern: blob[cursor &+ 1])), size)
        }
    }

    private mutating func finish(_ start: Int, _ end: Int) {
        previousSize = end &- start
        position = end
        seen &+= 1
    }

    private func outside(_ start: Int) -> PackedError {
        PackedError(offset: start, expected: "an entry inside the ziplist")
    }
}

struct IntsetWalker: PackedWalker {
    private let blob: ByteView
    private let width: Int
    private var position = 8
    private var previous: Int64?

    init(_ blob: ByteView) throws(PackedError) {
        guard blob.count >= 8 else { throw PackedError(offset: 0, expected: "an intset of at least 8 bytes") }
        width = Int(blob.little(UInt32.self, 0))
        guard width == 2 || width == 4 || width == 8 else {
            throw PackedError(offset: 0, expected: "an integer width of 2, 4 or 8")
        }
        let (bytes, overflow) = Int(blob.little(UInt32.self, 4)).multipliedReportingOverflow(by: width)
        guard !overflow, bytes == blob.count &- 8 else {
            throw PackedError(offset: 4, expected: "as many integers as the intset has room for")
        }
        self.blob = blob
    }

    mutating func next() throws(PackedError) -> PackedValue? {
        // The initialiser checked that the blob is a whole number of integers.
        guard position < blob.count else { return nil }
        let value: Int64
        switch width {
        case 2: value = Int64(blob.little(Int16.self, position))
        case 4: value = Int64(blob.little(Int32.self, position))
        default: value = blob.little(Int64.self, position)
        }
        if let previous, previous >= value {
            throw PackedError(offset: position, expected: "integers in ascending order")
        }
        previous = value
        position &+= width
        return .integer(value)
    }
}

struct ZipmapWalker: PackedWalker {
    private let blob: ByteView
    private var position = 1
    private var isValue = false

    init(_ blob: ByteView) throws(PackedError) {
        guard blob.count >= 2 else { throw PackedError(offset: 0, expected: "a zipmap of at least 2 bytes") }
        self.blob = blob
    }

    mutating func next() throws(PackedError) -> PackedValue? {
        let start = position
        guard start < blob.count else { throw PackedError(offset: start, expected: "a zipmap entry or end mark") }
        var length = Int(blob[start])
        var cursor = start &+ 1
        if length == 255 {
            guard !isValue, cursor == blob.count else {
                throw PackedError(offset: start, expected: "the end mark as last byte")
            }
            return nil
        }
        if length == 254 {
            guard blob.count &- cursor > 4 else { throw PackedError(offset: start, expected: "a four-byte length") }
            length = Int(blob.little(UInt32.self, cursor))
            cursor &+= 4
        }
        var unused = 0
        if isValue {
            guard cursor < blob.count else { throw PackedError(offset: cursor, expected: "a count of unused bytes") }
            unused = Int(blob[cursor])
            cursor &+= 1
        }
        guard blob.count &- cursor > length &+ unused else {
            throw PackedError(offset: start, expected: "a string inside the zipmap")
        }
        position = cursor &+ length &+ unused
        isValue.toggle()
        return .bytes(blob.slice(cursor, cursor &+ length))
    }
}

/// The value of a score's text, as `strtod` reads it; nil for anything else, and for NaN.
func parseScore(_ view: ByteView) -> Double? {
    guard view.count > 0, view.count <= 255 else { return nil }
    return withUnsafeTemporaryAllocation(byteCount: view.count &+ 1, alignment: 1) { text in
        guard let base = text.baseAddress else { return nil }
        base.copyMemory(from: view.base, byteCount: view.count)
        base.storeBytes(of: 0, toByteOffset: view.count, as: UInt8.self)
        let start = base.assumingMemoryBound(to: CChar.self)
        var end: UnsafeMutablePointer<CChar>?
        let value = strtod(start, &end)
        guard end == start + view.count, !value.isNaN else { return nil }
        return value
    }
}
