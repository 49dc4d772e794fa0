// Hiding memory latency behind a batch: what GET and SET gain from having bucket and entry fetched early, the commands on
// one element of a collection need further down, where each step of the way is a cache miss of its own.
//
// A look-up goes entry -> compact list, or entry -> table -> bucket -> element, or entry -> sorted set -> table -> ... Every
// step reads what the one before has fetched and fetches the next. All look-ups of a batch take one step before any takes
// its second, so their misses overlap; alone, HGET of a small hash spends more than half of its time waiting for memory.
//
// Nothing here changes anything or decides anything: a candidate is chosen by its tag alone, its key is not compared, and
// an expired or a wrong one costs a useless fetch. That holds as long as no command is executed between the steps.
import ByteStorage
import CLinux

/// The way of one command to its element.
public struct ElementLookup {
    private enum Step: UInt8 {
        case entry, compact, sortedSet, table, bucket
    }

    private var step = Step.entry
    private let database: Int
    private let hash: UInt64
    /// Hash of the element, once it is known to be needed.
    private var elementHash: UInt64 = 0
    private let element: ByteView
    /// What the step before has fetched: a block of a collection.
    private var address: UInt = 0

    /// - Parameter element: the field or member; it must stay valid until the look-up is over.
    @inline(__always) public init(database: Int, hash: UInt64, element: ByteView) {
        self.database = database
        self.hash = hash
        self.element = element
    }

    /// Compact lists are fetched up to this length. The processor fetches the rest of a longer one by itself, while the
    /// beginning is being searched.
    private static let compactBytes = 2048

    /// - Returns: whether there is another step.
    @inline(__always) mutating func advance(_ engine: Engine) -> Bool {
        switch step {
        case .entry:
            guard let entry = engine.table(database).candidate(hash), entry.kind.holdsElements else { return false }
            let word = entry.word
            address = word & ~7
            switch collectionEncoding(word) {
            case .compact, .integers: step = .compact
            case .indexed: step = entry.kind == .sortedSet ? .sortedSet : .table
            }
            ElementLookup.prefetch(address)
            return true
        case .compact:
            ElementLookup.prefetchRest(of: collectionBlock(address))
            return false
        case .sortedSet:
            address = SortedSetValue(word: address).table.word & ~7
            ElementLookup.prefetch(address)
            step = .table
            return true
        case .table:
            elementHash = engine.hash(element)
            Table(word: address).prefetchBucket(elementHash)
            step = .bucket
            return true
        case .bucket:
            Table(word: address).prefetchEntry(elementHash)
            return false
        }
    }

    @inline(__always) private static func prefetch(_ address: UInt) {
        if let pointer = UnsafeRawPointer(bitPattern: address) { cl_prefetch(pointer) }
    }

    /// The lines of a compact list after its first. A set of integers has its count where the list has its length in bytes,
    /// which is less: a few of its lines are enough.
    @inline(__always) private static func prefetchRest(of block: UnsafeMutableRawPointer) {
        let bytes = min(CompactList(block).end, compactBytes)
        var offset = 64
        while offset < bytes {
            cl_prefetch(block + offset)
            offset &+= 64
        }
    }
}

extension Engine {
    /// Fetches what the look-ups will need, all of them one step at a time. The entries have to be on their way already
    /// (`prefetchEntry`), and no command may run meanwhile. The look-ups are used up.
    public func prefetchElements(_ lookups: UnsafeMutablePointer<ElementLookup>, count: Int) {
        var left = count
        while left > 0 {
            var kept = 0
            for index in 0..<left where lookups[index].advance(self) {
                if kept != index { lookups[kept] = lookups[index] }
                kept &+= 1
            }
            left = kept
        }
    }
}

extension EntryKind {
    /// Kinds of which commands look up single elements by name.
    @inline(__always) fileprivate var holdsElements: Bool { self == .hash || self == .set || self == .sortedSet }
}

extension CommandShape {
    /// The argument with the first field or member that a command looks up: 0 for none, -1 for the last one.
    static func elementArgument(_ id: CommandID) -> Int8 {
        switch id {
        case .hget, .hset, .hdel, .hexists, .hsetnx, .hstrlen, .hincrby, .hincrbyfloat, .hmget, .hmset: 2
        case .sadd, .srem, .sismember, .smismember: 2
        case .zscore, .zmscore, .zrem, .zrank, .zrevrank: 2
        case .zadd, .zincrby: -1
        default: 0
        }
    }
}
