import ByteStorage
import DatabaseEngine

/// Turns a walk of the keyspace into an RDB stream: files, log bases and full syncs are all made by it.
///
/// The owner begins the walk with it as visitor, drains `output` between slices, and calls `finish` when the walk is complete.
public final class KeyspaceSnapshot: KeyspaceVisitor {
    private var writer: RDBWriter
    private let sizes: [(keys: Int, expires: Int)]
    private var selected: Int?
    public var output: OutputBuffer { writer.output }
    public private(set) var keys: UInt64 = 0

    /// Writes the header. Call it right before `Engine.beginWalk`.
    public init(
        engine: Engine, output: OutputBuffer, checksum: RDBWriter.ChecksumMode, version: Int,
        fields: RDBAuxiliaryFields
    ) {
        writer = RDBWriter(output: output, checksum: checksum)
        sizes = (0..<engine.databaseCount).map { (engine.keyCount($0), engine.expiryCount($0)) }
        writer.header(version: version, fields)
    }

    public func visit(_ key: KeyView) {
        if selected != key.database {
            // Keys that commands touch come out of order, so databases may be selected again and again.
            selected = key.database
            let size = sizes[key.database]
            writer.selectDatabase(key.database, keys: size.keys, expires: size.expires)
        }
        keys += 1
        let metadata = EntryMetadata(expiryMilliseconds: key.expiry)
        switch key.kind {
        case .inlineString, .blobString: writer.string(key: key.key, value: key.string, metadata: metadata)
        case .list:
            writer.beginCollection(.list, key: key.key, count: key.count, metadata: metadata)
            key.forEachElement { writer.element($0) }
        case .set:
            writer.beginCollection(.set, key: key.key, count: key.count, metadata: metadata)
            key.forEachElement { writer.element($0) }
        case .hash:
            writer.beginCollection(.hash, key: key.key, count: key.count, metadata: metadata)
            key.forEachPair { writer.pair(field: $0, value: $1) }
        case .sortedSet:
            writer.beginCollection(.sortedSet, key: key.key, count: key.count, metadata: metadata)
            key.forEachScored { writer.scored(member: $0, score: $1) }
        }
    }

    public func finish() { writer.finish() }
}
