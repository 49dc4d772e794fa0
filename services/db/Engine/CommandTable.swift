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

        static let names: [(String, Flags)] = [
            ("write", .write), ("readonly", .readonly), ("denyoom", .denyOOM), ("admin", .admin), ("pubsub", .pubsub),
            ("noscript", .noscript), ("blocking", .blocking), ("loading", .loading), ("stale", .stale),
            ("skip_slowlog", .skipSlowlog), ("fast", .fast), ("no_auth", .noAuth), ("movablekeys", .movableKeys),
            ("no_multi", .noMulti), ("allow_busy", .allowBusy), ("no_async_loading", .noAsyncLoading),
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
}

/// What the hot path needs of a `CommandSpec`: no reference inside.
@frozen public struct CommandShape: Sendable {
    public let id: CommandID
    public let arity: Int16
    public let firstKey: Int8
    /// See `elementArgument`.
    public let element: Int8
    public let flags: UInt32

    @inline(__always) public func accepts(argumentCount: Int) -> Bool {
        arity >= 0 ? argumentCount == Int(arity) : argumentCount >= -Int(arity)
    }

    /// Whether the first argument names a subcommand.
    public var hasSubcommands: Bool { CommandShape.isContainer(id) }

    public static func isContainer(_ id: CommandID) -> Bool {
        switch id {
        case .client, .command, .config, .debug, .latency, .memory, .object, .pubsub, .slowlog: true
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
        var specs: [CommandSpec] = []
        for row in commandRows.split(separator: "\n") {
            let columns = row.split(separator: " ", maxSplits: 8, omittingEmptySubsequences: true)
            guard columns.count == 9, let arity = Int(columns[1]), let first = Int(columns[3]),
                let last = Int(columns[4]), let step = Int(columns[5]), specs.count < CommandID.allCases.count
            else { preconditionFailure("a damaged row in the command table: \(row)") }
            var flags: CommandSpec.Flags = []
            for name in columns[2].split(separator: ",") {
                guard let flag = CommandSpec.Flags.names.first(where: { $0.0 == name }) else {
                    preconditionFailure("an unknown flag in the command table: \(name)")
                }
                flags.insert(flag.1)
            }
            let id = CommandID.allCases[specs.count]
            let expected = id == .sortReadOnly ? "sort_ro" : "\(id)"
            precondition(columns[0] == expected, "the command table is out of order at \(columns[0])")
            specs.append(
                CommandSpec(
                    id: id, name: String(columns[0]), arity: arity, flags: flags, firstKey: first, lastKey: last,
                    keyStep: step, group: String(columns[6]), since: String(columns[7]), summary: String(columns[8])))
        }
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
                    shape: CommandShape(
                        id: spec.id, arity: Int16(spec.arity), firstKey: Int8(spec.firstKey),
                        element: CommandShape.elementArgument(spec.id), flags: spec.flags.rawValue))
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
}
