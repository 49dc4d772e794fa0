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
        case .list: entry.list.count
        case .sortedSet: SortedSetValue(word: entry.word).count
        }
    }

    /// The elements of a list from head to tail, or the members of a set.
    public func forEachElement(_ body: (ByteView) -> Void) {
        if kind == .list { entry.list.forEach(.max, body) }
        if kind == .set { SetValue(word: entry.word).forEach(body) }
    }

    public func forEachPair(_ body: (_ field: ByteView, _ value: ByteView) -> Void) {
        if kind == .hash { HashValue(word: entry.word).forEach(body) }
    }

    /// The members of a sorted set in order.
    public func forEachScored(_ body: (_ member: ByteView, _ score: Double) -> Void) {
        if kind == .sortedSet { SortedSetValue(word: entry.word).forEach(body) }
    }
}

/// A collection that is being loaded: filled first, put under its key at the end.
public struct CollectionBuilder {
    enum Value {
        case hash(HashValue)
        case set(SetValue)
        case sortedSet(SortedSetValue)
        case list(ListLoader)
    }

    let engine: Engine
    var value: Value
    /// An element was too long to be kept.
    public private(set) var hasRefused = false

    init(engine: Engine, value: Value) {
        self.engine = engine
        self.value = value
    }

    /// A member of a set, or the next element of a list.
    public mutating func add(_ element: ByteView) {
        if case .set(var set) = value {
            _ = set.add(engine, element)
            value = .set(set)
        } else if case .list(let loader) = value, !engine.loadListElement(loader, element) {
            hasRefused = true
        }
    }

    public mutating func add(field: ByteView, value fieldValue: ByteView) {
        if case .hash(var hash) = value {
            _ = hash.set(engine, field, fieldValue)
            value = .hash(hash)
        }
    }

    /// A score that is not a number has no place in an order: such a member is left out.
    public mutating func add(member: ByteView, score: Double) {
        guard case .sortedSet(var sortedSet) = value, !score.isNaN else { return }
        if let former = sortedSet.score(engine, member) {
            sortedSet.update(engine, member, from: former, to: score)
        } else {
            sortedSet.insert(engine, member, score)
        }
        value = .sortedSet(sortedSet)
    }
}

extension Engine {
    /// Begins a collection of `kind`, which must not be a string. The hint may lie: it is believed to a limit.
    public func beginLoading(_ kind: EntryKind, countHint: Int) -> CollectionBuilder? {
        let countHint = min(countHint, 1 << 16)
        return switch kind {
        case .hash: CollectionBuilder(engine: self, value: .hash(HashValue.make(self, expectedCount: countHint)))
        case .set: CollectionBuilder(engine: self, value: .set(SetValue.make(self, expectedCount: countHint)))
        case .sortedSet:
            CollectionBuilder(
                engine: self, value: .sortedSet(SortedSetValue.make(self, expectedCount: countHint)))
        case .list: CollectionBuilder(engine: self, value: .list(loadListBegin()))
        case .inlineString, .blobString: nil
        }
    }

    /// Puts a loaded collection under its key, replacing what is there.
    public func finishLoading(_ builder: CollectionBuilder, _ database: Int, _ key: ByteView, expiry: Int64?) {
        deleteKey(database, key)
        let hash = hash(key)
        switch builder.value {
        case .list(let loader): loadListEnd(loader, database, key, expiry: expiry)
        case .hash(let value): _ = insertCollection(database, key, hash, .hash, value.word, expiry: expiry)
        case .set(let value): _ = insertCollection(database, key, hash, .set, value.word, expiry: expiry)
        case .sortedSet(let value): _ = insertCollection(database, key, hash, .sortedSet, value.word, expiry: expiry)
        }
    }

    /// Frees a collection that was begun and will not be finished.
    public func abandonLoading(_ builder: CollectionBuilder) {
        switch builder.value {
        case .list(let loader): loadListAbandon(loader)
        case .hash(let value): destroyCollection(.hash, value.word)
        case .set(let value): destroyCollection(.set, value.word)
        case .sortedSet(let value): destroyCollection(.sortedSet, value.word)
        }
    }

    /// Stores a loaded string, replacing what is there.
    public func load(_ database: Int, _ key: ByteView, string: ByteView, expiry: Int64?) {
        setString(database, key, hash(key), string, expiry: expiry)
    }

    /// Sizes the tables of an empty database for what is to come.
    public func reserve(_ database: Int, keys: Int) { table(database).reserve(keys) }
}
