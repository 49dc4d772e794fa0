import ByteStorage
import DatabaseEngine
import DatabasePersistence
import RESP

/// Puts what a snapshot or a log holds into the keyspace: keys as they are, commands by executing them.
///
/// A class behind a struct's protocol: the loaders take it `inout`, the server looks at it from the progress callback.
final class ReplaySink: AOFSink {
    private unowned let server: Server
    private var loader: KeyspaceLoader
    private var database = 0
    /// Replies of replayed commands, which nobody gets.
    private let replies = OutputBuffer.create(capacity: 4096)
    /// The command's name with readable bytes after it, as the command table wants.
    private let name = OutputBuffer.create(capacity: 64)
    /// Replayed commands that replied with an error, and the first of them.
    private(set) var failedCommands = 0
    private(set) var firstFailure = ""

    /// - Parameter skipsExpired: keys of a snapshot whose time has come are left out. Not for the base of a log, whose
    ///   commands may still count on them, nor on a replica.
    init(_ server: Server, skipsExpired: Bool) {
        self.server = server
        loader = KeyspaceLoader(engine: server.engine, skipsExpired: skipsExpired)
    }

    deinit {
        loader.abandon()
        replies.destroy()
        name.destroy()
    }

    var expiredKeys: Int { loader.expiredKeys }
    var replicationID: String? { loader.replicationID }
    var replicationOffset: Int64? { loader.replicationOffset }
    var replicationDatabase: Int { loader.replicationDatabase }

    /// A shutdown while loading ends the load.
    @inline(__always) private func checkInterruption() throws(SinkRefusal) {
        if server.isShuttingDown { throw SinkRefusal("the load was interrupted") }
    }

    func command(_ arguments: borrowing [ByteView]) throws(SinkRefusal) {
        try checkInterruption()
        name.removeAll()
        name.append(arguments[0])
        _ = name.reserve(16)
        guard let shape = server.commands.find(name.view) else { throw SinkRefusal("unknown command") }
        let count = arguments.count
        guard shape.accepts(argumentCount: count) else { throw SinkRefusal("wrong number of arguments") }
        if shape.id == .select {
            guard let index = parseInteger(arguments[1]), index >= 0, index < server.engine.databaseCount else {
                throw SinkRefusal("no such database")
            }
            database = Int(index)
            return
        }
        let isKnown = withUnsafeTemporaryAllocation(of: ByteView.self, capacity: count) { views in
            guard let base = views.baseAddress else { return false }
            for index in 0..<count { (base + index).initialize(to: arguments[index]) }
            let key = Int(shape.firstKey)
            let hash = key > 0 && key < count ? server.engine.hash(base[key]) : 0
            let invocation = Invocation(
                arguments: base, count: count, hash: hash, database: database,
                reply: ReplyWriter(replies, isRESP3: false))
            return server.engine.execute(shape, invocation, raw: nil) || server.runDumpCommand(shape.id, invocation)
        }
        defer { replies.removeAll() }
        guard isKnown else { throw SinkRefusal("not a command on data") }
        guard !replies.isEmpty, replies.view[0] == UInt8(ascii: "-") else { return }
        if failedCommands == 0 {
            firstFailure = "\(arguments[0].string): \(replies.view.slice(1, min(replies.count, 200)).string)"
        }
        failedCommands += 1
    }

    func beginDatabase(_ index: Int) throws(SinkRefusal) { try loader.beginDatabase(index) }
    func resize(keys: UInt64, expires: UInt64) throws(SinkRefusal) { try loader.resize(keys: keys, expires: expires) }
    func auxiliary(name: ByteView, value: ByteView) throws(SinkRefusal) {
        try loader.auxiliary(name: name, value: value)
    }
    func function(library: ByteView) throws(SinkRefusal) { try loader.function(library: library) }
    func string(key: ByteView, value: ByteView, metadata: EntryMetadata) throws(SinkRefusal) {
        try checkInterruption()
        try loader.string(key: key, value: value, metadata: metadata)
    }
    func beginCollection(
        _ kind: CollectionKind, key: ByteView, countHint: Int, metadata: EntryMetadata
    ) throws(SinkRefusal) {
        try checkInterruption()
        try loader.beginCollection(kind, key: key, countHint: countHint, metadata: metadata)
    }
    func element(_ value: ByteView) throws(SinkRefusal) { try loader.element(value) }
    func pair(field: ByteView, value: ByteView) throws(SinkRefusal) { try loader.pair(field: field, value: value) }
    func scored(member: ByteView, score: Double) throws(SinkRefusal) { try loader.scored(member: member, score: score) }
    func endCollection() throws(SinkRefusal) { try loader.endCollection() }
}
