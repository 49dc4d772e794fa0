// COMMAND: COUNT, LIST, INFO, DOCS, GETKEYS, GETKEYSANDFLAGS.
//
// - Spec: Redis command reference 7.2: COMMAND. DOCS leaves out `history`.
import ByteStorage
import DatabaseEngine
import RESP

extension Server {
    func command(_ c: CommandContext) {
        if c.count == 1 {
            c.reply.array(commands.specs.count)
            for spec in commands.specs { replyInfo(c.reply, spec) }
        } else if c.isWord(1, "count") {
            c.reply.integer(commands.specs.count)
        } else if c.isWord(1, "info") {
            commandInfo(c)
        } else if c.isWord(1, "docs") {
            commandDocs(c)
        } else if c.isWord(1, "list") {
            commandList(c)
        } else if c.isWord(1, "getkeys") {
            commandGetKeys(c, withFlags: false)
        } else if c.isWord(1, "getkeysandflags") {
            commandGetKeys(c, withFlags: true)
        } else {
            replyHelp(
                c, "COMMAND",
                [
                    "(no subcommand)", "COUNT", "DOCS [<command-name> ...]", "GETKEYS <full-command>",
                    "GETKEYSANDFLAGS <full-command>", "INFO [<command-name> ...]",
                    "LIST [FILTERBY (MODULE <module-name>|ACLCAT <cat>|PATTERN <pattern>)]",
                ])
        }
    }

    /// Finds a command by an argument, which need not be followed by readable bytes.
    func find(_ name: ByteView) -> CommandShape? {
        var result: CommandShape?
        withViews([name.array]) { views, _ in result = commands.find(views[0]) }
        return result
    }

    /// The command of a name as COMMAND takes it, `get` or `config|get`; with its subcommands if that is asked for.
    func named(_ name: ByteView, withSubcommands: Bool = false) -> [CommandSpec] {
        let parts = name.string.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let shape = Array(first.utf8).withView({ find($0) }) else { return [] }
        if parts.count == 2 {
            return Array(parts[1].utf8).withView { commands.subcommandSpec(shape.id, $0) }.map { [$0] } ?? []
        }
        let spec = commands.spec(shape.id)
        return withSubcommands ? [spec] + spec.subcommands : [spec]
    }

    // MARK: INFO

    private func commandInfo(_ c: CommandContext) {
        if c.count == 2 {
            c.reply.array(commands.specs.count)
            for spec in commands.specs { replyInfo(c.reply, spec) }
            return
        }
        c.reply.array(c.count - 2)
        for index in 2..<c.count {
            if let spec = named(c[index]).first { replyInfo(c.reply, spec) } else { c.reply.null() }
        }
    }

    private func replyInfo(_ reply: ReplyWriter, _ spec: CommandSpec) {
        reply.array(10)
        reply.bulk(spec.name)
        reply.integer(spec.arity)
        replyNames(reply, spec.flags.nameList)
        reply.integer(spec.firstKey)
        reply.integer(spec.lastKey)
        reply.integer(spec.keyStep)
        replyNames(reply, spec.categories.map { "@" + $0 })
        reply.array(spec.tips.count)
        for tip in spec.tips { reply.bulk(tip) }
        reply.array(spec.keySpecs.count)
        for keySpec in spec.keySpecs { replyKeySpec(reply, keySpec) }
        reply.array(spec.subcommands.count)
        for subcommand in spec.subcommands { replyInfo(reply, subcommand) }
    }

    private func replyNames(_ reply: ReplyWriter, _ names: [String]) {
        reply.set(names.count)
        for name in names { reply.simple(name) }
    }

    private func replyKeySpec(_ reply: ReplyWriter, _ spec: KeySpec) {
        reply.map(3)
        reply.bulk("flags")
        replyNames(reply, spec.flags)
        reply.bulk("begin_search")
        if let begin = spec.begin {
            replySearch(reply, "index", [("index", begin)])
        } else {
            replySearch(reply, "unknown", [])
        }
        reply.bulk("find_keys")
        switch spec.find {
        case .range(let last, let step, let limit):
            replySearch(reply, "range", [("lastkey", last), ("keystep", step), ("limit", limit)])
        case .counted(let countIndex, let first, let step):
            replySearch(reply, "keynum", [("keynumidx", countIndex), ("firstkey", first), ("keystep", step)])
        case .unknown: replySearch(reply, "unknown", [])
        }
    }

    private func replySearch(_ reply: ReplyWriter, _ type: StaticString, _ fields: [(StaticString, Int)]) {
        reply.map(2)
        reply.bulk("type")
        reply.bulk(type)
        reply.bulk("spec")
        reply.map(fields.count)
        for (name, value) in fields {
            reply.bulk(name)
            reply.integer(value)
        }
    }

    // MARK: DOCS

    private func commandDocs(_ c: CommandContext) {
        let specs = c.count == 2 ? commands.specs : (2..<c.count).flatMap { named(c[$0]) }
        c.reply.map(specs.count)
        for spec in specs { replyDocs(c.reply, spec) }
    }

    private func replyDocs(_ reply: ReplyWriter, _ spec: CommandSpec) {
        var fields = [("summary", spec.summary), ("since", spec.since), ("group", spec.group)]
        if !spec.complexity.isEmpty { fields.append(("complexity", spec.complexity)) }
        let isInternal = [.replconf, .restoreAsking, .debug, .dssm].contains(spec.id)
        let hasFlags = spec.deprecation != nil || isInternal
        reply.bulk(spec.name)
        let arguments = CommandTable.arguments(of: spec.name)
        let optional = [hasFlags, !arguments.isEmpty, !spec.subcommands.isEmpty].count { $0 }
        reply.map(fields.count + optional + (spec.deprecation == nil ? 0 : 2))
        for (name, value) in fields {
            reply.bulk(name)
            reply.bulk(value)
        }
        if hasFlags {
            reply.bulk("doc_flags")
            replyNames(reply, [spec.deprecation == nil ? "syscmd" : "deprecated"])
        }
        if let deprecation = spec.deprecation {
            reply.bulk("deprecated_since")
            reply.bulk(deprecation.since)
            reply.bulk("replaced_by")
            reply.bulk("`\(deprecation.replacedBy.uppercased())`")
        }
        if !arguments.isEmpty {
            reply.bulk("arguments")
            replyArguments(reply, arguments)
        }
        guard !spec.subcommands.isEmpty else { return }
        reply.bulk("subcommands")
        reply.map(spec.subcommands.count)
        for subcommand in spec.subcommands { replyDocs(reply, subcommand) }
    }

    private func replyArguments(_ reply: ReplyWriter, _ arguments: [CommandArgument]) {
        reply.array(arguments.count)
        for argument in arguments {
            var fields = [("name", argument.name), ("type", argument.type)]
            if let token = argument.token { fields.append(("token", token)) }
            if let since = argument.since { fields.append(("since", since)) }
            if let version = argument.deprecatedSince { fields.append(("deprecated_since", version)) }
            let optional = [argument.keySpec != nil, !argument.flags.isEmpty, !argument.arguments.isEmpty]
            reply.map(fields.count + optional.count { $0 })
            for (name, value) in fields {
                reply.bulk(name)
                reply.bulk(value)
            }
            if let keySpec = argument.keySpec {
                reply.bulk("key_spec_index")
                reply.integer(keySpec)
            }
            if !argument.flags.isEmpty {
                reply.bulk("flags")
                replyNames(reply, argument.flags)
            }
            if !argument.arguments.isEmpty {
                reply.bulk("arguments")
                replyArguments(reply, argument.arguments)
            }
        }
    }

    // MARK: LIST

    private func commandList(_ c: CommandContext) {
        var specs = commands.allSpecs
        if c.count == 5, c.isWord(2, "filterby"), c.isWord(3, "pattern") {
            specs = specs.filter { spec in Array(spec.name.utf8).withView { matchesGlob(c[4], $0, ignoringCase: true) }
            }
        } else if c.count == 5, c.isWord(2, "filterby"), c.isWord(3, "aclcat") {
            let wanted = c.text(4).lowercased()
            specs = specs.filter { $0.categories.contains(wanted) }
        } else if c.count == 5, c.isWord(2, "filterby"), c.isWord(3, "module") {
            specs = []
        } else if c.count != 2 {
            return c.syntaxError()
        }
        c.reply.array(specs.count)
        for spec in specs { c.reply.bulk(spec.name) }
    }

    // MARK: GETKEYS

    private func commandGetKeys(_ c: CommandContext, withFlags: Bool) {
        guard let shape = find(c[2]) else { return c.reply.error("ERR Invalid command specified") }
        var spec = commands.spec(shape.id)
        let count = c.count - 2
        if !spec.subcommands.isEmpty, count > 1 {
            guard let found = commands.subcommandSpec(shape.id, c[3]) else {
                return c.reply.error("ERR Invalid command specified")
            }
            spec = found
        }
        // Shard channels are placed like keys, but are none.
        guard !spec.keySpecs.allSatisfy({ $0.flags.contains("not_key") }) else {
            return c.reply.error("ERR The command has no key arguments")
        }
        guard spec.arity >= 0 ? count == spec.arity : count >= -spec.arity else {
            return c.reply.error("ERR Invalid number of arguments specified for command")
        }
        guard let keys = keys(of: spec, count, { c[2 + $0] }), !keys.isEmpty else {
            return c.reply.error("ERR Invalid arguments specified for command")
        }
        c.reply.array(keys.count)
        for key in keys {
            if withFlags { c.reply.array(2) }
            c.reply.bulk(c[2 + key.position])
            if withFlags { replyNames(c.reply, key.flags) }
        }
    }

    /// Where the keys of a command are among its `count` arguments, and what is done with them; nil: the arguments do not fit.
    func keys(
        of spec: CommandSpec, _ count: Int, _ argument: (Int) -> ByteView
    ) -> [(position: Int, flags: [String])]? {
        switch spec.id {
        case .set:
            let reads = (3..<max(3, count)).contains { argument($0).equalsIgnoringCase("get") }
            return [(1, reads ? ["RW", "access", "update"] : ["OW", "update"])]
        case .sort:
            // The last STORE counts; what stands behind LIMIT, BY and GET is none.
            var target: Int?
            var index = 2
            while index < count {
                if argument(index).equalsIgnoringCase("limit") {
                    index += 2
                } else if argument(index).equalsIgnoringCase("get") || argument(index).equalsIgnoringCase("by") {
                    index += 1
                } else if argument(index).equalsIgnoringCase("store"), index + 1 < count {
                    target = index + 1
                    index += 1
                }
                index += 1
            }
            return [(1, ["RO", "access"])] + (target.map { [($0, ["OW", "update"])] } ?? [])
        case .sortReadOnly: return [(1, ["RO", "access"])]
        default: break
        }
        var result: [(position: Int, flags: [String])] = []
        for keySpec in spec.keySpecs {
            guard let begin = keySpec.begin else { continue }
            switch keySpec.find {
            case .unknown: continue
            case .range(let last, let step, _):
                let end = last < 0 ? count + last : begin + last
                guard end < count else { return nil }
                guard begin <= end else { continue }
                for position in stride(from: begin, through: end, by: max(1, step)) {
                    result.append((position, keySpec.flags))
                }
            case .counted(let countIndex, let first, let step):
                guard begin + countIndex < count, let keys = parseInteger(argument(begin + countIndex)), keys > 0,
                    keys <= Int64(count - begin - first)
                else { return nil }
                for number in 0..<Int(keys) { result.append((begin + first + number * step, keySpec.flags)) }
            }
        }
        return result
    }
}
