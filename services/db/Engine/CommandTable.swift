import ByteStorage
import CLinux

/// What is known of a command before it runs.
public struct CommandSpec: Sendable {
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let write = Flags(rawValue: 1 << 0)
        public static let readonly = Flags(rawValue: 1 << 1)
        public static let denyOOM = Flags(rawValue: 1 << 2)
        public static let admin = Flags(rawValue: 1 << 3)
        public static let pubsub = Flags(rawValue: 1 << 4)
        public static let noscript = Flags(rawValue: 1 << 5)
        public static let blocking = Flags(rawValue: 1 << 6)
        public static let loading = Flags(rawValue: 1 << 7)
        public static let stale = Flags(rawValue: 1 << 8)
        public static let skipSlowlog = Flags(rawValue: 1 << 9)
        public static let fast = Flags(rawValue: 1 << 10)
        public static let noAuth = Flags(rawValue: 1 << 11)
        public static let movableKeys = Flags(rawValue: 1 << 12)
        public static let noMulti = Flags(rawValue: 1 << 13)
        public static let allowBusy = Flags(rawValue: 1 << 14)
        public static let noAsyncLoading = Flags(rawValue: 1 << 15)
        public static let asking = Flags(rawValue: 1 << 16)

        static let names: [(String, Flags)] = [
            ("write", .write), ("readonly", .readonly), ("denyoom", .denyOOM), ("admin", .admin), ("pubsub", .pubsub),
            ("noscript", .noscript), ("blocking", .blocking), ("loading", .loading), ("stale", .stale),
            ("skip_slowlog", .skipSlowlog), ("fast", .fast), ("no_auth", .noAuth), ("movablekeys", .movableKeys),
            ("no_multi", .noMulti), ("allow_busy", .allowBusy), ("no_async_loading", .noAsyncLoading),
            ("asking", .asking),
        ]

        /// Redis's names of the flags that are set.
        public var nameList: [String] { Flags.names.filter { contains($0.1) }.map(\.0) }
    }

    public let id: CommandID
    public let name: String
    public let arity: Int
    public let flags: Flags
    public let firstKey: Int
    public let lastKey: Int
    public let keyStep: Int
    public let group: String
    public let since: String
    public let summary: String
    /// Where the command is counted: its number, or one after all commands' for a subcommand.
    public let slot: Int
    /// ACL categories without the @.
    public internal(set) var categories: [String] = []
    public internal(set) var tips: [String] = []
    public internal(set) var keySpecs: [KeySpec] = []
    public internal(set) var complexity = ""
    /// The version since which it is deprecated, and the command to use instead.
    public internal(set) var deprecation: (since: String, replacedBy: String)?
    public internal(set) var subcommands: [CommandSpec] = []
}

/// Where a command has keys and what it does with them.
///
/// - Spec: Redis command reference 7.2: key specifications.
public struct KeySpec: Sendable {
    public enum Find: Sendable {
        /// Counted from the first key; negative from the end of the arguments.
        case range(last: Int, step: Int, limit: Int)
        /// Relative to where the search begins.
        case counted(countIndex: Int, first: Int, step: Int)
        case unknown
    }
    public let flags: [String]
    /// Index of the argument where the search begins; nil: unknown.
    public let begin: Int?
    public let find: Find
}

/// What the hot path needs of a `CommandSpec`: no reference inside.
@frozen public struct CommandShape: Sendable {
    public let id: CommandID
    public let arity: Int16
    public let firstKey: Int8
    /// See `elementArgument`.
    public let element: Int8
    public let flags: UInt32
    /// Where the command is counted: see `CommandSpec.slot`.
    public let slot: UInt16

    init(_ spec: CommandSpec, id: CommandID) {
        self.id = id
        arity = Int16(spec.arity)
        firstKey = Int8(spec.firstKey)
        element = CommandShape.elementArgument(id)
        flags = spec.flags.rawValue
        slot = UInt16(spec.slot)
    }

    @inline(__always) public func accepts(argumentCount: Int) -> Bool {
        arity >= 0 ? argumentCount == Int(arity) : argumentCount >= -Int(arity)
    }

    /// Whether the first argument names a subcommand.
    public var hasSubcommands: Bool { CommandShape.isContainer(id) }

    public static func isContainer(_ id: CommandID) -> Bool {
        switch id {
        case .client, .command, .config, .latency, .memory, .object, .pubsub, .slowlog: true
        default: false
        }
    }

    @inline(__always) public func has(_ flag: CommandSpec.Flags) -> Bool { flags & flag.rawValue != 0 }
}

/// Finds commands by name, in any case of letters.
///
/// An open-addressed table keyed by two words made of the first and the last eight bytes of the name and its length, so a
/// look-up is two loads, a multiplication and a comparison.
public struct CommandTable: @unchecked Sendable {  // The memory is written in `init` only and never freed.
    public let specs: [CommandSpec]
    /// Commands and subcommands, by slot.
    public let allSpecs: [CommandSpec]
    /// Number of slots that calls are counted in.
    public let slotCount: Int
    private struct Cell {
        var low: UInt64
        var high: UInt64
        var length: Int
        var shape: CommandShape?
    }
    private let cells: UnsafeMutablePointer<Cell>
    private static let size = 1024

    public static let shared = CommandTable()

    private init() {
        var specs = CommandTable.specs(commandRows) { name, index in
            let id = index < CommandID.allCases.count ? CommandID.allCases[index] : .append
            let expected = id == .sortReadOnly ? "sort_ro" : id == .restoreAsking ? "restore-asking" : "\(id)"
            precondition(name == expected, "the command table is out of order at \(name)")
            return (id, index)
        }
        precondition(specs.count == CommandID.allCases.count, "the command table is not complete")
        let numbers = Dictionary(uniqueKeysWithValues: specs.map { ($0.name, $0.id) })
        var subcommands = CommandTable.specs(subcommandRows) { name, index in
            guard let id = numbers[String(name.prefix { $0 != "|" })] else {
                preconditionFailure("a subcommand of no command: \(name)")
            }
            return (id, CommandID.allCases.count + index)
        }
        let details = CommandTable.details()
        for index in specs.indices { specs[index].describe(details[specs[index].name]) }
        for index in subcommands.indices { subcommands[index].describe(details[subcommands[index].name]) }
        slotCount = specs.count + subcommands.count
        for spec in subcommands { specs[Int(spec.id.rawValue)].subcommands.append(spec) }
        allSpecs = specs + subcommands
        self.specs = specs
        cells = .allocate(capacity: CommandTable.size)
        cells.initialize(
            repeating: Cell(low: 0, high: 0, length: 0, shape: nil), count: CommandTable.size)
        for spec in specs {
            let name = [UInt8](spec.name.utf8)
            // Room for the eight-byte loads past the end of the name.
            (name + [UInt8](repeating: 0, count: 8)).withView { padded in
                let (low, high) = CommandTable.words(ByteView(padded.base, name.count))
                var index = CommandTable.position(low, high)
                while cells[index].shape != nil { index = (index + 1) & (CommandTable.size - 1) }
                cells[index] = Cell(
                    low: low, high: high, length: name.count,
                    shape: CommandShape(spec, id: spec.id))
            }
        }
    }

    /// - Precondition: eight bytes past `name` can be read, as in a receive buffer with its CR LF and slack.
    @inline(__always) private static func words(_ name: ByteView) -> (UInt64, UInt64) {
        let fold: UInt64 = 0x2020_2020_2020_2020
        let low = name.base.loadUnaligned(as: UInt64.self) | fold
        if name.count >= 8 {
            return (low, name.base.loadUnaligned(fromByteOffset: name.count &- 8, as: UInt64.self) | fold)
        }
        return (low & ((1 &<< UInt64(name.count &<< 3)) &- 1), 0)
    }

    @inline(__always) private static func position(_ low: UInt64, _ high: UInt64) -> Int {
        Int(truncatingIfNeeded: ((low ^ high &* 0x9e37_79b9_7f4a_7c15) &* 0xd6e8_feb8_6659_fd93) >> 54)
    }

    /// The command of that name.
    @inline(__always) public func find(_ name: ByteView) -> CommandShape? {
        let (low, high) = CommandTable.words(name)
        var index = CommandTable.position(low, high)
        while let shape = cells[index].shape {
            if cells[index].low == low && cells[index].high == high && cells[index].length == name.count {
                return shape
            }
            index = (index &+ 1) & (CommandTable.size &- 1)
        }
        return nil
    }

    public func spec(_ id: CommandID) -> CommandSpec { specs[Int(id.rawValue)] }

    /// The subcommand of a container command.
    public func subcommand(_ id: CommandID, _ name: ByteView) -> CommandShape? {
        guard let spec = subcommandSpec(id, name) else { return nil }
        return CommandShape(spec, id: id)
    }

    public func subcommandSpec(_ id: CommandID, _ name: ByteView) -> CommandSpec? {
        let command = specs[Int(id.rawValue)]
        let lowercase = name.string.lowercased()
        let start = command.name.utf8.count + 1
        return command.subcommands.first { $0.name.utf8.dropFirst(start).elementsEqual(lowercase.utf8) }
    }
}
