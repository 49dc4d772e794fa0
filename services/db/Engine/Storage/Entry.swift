// One entry of a table: a block of memory with header, optional expiry and timer links, key and value.
//
// Layout, bytes:
//   0   header, 64 bits: valueLength 12 | keyLength 12 | kind 4 | flags 4 | slack 8 | access 24 (low bits first)
//   8   when flag `expires`: expiry, milliseconds since 1970, signed; 16: next entry's address in the timer slot;
//       24: the address of the word that points to this entry
//   ..  when keyLength is 4095: the real key length, 32 bits
//   ..  key bytes, then value bytes, none of them aligned
// The block's size is the used bytes rounded up to 8 plus `slack` times 8. A value up to 1024 bytes lies inside; a longer
// one is an 8-byte pointer to a `Blob`, a collection an 8-byte pointer to its own structure.
// The same block serves the keyspace, the fields of large hashes, and the members of large sets and sorted sets.
import ByteStorage
import CLinux

/// What an entry's value is.
@frozen public enum EntryKind: UInt8, Sendable {
    case inlineString = 0
    case blobString = 1
    case list = 2
    case set = 3
    case sortedSet = 4
    case hash = 5

    @inline(__always) var isString: Bool { rawValue <= EntryKind.blobString.rawValue }
}

@frozen public struct Entry {
    public let base: UnsafeMutableRawPointer

    static let longKey = 4095
    static let largestInlineValue = 1024
    static let timerBytes = 24

    /// Flags, in header bits 28 to 31.
    static let expires: UInt64 = 1 << 28
    /// The string was changed in place (APPEND, SETRANGE): OBJECT ENCODING says raw.
    static let modified: UInt64 = 1 << 29
    /// Compared with the allocator's generation by `KeyspaceWalk`.
    static let generation: UInt64 = 1 << 30

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always) var header: UInt64 {
        get { base.load(as: UInt64.self) }
        nonmutating set { base.storeBytes(of: newValue, as: UInt64.self) }
    }

    @inline(__always) var inlineValueLength: Int { Int(truncatingIfNeeded: header & 0xfff) }
    @inline(__always) var keyField: Int { Int(truncatingIfNeeded: (header >> 12) & 0xfff) }
    @inline(__always) public var kind: EntryKind {
        EntryKind(rawValue: UInt8(truncatingIfNeeded: (header >> 24) & 0xf)).unsafelyUnwrapped
    }
    @inline(__always) var slack: Int { Int(truncatingIfNeeded: (header >> 32) & 0xff) }
    @inline(__always) var isModified: Bool { header & Entry.modified != 0 }
    @inline(__always) public var hasExpiry: Bool { header & Entry.expires != 0 }

    /// The 24-bit access clock: LRU minutes or LFU counter, as maxmemory-policy says.
    @inline(__always) var access: UInt32 {
        get { UInt32(truncatingIfNeeded: header >> 40) }
        nonmutating set { header = header & 0xff_ffff_ffff | UInt64(newValue) << 40 }
    }

    @inline(__always) private var prefixBytes: Int { hasExpiry ? 8 &+ Entry.timerBytes : 8 }

    @inline(__always) public var key: ByteView {
        let field = keyField
        let offset = prefixBytes
        if field != Entry.longKey { return ByteView(base + offset, field) }
        return ByteView(base + (offset &+ 4), Int(base.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }

    @inline(__always) var valueOffset: Int {
        let field = keyField
        let offset = prefixBytes
        if field != Entry.longKey { return offset &+ field }
        return offset &+ 4 &+ Int(base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always) var valueBase: UnsafeMutableRawPointer { base + valueOffset }

    @inline(__always) var blockBytes: Int {
        SlabAllocator.rounded(valueOffset &+ inlineValueLength) &+ slack &<< 3
    }

    /// The bytes of a string value.
    @inline(__always) public var string: ByteView {
        if kind == .inlineString { return ByteView(valueBase, inlineValueLength) }
        return blob.view
    }

    @inline(__always) var blob: Blob { Blob(pointer) }

    /// The pointer value of anything that does not lie inside.
    @inline(__always) var pointer: UnsafeMutableRawPointer {
        // SAFETY: only entries of kinds other than inlineString are asked, and they always hold a live pointer.
        UnsafeMutableRawPointer(bitPattern: valueBase.loadUnaligned(as: UInt.self)).unsafelyUnwrapped
    }

    @inline(__always) func setPointer(_ pointer: UnsafeMutableRawPointer) {
        valueBase.storeBytes(of: UInt(bitPattern: pointer), as: UInt.self)
    }

    /// Milliseconds since 1970. Only with `hasExpiry`.
    @inline(__always) public var expiry: Int64 {
        get { base.load(fromByteOffset: 8, as: Int64.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 8, as: Int64.self) }
    }

    @inline(__always) var timerNext: UInt {
        get { base.load(fromByteOffset: 16, as: UInt.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 16, as: UInt.self) }
    }

    @inline(__always) var timerLink: UInt {
        get { base.load(fromByteOffset: 24, as: UInt.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 24, as: UInt.self) }
    }

    @inline(__always) func setGeneration(_ generation: UInt64) {
        header = header & ~Entry.generation | generation
    }

    /// Does the key equal `key`? One load rejects most others.
    @inline(__always) func matches(_ key: ByteView) -> Bool {
        let field = keyField
        if key.count < Entry.longKey {
            return field == key.count && bytesEqual(base + prefixBytes, key.base, key.count)
        }
        return field == Entry.longKey && self.key == key
    }

    /// Allocates an entry whose value part has `valueBytes` bytes, still to be written by the caller.
    @inline(__always)
    static func make(
        _ slab: SlabAllocator, key: ByteView, kind: EntryKind, valueBytes: Int, expires: Bool
    ) -> Entry {
        let prefix = expires ? 8 &+ Entry.timerBytes : 8
        let isLong = key.count >= Entry.longKey
        let keyOffset = isLong ? prefix &+ 4 : prefix
        let base = slab.allocate(keyOffset &+ key.count &+ valueBytes)
        var header = UInt64(truncatingIfNeeded: valueBytes) | UInt64(kind.rawValue) << 24
        header |= UInt64(truncatingIfNeeded: isLong ? Entry.longKey : key.count) << 12
        header |= slab.state.pointee.generation
        if expires { header |= Entry.expires }
        base.storeBytes(of: header, as: UInt64.self)
        if isLong { base.storeBytes(of: UInt32(truncatingIfNeeded: key.count), toByteOffset: prefix, as: UInt32.self) }
        memcpy(base + keyOffset, key.base, key.count)
        return Entry(base)
    }

    @inline(__always) func freeBlock(_ slab: SlabAllocator) { slab.free(base, blockBytes) }
}

/// A string too long for its entry: length, capacity, bytes.
struct Blob {
    let base: UnsafeMutableRawPointer
    static let headerBytes = 16
    static let smallestCapacity = 512

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    var count: Int {
        get { base.load(as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, as: Int.self) }
    }
    var capacity: Int { base.load(fromByteOffset: 8, as: Int.self) }
    var bytes: UnsafeMutableRawPointer { base + Blob.headerBytes }
    var view: ByteView { ByteView(bytes, count) }

    static func make(_ slab: SlabAllocator, count: Int, capacity: Int) -> Blob {
        let size = max(capacity, Blob.smallestCapacity)
        let base = slab.allocate(headerBytes + size)
        base.storeBytes(of: count, as: Int.self)
        base.storeBytes(of: size, toByteOffset: 8, as: Int.self)
        return Blob(base)
    }

    func destroy(_ slab: SlabAllocator) { slab.free(base, Blob.headerBytes + capacity) }
}
