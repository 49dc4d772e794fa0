import ByteStorage
import DatabasePersistence

/// What a test holds a data set to be.
enum ModelValue: Equatable {
    case string([UInt8])
    case list([[UInt8]])
    case set(Set<[UInt8]>)
    case hash([[UInt8]: [UInt8]])
    case sortedSet([[UInt8]: Double])
}

struct ModelEntry: Equatable {
    var value: ModelValue
    var metadata = EntryMetadata()
}

typealias Model = [Int: [[UInt8]: ModelEntry]]

func bytes(_ text: String) -> [UInt8] { [UInt8](text.utf8) }

/// Gathers what a reader delivers, and refuses what a keyspace would: duplicates.
struct ModelSink: AOFSink {
    var databases: Model = [:]
    var auxiliary: [String: String] = [:]
    var functions: [[UInt8]] = []
    var resizes: [[UInt64]] = []
    var commands: [[String]] = []
    private var database = 0
    private var key: [UInt8] = []
    private var kind = CollectionKind.list
    private var metadata = EntryMetadata()
    private var elements: [[UInt8]] = []
    private var pairs: [[UInt8]: [UInt8]] = [:]
    private var scores: [[UInt8]: Double] = [:]

    init() {}

    mutating func beginDatabase(_ index: Int) { database = index }
    mutating func resize(keys: UInt64, expires: UInt64) { resizes.append([keys, expires]) }
    mutating func auxiliary(name: ByteView, value: ByteView) { auxiliary[name.string] = value.string }
    mutating func function(library: ByteView) { functions.append(library.array) }

    private mutating func store(_ key: [UInt8], _ entry: ModelEntry) throws(SinkRefusal) {
        guard databases[database, default: [:]].updateValue(entry, forKey: key) == nil else {
            throw SinkRefusal("duplicate key")
        }
    }

    mutating func string(key: ByteView, value: ByteView, metadata: EntryMetadata) throws(SinkRefusal) {
        try store(key.array, ModelEntry(value: .string(value.array), metadata: metadata))
    }

    mutating func beginCollection(_ kind: CollectionKind, key: ByteView, countHint: Int, metadata: EntryMetadata) {
        self.kind = kind
        self.key = key.array
        self.metadata = metadata
        elements = []
        pairs = [:]
        scores = [:]
    }

    mutating func element(_ value: ByteView) { elements.append(value.array) }

    mutating func pair(field: ByteView, value: ByteView) throws(SinkRefusal) {
        guard pairs.updateValue(value.array, forKey: field.array) == nil else { throw SinkRefusal("duplicate field") }
    }

    mutating func scored(member: ByteView, score: Double) throws(SinkRefusal) {
        guard scores.updateValue(score, forKey: member.array) == nil else { throw SinkRefusal("duplicate member") }
    }

    mutating func endCollection() throws(SinkRefusal) {
        let value: ModelValue
        switch kind {
        case .list: value = .list(elements)
        case .set:
            let members = Set(elements)
            guard members.count == elements.count else { throw SinkRefusal("duplicate member") }
            value = .set(members)
        case .hash: value = .hash(pairs)
        case .sortedSet: value = .sortedSet(scores)
        }
        try store(key, ModelEntry(value: value, metadata: metadata))
    }

    mutating func command(_ arguments: borrowing [ByteView]) throws(SinkRefusal) {
        commands.append(arguments.map { $0.string })
        if let name = commands.last?.first, name.uppercased() == "REFUSED" { throw SinkRefusal("no such command") }
    }
}

/// Writes a model with a writer, databases and keys in sorted order.
func write(_ model: Model, with writer: inout RDBWriter) {
    for (index, entries) in model.sorted(by: { $0.key < $1.key }) {
        let expires = entries.values.count { $0.metadata.expiryMilliseconds != nil }
        writer.selectDatabase(index, keys: entries.count, expires: expires)
        for (key, entry) in entries.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            write(key, entry, with: &writer)
        }
    }
}

private func write(_ key: [UInt8], _ entry: ModelEntry, with writer: inout RDBWriter) {
    func begin(_ kind: CollectionKind, _ count: Int) {
        key.withView { writer.beginCollection(kind, key: $0, count: count, metadata: entry.metadata) }
    }
    switch entry.value {
    case .string(let value):
        key.withView { key in value.withView { writer.string(key: key, value: $0, metadata: entry.metadata) } }
    case .list(let elements):
        begin(.list, elements.count)
        for element in elements { element.withView { writer.element($0) } }
    case .set(let members):
        begin(.set, members.count)
        for member in members { member.withView { writer.element($0) } }
    case .hash(let pairs):
        begin(.hash, pairs.count)
        for (field, value) in pairs {
            field.withView { field in value.withView { writer.pair(field: field, value: $0) } }
        }
    case .sortedSet(let scores):
        begin(.sortedSet, scores.count)
        for (member, score) in scores { member.withView { writer.scored(member: $0, score: score) } }
    }
}

func rdbBytes(
    _ model: Model, version: Int = 11, compressStrings: Bool = false, checksum: RDBWriter.ChecksumMode = .inline
) -> [UInt8] {
    let buffer = OutputBuffer.create()
    defer { buffer.destroy() }
    var writer = RDBWriter(output: buffer, checksum: checksum, compressStrings: compressStrings)
    writer.header(version: version, RDBAuxiliaryFields(unixSeconds: 1_700_000_000, usedMemoryBytes: 1 << 20))
    write(model, with: &writer)
    writer.finish()
    return buffer.view.array
}

struct Loaded {
    var sink = ModelSink()
    var summary = RDBSummary()
    var error: PersistenceError?
    var databases: Model { sink.databases }
}

/// Loads through a refill closure that gives at most `step` bytes a time.
func load(_ data: [UInt8], step: Int = .max, maximumStringBytes: Int? = nil) -> Loaded {
    var loaded = Loaded()
    var position = 0
    var source = ByteSource { (target, room) throws(PersistenceError) in
        let count = min(room, step, data.count - position)
        data.withUnsafeBytes { raw in
            if let base = raw.baseAddress { target.copyMemory(from: base + position, byteCount: count) }
        }
        position += count
        return count
    }
    var reader = RDBReader()
    if let maximumStringBytes { reader.maximumStringBytes = maximumStringBytes }
    do { loaded.summary = try reader.load(from: &source, into: &loaded.sink) } catch { loaded.error = error }
    return loaded
}

func collect(_ body: (OutputBuffer) throws -> Void) rethrows -> [UInt8] {
    let buffer = OutputBuffer.create()
    defer { buffer.destroy() }
    try body(buffer)
    return buffer.view.array
}
