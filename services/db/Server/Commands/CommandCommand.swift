// COMMAND: COUNT, LIST, INFO, DOCS, GETKEYS.
//
// - Spec: Redis command reference 7.2: COMMAND.
import ByteStorage
import DatabaseEngine
import RESP

extension Server {
    func command(_ c: CommandContext) {
        if c.count == 1 {
            c.reply.array(commands.specs.count)
            for spec in commands.specs { replyInfo(c.reply, spec) }
        } else if c.isWord(1, "count"), c.count == 2 {
            c.reply.integer(commands.specs.count)
        } else if c.isWord(1, "info") {
            let specs = c.count == 2 ? commands.specs : []
            c.reply.array(c.count == 2 ? specs.count : c.count - 2)
            for spec in specs { replyInfo(c.reply, spec) }
            for index in 2..<max(2, c.count) {
                if let shape = find(c[index]) {
                    replyInfo(c.reply, commands.spec(shape.id))
                } else {
                    c.reply.null()
                }
            }
        } else if c.isWord(1, "docs") {
            commandDocs(c)
        } else if c.isWord(1, "list") {
            commandList(c)
        } else if c.isWord(1, "getkeys"), c.count >= 3 {
            commandGetKeys(c)
        } else if c.isWord(1, "help"), c.count == 2 {
            replyHelp(
                c, "COMMAND",
                [
                    "(no subcommand)", "COUNT", "DOCS [<command-name> ...]", "GETKEYS <full-command>",
                    "INFO [<command-name> ...]", "LIST",
                ])
        } else {
            c.unknownSubcommand("COMMAND")
        }
    }

    /// Finds a command by an argument, which need not be followed by readable bytes.
    func find(_ name: ByteView) -> CommandShape? {
        var result: CommandShape?
        withViews([name.array]) { views, _ in result = commands.find(views[0]) }
        return result
    }

    private func categories(_ spec: CommandSpec) -> [String] {
        var names: [String] = []
        switch spec.group {
        case "generic": names.append("@keyspace")
        case "sorted-set": names.append("@sortedset")
        case "transactions": names.append("@transaction")
        case "server", "cluster": break
        default: names.append("@\(spec.group)")
        }
        if spec.flags.contains(.write) { names.append("@write") }
        if spec.flags.contains(.readonly) { names.append("@read") }
        if spec.flags.contains(.admin) { names += ["@admin", "@dangerous"] }
        if spec.flags.contains(.blocking) { names.append("@blocking") }
        names.append(spec.flags.contains(.fast) ? "@fast" : "@slow")
        return names
    }

    private func replyInfo(_ reply: ReplyWriter, _ spec: CommandSpec) {
        reply.array(10)
        reply.bulk(spec.name)
        reply.integer(spec.arity)
        replyNames(reply, spec.flags.nameList)
        reply.integer(spec.firstKey)
        reply.integer(spec.lastKey)
        reply.integer(spec.keyStep)
        replyNames(reply, categories(spec))
        reply.array(0)
        reply.array(0)
        reply.array(0)
    }

    private func replyNames(_ reply: ReplyWriter, _ names: [String]) {
        reply.set(names.count)
        for name in names { reply.simple(name) }
    }

    private func commandDocs(_ c: CommandContext) {
        var specs = commands.specs
        if c.count > 2 { specs = (2..<c.count).compactMap { find(c[$0]) }.map { commands.spec($0.id) } }
        c.reply.map(specs.count)
        for spec in specs {
            c.reply.bulk(spec.name)
            c.reply.map(3)
            c.reply.bulk("summary")
            c.reply.bulk(spec.summary)
            c.reply.bulk("since")
            c.reply.bulk(spec.since)
            c.reply.bulk("group")
            c.reply.bulk(spec.group)
        }
    }

    private func commandList(_ c: CommandContext) {
        var specs = commands.specs
        if c.count == 5, c.isWord(2, "filterby"), c.isWord(3, "pattern") {
            specs = specs.filter { spec in Array(spec.name.utf8).withView { matchesGlob(c[4], $0, ignoringCase: true) }
            }
        } else if c.count == 5, c.isWord(2, "filterby"), c.isWord(3, "aclcat") {
            let wanted = "@" + c.text(4).lowercased()
            specs = specs.filter { categories($0).contains(wanted) }
        } else if c.count == 5, c.isWord(2, "filterby"), c.isWord(3, "module") {
            specs = []
        } else if c.count != 2 {
            return c.syntaxError()
        }
        c.reply.array(specs.count)
        for spec in specs { c.reply.bulk(spec.name) }
    }

    private func commandGetKeys(_ c: CommandContext) {
        guard let shape = find(c[2]) else { return c.reply.error("ERR Invalid command specified") }
        let spec = commands.spec(shape.id)
        let count = c.count - 2
        guard shape.accepts(argumentCount: count) else {
            return c.reply.error("ERR Invalid number of arguments specified for command")
        }
        let positions = keyPositions(spec, count) { c[2 + $0] }
        guard !positions.isEmpty else { return c.reply.error("ERR The command has no key arguments") }
        c.reply.array(positions.count)
        for position in positions { c.reply.bulk(c[2 + position]) }
    }

    /// Where the keys of a command are among its `count` arguments.
    func keyPositions(_ spec: CommandSpec, _ count: Int, _ argument: (Int) -> ByteView) -> [Int] {
        func numbered(_ index: Int) -> [Int] {
            guard index < count, let keys = parseInteger(argument(index)), keys > 0, index + Int(clamping: keys) < count
            else { return [] }
            return Array(index + 1...index + Int(keys))
        }
        switch spec.id {
        case .blmpop, .bzmpop: return numbered(2)
        case .lmpop, .zmpop, .sintercard, .zdiff, .zinter, .zintercard, .zunion: return numbered(1)
        case .zdiffstore, .zinterstore, .zunionstore: return [1] + numbered(2)
        case .sort:
            let store = (2..<max(2, count - 1)).last { argument($0).equalsIgnoringCase("store") }
            return [1] + (store.map { [$0 + 1] } ?? [])
        case .memory: return count > 2 && argument(1).equalsIgnoringCase("usage") ? [2] : []
        default:
            guard spec.firstKey > 0 else { return [] }
            let last = spec.lastKey < 0 ? count + spec.lastKey : spec.lastKey
            guard last >= spec.firstKey, last < count else { return [] }
            return Array(stride(from: spec.firstKey, through: last, by: max(1, spec.keyStep)))
        }
    }
}
