import ByteStorage
import DatabaseEngine

/// Puts what an RDB stream holds into the engine.
public struct KeyspaceLoader: RDBSink {
    private let engine: Engine
    private var database = 0
    private var builder: CollectionBuilder?
    private var key: [UInt8] = []
    private var expiry: Int64?
    /// Keys whose time has come are left out: a primary would delete them at once, a replica must keep them.
    private let skipsExpired: Bool
    public private(set) var expiredKeys = 0
    /// The auxiliary fields that concern replication, if the file has them.
    public private(set) var replicationID: String?
    public private(set) var replicationOffset: Int64?
    public private(set) var replicationDatabase = 0
    private var isSkipping = false

    public init(engine: Engine, skipsExpired: Bool) {
        self.engine = engine
        self.skipsExpired = skipsExpired
    }

    public mutating func beginDatabase(_ index: Int) throws(SinkRefusal) {
        guard index < engine.databaseCount else {
            throw SinkRefusal("database \(index) is beyond the setting databases (\(engine.databaseCount))")
        }
        database = index
    }

    /// Largest table that is made on the word of a file.
    private static let highestReservation: UInt64 = 1 << 26

    public mutating func resize(keys: UInt64, expires: UInt64) throws(SinkRefusal) {
        engine.reserve(database, keys: Int(min(keys, KeyspaceLoader.highestReservation)))
    }

    public mutating func auxiliary(name: ByteView, value: ByteView) throws(SinkRefusal) {
        if name.equalsIgnoringCase("repl-id"), value.count == 40 { replicationID = value.string }
        if name.equalsIgnoringCase("repl-stream-db") { replicationDatabase = Int(parseInteger(value) ?? 0) }
        if name.equalsIgnoringCase("repl-offset") { replicationOffset = parseInteger(value) }
    }

    public mutating func function(library: ByteView) throws(SinkRefusal) {
        throw SinkRefusal("function libraries are not supported")
    }

    /// Call it when loading ends early: gives back what a collection in the middle has taken.
    public mutating func abandon() {
        if let builder { engine.abandonLoading(builder) }
        builder = nil
    }

    private mutating func skips(_ metadata: EntryMetadata) -> Bool {
        guard skipsExpired, let expiry = metadata.expiryMilliseconds, expiry <= engine.now else { return false }
        expiredKeys += 1
        return true
    }

    public mutating func string(key: ByteView, value: ByteView, metadata: EntryMetadata) throws(SinkRefusal) {
        if skips(metadata) { return }
        engine.load(database, key, string: value, expiry: metadata.expiryMilliseconds)
    }

    public mutating func beginCollection(
        _ kind: CollectionKind, key: ByteView, countHint: Int, metadata: EntryMetadata
    ) throws(SinkRefusal) {
        isSkipping = skips(metadata)
        if isSkipping { return }
        self.key = key.array
        expiry = metadata.expiryMilliseconds
        let entryKind: EntryKind =
            switch kind {
            case .list: .list
            case .set: .set
            case .hash: .hash
            case .sortedSet: .sortedSet
            }
        abandon()
        builder = engine.beginLoading(entryKind, countHint: countHint)
        if builder == nil { throw SinkRefusal("values of this type are not supported") }
    }

    public mutating func element(_ value: ByteView) throws(SinkRefusal) {
        if !isSkipping { builder?.add(value) }
    }

    public mutating func pair(field: ByteView, value: ByteView) throws(SinkRefusal) {
        if !isSkipping { builder?.add(field: field, value: value) }
    }

    public mutating func scored(member: ByteView, score: Double) throws(SinkRefusal) {
        if !isSkipping { builder?.add(member: member, score: score) }
    }

    public mutating func endCollection() throws(SinkRefusal) {
        guard !isSkipping, let builder else { return }
        if builder.hasRefused { throw SinkRefusal("an element of the list is longer than lists can hold") }
        key.withView { engine.finishLoading(builder, database, $0, expiry: expiry) }
        self.builder = nil
    }

    /// Chooses the database that a value is restored to, which is known to be there.
    public mutating func beginDatabase(restoring index: Int) { database = index }
}
