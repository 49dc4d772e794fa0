import ByteStorage

/// One key with its value as snapshots see it. Valid only during the call that hands it out.
public struct KeyView {
    let entry: Entry
    public let database: Int

    public var key: ByteView { entry.key }
    public var kind: EntryKind { entry.kind }
    /// Milliseconds since 1970; nil without one.
    public var expiry: Int64? { entry.hasExpiry ? entry.expiry : nil }
    /// The bytes of a string.
    public var string: ByteView { entry.string }

    /// Elements of a list, members of a set or sorted set, fields of a hash.
    public var count: Int {
        switch kind {
        case .inlineString, .blobString: 1
        case .hash: HashValue(word: entry.word).count
        case .set: SetValue(word: entry.word).count
        case .list: 0
        case .sortedSet: 0
        }
    }

    /// The elements of a list from head to tail, or the members of a set.
    public func forEachElement(_ body: (ByteView) -> Void) {
        if kind == .set { SetValue(word: entry.word).forEach(body) }
    }

    public func forEachPair(_ body: (_ field: ByteView, _ value: ByteView) -> Void) {
        if kind == .hash { HashValue(word: entry.word).forEach(body) }
    }

    public func forEachScored(_ body: (_ member: ByteView, _ score: Double) -> Void) {}
}

/// A collection that is being loaded: filled first, put under its key at the end.
public struct CollectionBuilder {
    enum Value {
        case hash(HashValue)
        case set(SetValue)
    }

    let engine: Engine
    var value: Value

    /// A member of a set, or the next element of a list.
    public mutating func add(_ element: ByteView) {
        if case .set(var set) = value {
            _ = set.add(engine, element)
            value = .set(set)
        }
    }

    public mutating func add(field: ByteView, value fieldValue: ByteView) {
        if case .hash(var hash) = value {
            _ = hash.set(engine, field, fieldValue)
            value = .hash(hash)
        }
    }

    public mutating func add(member: ByteView, score: Double) {}
}

extension Engine {
    /// Begins a collection of `kind`, which must not be a string.
    public func beginLoading(_ kind: EntryKind, countHint: Int) -> CollectionBuilder? {
        switch kind {
        case .hash: CollectionBuilder(engine: self, value: .hash(HashValue.make(self, expectedCount: countHint)))
        case .set: CollectionBuilder(engine: self, value: .set(SetValue.make(self, expectedCount: countHint)))
        default: nil
        }
    }

    /// Puts a loaded collection under its key, replacing what is there.
    public func finishLoading(_ builder: CollectionBuilder, _ database: Int, _ key: ByteView, expiry: Int64?) {
        deleteKey(database, key)
        let hash = hash(key)
        switch builder.value {
        case .hash(let value): _ = insertCollection(database, key, hash, .hash, value.word, expiry: expiry)
        case .set(let value): _ = insertCollection(database, key, hash, .set, value.word, expiry: expiry)
        }
    }

    /// Stores a loaded string, replacing what is there.
    public func load(_ database: Int, _ key: ByteView, string: ByteView, expiry: Int64?) {
        setString(database, key, hash(key), string, expiry: expiry)
    }

    /// Sizes the tables of an empty database for what is to come.
    public func reserve(_ database: Int, keys: Int) { table(database).reserve(keys) }
}
