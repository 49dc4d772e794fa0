import ByteStorage

// The numbers of the RDB format and the protocol by which loaded data is delivered.

/// - Spec: RDB file format, versions 2 to 12.
public enum RDBFormat {
    public static let magic: StaticString = "REDIS"
    public static let readableVersions = 2...12
    /// What we write unless `rdb-version` says otherwise. Redis 7.2 and later load it; Redis 7.0 stops at 10.
    public static let writtenVersion = 11
    public static let writableVersions = 9...11

    enum Opcode {
        static let slotInfo: UInt8 = 244
        static let function2: UInt8 = 245
        static let functionPreGA: UInt8 = 246
        static let moduleAuxiliary: UInt8 = 247
        static let idle: UInt8 = 248
        static let frequency: UInt8 = 249
        static let auxiliary: UInt8 = 250
        static let resizeDatabase: UInt8 = 251
        static let expireMilliseconds: UInt8 = 252
        static let expireSeconds: UInt8 = 253
        static let selectDatabase: UInt8 = 254
        static let endOfFile: UInt8 = 255
    }

    enum ValueType: UInt8 {
        case string = 0
        case list = 1
        case set = 2
        case sortedSet = 3
        case hash = 4
        case sortedSet2 = 5
        case modulePreGA = 6
        case module2 = 7
        case hashZipmap = 9
        case listZiplist = 10
        case setIntset = 11
        case sortedSetZiplist = 12
        case hashZiplist = 13
        case listQuicklist = 14
        case streamListpacks = 15
        case hashListpack = 16
        case sortedSetListpack = 17
        case listQuicklist2 = 18
        case streamListpacks2 = 19
        case setListpack = 20
        case streamListpacks3 = 21
        case hashMetadataPreGA = 22
        case hashListpackExpiryPreGA = 23
        case hashMetadata = 24
        case hashListpackExpiry = 25
    }

    enum StringEncoding {
        static let int8: UInt8 = 0
        static let int16: UInt8 = 1
        static let int32: UInt8 = 2
        static let lzf: UInt8 = 3
    }
}

public enum CollectionKind: Sendable {
    case list, set, hash, sortedSet
}

/// What an RDB file says about a key besides its value.
public struct EntryMetadata: Sendable, Equatable {
    /// Absolute, Unix time.
    public var expiryMilliseconds: Int64?
    public var idleSeconds: UInt64?
    public var accessFrequency: UInt8?

    public init(expiryMilliseconds: Int64? = nil, idleSeconds: UInt64? = nil, accessFrequency: UInt8? = nil) {
        self.expiryMilliseconds = expiryMilliseconds
        self.idleSeconds = idleSeconds
        self.accessFrequency = accessFrequency
    }
}

/// Receives what an RDB stream holds, in its order.
///
/// Every view is valid during the call only. A refusal ends the load with an error that names offset and key. A key
/// without elements (old servers could save such) is not delivered at all. Duplicate keys, members and fields are the
/// sink's to find.
public protocol RDBSink {
    mutating func beginDatabase(_ index: Int) throws(SinkRefusal)
    /// Hints about the sizes of the database's tables. From the file, so not to be trusted beyond a limit.
    mutating func resize(keys: UInt64, expires: UInt64) throws(SinkRefusal)
    mutating func auxiliary(name: ByteView, value: ByteView) throws(SinkRefusal)
    /// The source code of a function library.
    mutating func function(library: ByteView) throws(SinkRefusal)
    mutating func string(key: ByteView, value: ByteView, metadata: EntryMetadata) throws(SinkRefusal)
    /// - Parameter countHint: elements, pairs or members to come, at most `RDBReader.highestCountHint`; 0: unknown.
    mutating func beginCollection(
        _ kind: CollectionKind, key: ByteView, countHint: Int, metadata: EntryMetadata) throws(SinkRefusal)
    /// An element at the tail of the list, or a member of the set.
    mutating func element(_ value: ByteView) throws(SinkRefusal)
    mutating func pair(field: ByteView, value: ByteView) throws(SinkRefusal)
    /// `score` is never NaN.
    mutating func scored(member: ByteView, score: Double) throws(SinkRefusal)
    mutating func endCollection() throws(SinkRefusal)
}
