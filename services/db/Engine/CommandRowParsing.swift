// Reads the textual tables of commands, once at start.

extension CommandTable {
    /// - Parameter identify: the number and the slot of the row with that name and position.
    static func specs(_ rows: String, identify: (Substring, Int) -> (CommandID, Int)) -> [CommandSpec] {
        var specs: [CommandSpec] = []
        for row in rows.split(separator: "\n") {
            let columns = row.split(separator: " ", maxSplits: 8, omittingEmptySubsequences: true)
            guard columns.count == 9, let arity = Int(columns[1]), let first = Int(columns[3]),
                let last = Int(columns[4]), let step = Int(columns[5])
            else { preconditionFailure("a damaged row in the command table: \(row)") }
            var flags: CommandSpec.Flags = []
            for name in columns[2].split(separator: ",") where name != "-" {
                guard let flag = CommandSpec.Flags.names.first(where: { $0.0 == name }) else {
                    preconditionFailure("an unknown flag in the command table: \(name)")
                }
                flags.insert(flag.1)
            }
            let (id, slot) = identify(columns[0], specs.count)
            specs.append(
                CommandSpec(
                    id: id, name: String(columns[0]), arity: arity, flags: flags, firstKey: first, lastKey: last,
                    keyStep: step, group: String(columns[6]), since: String(columns[7]), summary: String(columns[8]),
                    slot: slot))
        }
        return specs
    }

    /// The columns of `commandDetailRows` after the name, by name.
    static func details() -> [String: [Substring]] {
        var result: [String: [Substring]] = [:]
        for row in commandDetailRows.split(separator: "\n") {
            let columns = row.split(separator: " ")
            precondition(columns.count == 6, "a damaged row in the table of command details: \(row)")
            result[String(columns[0])] = Array(columns[1...])
        }
        return result
    }
}

extension CommandSpec {
    /// Takes over a row of `commandDetailRows`.
    mutating func describe(_ columns: [Substring]?) {
        guard let columns else { preconditionFailure("a command without details: \(name)") }
        func list(_ column: Substring, _ separator: Character) -> [String] {
            column == "-" ? [] : column.split(separator: separator).map(String.init)
        }
        categories = list(columns[0], ",")
        tips = list(columns[1], ";")
        keySpecs = list(columns[2], ";").map { KeySpec(row: $0) }
        complexity = columns[3] == "-" ? "" : String(columns[3])
        let parts = list(columns[4], "=")
        if parts.count == 2 { deprecation = (parts[0], parts[1]) }
    }
}

extension KeySpec {
    /// `flags/begin/find`, as described at `commandDetailRows`.
    fileprivate init(row: String) {
        let parts = row.split(separator: "/")
        precondition(parts.count == 3, "a damaged key spec: \(row)")
        flags = parts[0].split(separator: ",").map(String.init)
        begin = Int(parts[1].dropFirst())
        let numbers = parts[2].dropFirst().split(separator: ":").compactMap { Int($0) }
        switch parts[2].first {
        case "r" where numbers.count == 3: find = .range(last: numbers[0], step: numbers[1], limit: numbers[2])
        case "n" where numbers.count == 3: find = .counted(countIndex: numbers[0], first: numbers[1], step: numbers[2])
        default: find = .unknown
        }
    }
}
