// DUMP and RESTORE: one value in the form of an RDB file.
//
// DUMP writes RDB version 10, which Redis 7.0 takes as well as 7.2: nothing in the payload needs a later one. RESTORE checks the
// checksum and every length, and puts the value under its key only when all of it was sound. It is propagated with the expiry
// as a point in time.
//
// - Spec: Redis command reference 7.2: DUMP, RESTORE; RDB file format; CRC-64 of the payload and its version.
import ByteStorage
import DatabaseEngine
import DatabasePersistence
import RESP

extension Server {
    private static let dumpVersion = 10

    /// Commands on data that need the formats of files. Returns false when the command is none of them.
    func runDumpCommand(_ id: CommandID, _ c: Invocation) -> Bool {
        switch id {
        case .dump: dump(c)
        case .restore, .restoreAsking: restore(c)
        default: return false
        }
        return true
    }

    private func dump(_ c: Invocation) {
        guard let key = engine.keyView(c[1], in: c.database) else { return c.reply.null() }
        let output = OutputBuffer.create(capacity: 256)
        defer { output.destroy() }
        var writer = RDBWriter(output: output, compressStrings: true)
        func collection(_ kind: CollectionKind, _ writer: inout RDBWriter, _ body: (inout RDBWriter) -> Void) {
            writer.beginDump(kind, count: key.count)
            body(&writer)
            writer.finishDump(version: Server.dumpVersion)
        }
        switch key.kind {
        case .inlineString, .blobString: writer.dump(string: key.string, version: Server.dumpVersion)
        case .list: collection(.list, &writer) { writer in key.forEachElement { writer.element($0) } }
        case .set: collection(.set, &writer) { writer in key.forEachElement { writer.element($0) } }
        case .hash: collection(.hash, &writer) { writer in key.forEachPair { writer.pair(field: $0, value: $1) } }
        case .sortedSet:
            collection(.sortedSet, &writer) { writer in key.forEachScored { writer.scored(member: $0, score: $1) } }
        }
        c.reply.bulk(output.view)
    }

    private struct RestoreOptions {
        var replaces = false
        var isAbsolute = false
        var idleSeconds: Int64?
        var frequency: Int64?
    }

    private func restoreOptions(_ c: Invocation) -> RestoreOptions? {
        var options = RestoreOptions()
        var index = 4
        while index < c.count {
            if c[index].equalsIgnoringCase("replace") {
                options.replaces = true
            } else if c[index].equalsIgnoringCase("absttl") {
                options.isAbsolute = true
            } else if c[index].equalsIgnoringCase("idletime"), index + 1 < c.count, options.frequency == nil {
                guard let value = integer(c, index + 1) else { return nil }
                guard value >= 0 else {
                    c.reply.error("ERR Invalid IDLETIME value, must be >= 0")
                    return nil
                }
                options.idleSeconds = value
                index += 1
            } else if c[index].equalsIgnoringCase("freq"), index + 1 < c.count, options.idleSeconds == nil {
                guard let value = integer(c, index + 1) else { return nil }
                guard value >= 0, value <= 255 else {
                    c.reply.error("ERR Invalid FREQ value, must be >= 0 and <= 255")
                    return nil
                }
                options.frequency = value
                index += 1
            } else {
                c.reply.error("ERR syntax error")
                return nil
            }
            index += 1
        }
        return options
    }

    private func integer(_ c: Invocation, _ index: Int) -> Int64? {
        if let value = parseInteger(c[index]) { return value }
        c.reply.error("ERR value is not an integer or out of range")
        return nil
    }

    private func restore(_ c: Invocation) {
        guard let options = restoreOptions(c) else { return }
        let isThere = engine.memoryUsage(of: c[1], in: c.database) != nil
        if isThere, !options.replaces { return c.reply.error("BUSYKEY Target key name already exists.") }
        guard let ttl = integer(c, 2) else { return }
        guard ttl >= 0 else { return c.reply.error("ERR Invalid TTL value, must be >= 0") }
        var expiry: Int64?
        if ttl > 0 {
            let (sum, isOverflowing) = ttl.addingReportingOverflow(options.isAbsolute ? 0 : engine.now)
            expiry = isOverflowing ? .max : sum
        }
        var loader = KeyspaceLoader(engine: engine, skipsExpired: false)
        var reader = RDBReader()
        reader.maximumStringBytes = settings.engine.maxStringBytes
        statistics.restoredPayloads += 1
        do throws(PersistenceError) {
            loader.beginDatabase(restoring: c.database)
            let isDelivered = try reader.restore(
                c[3], key: c[1], metadata: EntryMetadata(expiryMilliseconds: expiry), into: &loader)
            guard isDelivered else { return c.reply.error("ERR Bad data format") }
        } catch {
            loader.abandon()
            return c.reply.error(
                error.code == .checksum || c[3].count <= 10
                    ? "ERR DUMP payload version or checksum are wrong" : "ERR Bad data format")
        }
        engine.restored(
            c.database, c[1], idleSeconds: options.idleSeconds, frequency: options.frequency.map { UInt8(clamping: $0) }
        )
        propagateRestore(c, options, expiry)
        c.reply.ok()
    }

    private func propagateRestore(_ c: Invocation, _ options: RestoreOptions, _ expiry: Int64?) {
        // A key whose time has already come is not kept; `expireIfDue` has propagated its end, which needs no beginning.
        if let expiry, expiry <= engine.now, !engine.state.pointee.isReplica {
            engine.expireIfDue(c.database, c[1])
            return
        }
        var words: [[UInt8]] = [Array("RESTORE".utf8), c[1].array, Array("\(expiry ?? 0)".utf8), c[3].array]
        words += [Array("REPLACE".utf8), Array("ABSTTL".utf8)]
        if let idle = options.idleSeconds { words += [Array("IDLETIME".utf8), Array("\(idle)".utf8)] }
        if let frequency = options.frequency { words += [Array("FREQ".utf8), Array("\(frequency)".utf8)] }
        withViews(words) { views, count in
            engine.state.pointee.stream.append(database: c.database, arguments: views, count: count)
        }
    }
}
