// The engine: the keyspace and every command on data, as pure functions of (state, arguments, time).
//
// It does no I/O and has no clock: the server sets `nowMilliseconds` before each batch, seeds the random generator, drains
// the propagation stream and the events. One thread owns it. The handle is a pointer to trivial state, so that commands
// neither count references nor check exclusivity (see SPIKE: 54-99 ns a command against 20-27).
import ByteStorage
import RESP

/// What a client's command is executed with.
@frozen public struct Invocation {
    public let arguments: UnsafeMutablePointer<ByteView>
    public let count: Int
    /// Hash of the first key, when the command has one.
    public let hash: UInt64
    public let database: Int
    public let reply: ReplyWriter

    @inlinable @inline(__always)
    public init(
        arguments: UnsafeMutablePointer<ByteView>, count: Int, hash: UInt64, database: Int, reply: ReplyWriter
    ) {
        self.arguments = arguments
        self.count = count
        self.hash = hash
        self.database = database
        self.reply = reply
    }

    @inlinable @inline(__always) public subscript(_ index: Int) -> ByteView { arguments[index] }
    @inlinable @inline(__always) public var key: ByteView { arguments[1] }
}

/// Limits and policies of the engine; CONFIG SET changes them while it runs.
public struct EngineSettings: Sendable {
    public var hashMaxCompactEntries = 512
    public var hashMaxCompactValue = 64
    public var setMaxIntegerEntries = 512
    public var setMaxCompactEntries = 128
    public var setMaxCompactValue = 64
    public var sortedSetMaxCompactEntries = 128
    public var sortedSetMaxCompactValue = 64
    /// `list-max-listpack-size`: positive = entries a node, -1...-5 = 4, 8, 16, 32, 64 KiB a node.
    public var listMaxCompactSize = -2
    public var maxMemoryBytes = 0
    public var maxMemoryPolicy = MaxMemoryPolicy.noEviction
    public var maxMemorySamples = 5
    public var lfuLogFactor = 10
    public var lfuDecayMinutes = 1
    public var maxStringBytes = 512 << 20
    public var lazyUserDelete = false

    public init() {}
}

public enum MaxMemoryPolicy: String, CaseIterable, Sendable {
    case volatileLRU = "volatile-lru"
    case volatileLFU = "volatile-lfu"
    case volatileRandom = "volatile-random"
    case volatileTTL = "volatile-ttl"
    case allKeysLRU = "allkeys-lru"
    case allKeysLFU = "allkeys-lfu"
    case allKeysRandom = "allkeys-random"
    case noEviction = "noeviction"

    var isLFU: Bool { self == .allKeysLFU || self == .volatileLFU }
}

/// Counters behind INFO.
public struct EngineStatistics: Sendable {
    public var keyspaceHits = 0
    public var keyspaceMisses = 0
    public var expiredKeys = 0
    public var evictedKeys = 0
    public init() {}
}

/// Something that the server has to act on after a command. Recorded only when somebody asked for it.
public enum EngineEvent: Sendable {
    /// A key changed (for WATCH).
    case modified(database: Int, key: [UInt8])
    /// A whole database changed (for WATCH).
    case flushed(database: Int)
    /// A list or sorted set got elements and may serve a blocked client.
    case ready(database: Int, key: [UInt8])
    /// A keyspace event to publish.
    case keyspace(name: String, database: Int, key: [UInt8])
}

/// Classes of keyspace events, the letters of `notify-keyspace-events`.
public struct KeyspaceEventClasses: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let keyspace = KeyspaceEventClasses(rawValue: 1 << 0)  // K
    public static let keyevent = KeyspaceEventClasses(rawValue: 1 << 1)  // E
    public static let generic = KeyspaceEventClasses(rawValue: 1 << 2)  // g
    public static let string = KeyspaceEventClasses(rawValue: 1 << 3)  // $
    public static let list = KeyspaceEventClasses(rawValue: 1 << 4)  // l
    public static let set = KeyspaceEventClasses(rawValue: 1 << 5)  // s
    public static let hash = KeyspaceEventClasses(rawValue: 1 << 6)  // h
    public static let sortedSet = KeyspaceEventClasses(rawValue: 1 << 7)  // z
    public static let expired = KeyspaceEventClasses(rawValue: 1 << 8)  // x
    public static let evicted = KeyspaceEventClasses(rawValue: 1 << 9)  // e
    public static let stream = KeyspaceEventClasses(rawValue: 1 << 10)  // t
    public static let keyMiss = KeyspaceEventClasses(rawValue: 1 << 11)  // m
    public static let module = KeyspaceEventClasses(rawValue: 1 << 12)  // d
    public static let new = KeyspaceEventClasses(rawValue: 1 << 13)  // n
    /// The letter A.
    public static let all: KeyspaceEventClasses = [
        .generic, .string, .list, .set, .hash, .sortedSet, .expired, .evicted, .stream, .module,
    ]
}

public struct EngineState {
    public var nowMilliseconds: Int64
    /// Number of changes since start: the difference over a command tells whether it wrote.
    public var dirty = 0
    /// Which events are recorded at all.
    public var tracksModifications = false
    public var keyspaceEvents: KeyspaceEventClasses = []
    /// Clients blocked on keys: only then are ready events recorded.
    public var blockedKeyCount = 0
    public var statistics = EngineStatistics()
    /// The access clock of the current second, as LRU wants it: 24 bits of seconds.
    var accessClock: UInt32 = 0
    /// Set while commands come from the primary or the log: then nothing expires by itself.
    /// Also set while the dataset must stand still: expired keys are hidden and not deleted.
    public var isReplica = false
    /// Commands come from our primary or from the log: expired keys are still visible to them.
    public var obeysStream = false
    public var activeExpire = true
    /// The client asked for CLIENT NO-TOUCH.
    public var noTouch = false
    public var settings = EngineSettings()
    public var stream: PropagationStream
    public var events: [EngineEvent] = []
    /// How the running command is to be propagated; reset before each.
    var propagation = CommandPropagation.verbatim
    public var random: RandomGenerator
    let slab: SlabAllocator
    let hash: KeyedHash
    var databases: UnsafeMutablePointer<Database>
    let databaseCount: Int
    /// The walk that runs, and whether one does, for the hot path.
    var walk: KeyspaceWalk?
    var isWalking = false
    var reclaimer = Reclaimer()
    /// Bytes of collections' side structures (indexes, tables), kept by those who allocate them.
    var structureBytes = 0
}

/// How a command that changed something goes to the log and the replicas.
enum CommandPropagation {
    /// As it came.
    case verbatim
    /// The command has written its effect to the stream itself.
    case rewritten
}

/// One of the numbered databases.
struct Database {
    var table: Table
    var timers: TimerWheel
}

public struct Engine {
    public let state: UnsafeMutablePointer<EngineState>

    /// - Parameters:
    ///   - seed: randomness for the hash key and for RANDOMKEY and its kin. Take it from the system, not from time.
    ///   - nowMilliseconds: milliseconds since 1970.
    public init(seed: UInt64, nowMilliseconds: Int64, databaseCount: Int = 16) {
        var random = RandomGenerator(seed: seed)
        let hash = KeyedHash((random.next(), random.next(), random.next()))
        let slab = SlabAllocator()
        let databases = UnsafeMutablePointer<Database>.allocate(capacity: databaseCount)
        for index in 0..<databaseCount {
            (databases + index).initialize(
                to: Database(
                    table: Table(hash: hash, slab: slab, buckets: 16), timers: TimerWheel(now: nowMilliseconds)))
        }
        state = .allocate(capacity: 1)
        state.initialize(
            to: EngineState(
                nowMilliseconds: nowMilliseconds, stream: PropagationStream(), random: random, slab: slab, hash: hash,
                databases: databases, databaseCount: databaseCount))
        setTime(nowMilliseconds)
    }

    @inline(__always) public func setTime(_ nowMilliseconds: Int64) {
        state.pointee.nowMilliseconds = nowMilliseconds
        state.pointee.accessClock = UInt32(truncatingIfNeeded: nowMilliseconds / 1000) & 0xff_ffff
    }

    @inline(__always) public var now: Int64 { state.pointee.nowMilliseconds }
    @inline(__always) var slab: SlabAllocator { state.pointee.slab }
    @inline(__always) func table(_ database: Int) -> Table { state.pointee.databases[database].table }
    @inline(__always) func timers(_ database: Int) -> TimerWheel { state.pointee.databases[database].timers }
    public var databaseCount: Int { state.pointee.databaseCount }
    public func keyCount(_ database: Int) -> Int { table(database).count }
    public func expiryCount(_ database: Int) -> Int { timers(database).count }

    /// Bytes held by entries, values and tables.
    @inline(__always) public var usedBytes: Int {
        let slab = state.pointee.slab.state
        return slab.pointee.allocatedBytes &+ slab.pointee.tableBytes &+ state.pointee.structureBytes
    }

    // MARK: Batches: used by the server to hide memory latency over many commands

    @inline(__always) public func hash(_ key: ByteView) -> UInt64 { state.pointee.hash(key) }
    @inline(__always) public func prefetchBucket(_ database: Int, _ hash: UInt64) {
        state.pointee.databases[database].table.prefetchBucket(hash)
    }
    @inline(__always) public func prefetchEntry(_ database: Int, _ hash: UInt64) {
        state.pointee.databases[database].table.prefetchEntry(hash)
    }

    // MARK: Effects

    /// Records that `key` changed. Every command that writes calls it once for each key that it changed.
    @inline(__always) func changed(_ database: Int, _ key: ByteView, _ count: Int = 1) {
        state.pointee.dirty &+= count
        if state.pointee.tracksModifications { recordModified(database, key) }
    }

    @inline(never) private func recordModified(_ database: Int, _ key: ByteView) {
        state.pointee.events.append(.modified(database: database, key: key.array))
    }

    /// Records a keyspace event when its class is on.
    @inline(__always)
    func notify(_ eventClass: KeyspaceEventClasses, _ name: StaticString, _ database: Int, _ key: ByteView) {
        if !state.pointee.keyspaceEvents.isEmpty { recordKeyspaceEvent(eventClass, name, database, key) }
    }

    @inline(never)
    private func recordKeyspaceEvent(
        _ eventClass: KeyspaceEventClasses, _ name: StaticString, _ database: Int, _ key: ByteView
    ) {
        guard !state.pointee.keyspaceEvents.isDisjoint(with: eventClass) else { return }
        state.pointee.events.append(.keyspace(name: "\(name)", database: database, key: key.array))
    }

    /// Records that a list or sorted set got elements, for clients blocked on it.
    @inline(__always) func signalReady(_ database: Int, _ key: ByteView) {
        if state.pointee.blockedKeyCount > 0 {
            state.pointee.events.append(.ready(database: database, key: key.array))
        }
    }
}
