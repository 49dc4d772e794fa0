import ByteStorage
import DatabasePersistence
import Testing

/// Data folders that go between us and Debian's redis-server, where it is installed.
@Suite(.enabled(if: RealRedis.isAvailable)) struct RealRedisAOFTests {
    @Test("redis-server opens a log of ours: base, increments and manifest") func theyOpenOurs() throws {
        let folder = try TemporaryFolder()
        let directory = AOFDirectory(dataFolder: folder.root)
        do {
            let writer = try AOFWriter(directory: directory, manifest: directory.open(), notify: {})
            writer.pending.append(request("SELECT", "0") + request("SET", "old", "1"))
            writer.beginIncrement()
            var settings = SnapshotFile.Settings()
            settings.compression = .none
            let base = try SnapshotFile(
                temporaryPath: "\(directory.path)/\(directory.temporaryBaseName)", finalPath: nil, settings: settings,
                notify: {})
            var rdb = RDBWriter(output: base.chunk, checksum: .byOwner)
            rdb.header(version: 10, RDBAuxiliaryFields(unixSeconds: 1, usedMemoryBytes: 1, isLogBase: true))
            write(smallModel, with: &rdb)
            rdb.finish()
            base.finish()
            _ = base.wait()
            writer.finishRewrite(format: .rdb)
            writer.pending.append(
                request("SELECT", "7") + request("MULTI") + request("SET", "new", "2") + request("EXEC"))
            writer.appendTimestamp(unixSeconds: 1_700_000_000)
            #expect(writer.close(timeoutMilliseconds: 10_000))
        }
        let redis = try RealRedis(in: folder, ["--appendonly", "yes"])
        #expect(try redis.command("DBSIZE") == .integer(Int64(smallModel[0]?.count ?? 0)))
        #expect(try redis.command("GET", "old") == .bulk(nil))
        #expect(try redis.command("LRANGE", "list", "0", "1") == .array([.bulk(bytes("a")), .bulk(bytes("1"))]))
        _ = try redis.command("SELECT", "7")
        #expect(try redis.command("GET", "new") == .bulk(bytes("2")))
        #expect(try redis.command("ZSCORE", "zset", "m") == .bulk(bytes("1.5")))
    }

    @Test("We open a log of redis-server's, before and after its rewrite", arguments: ["yes", "no"])
    func weOpenTheirs(preamble: String) throws {
        let folder = try TemporaryFolder()
        let directory = AOFDirectory(dataFolder: folder.root)
        // Other policies may put the writing of the log off while the disk is busy; this one writes before it replies.
        let redis = try RealRedis(
            in: folder,
            [
                "--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble,
                "--aof-timestamp-enabled", "yes",
            ])
        func loadAll() throws -> (ModelSink, AOFLoadReport) {
            var sink = ModelSink()
            let report = try AOFLoader(directory: directory).load(try directory.open(), into: &sink)
            return (sink, report)
        }
        _ = try redis.command("SET", "a", "1")
        _ = try redis.command("MULTI")
        _ = try redis.command("RPUSH", "l", "x", "y")
        _ = try redis.command("INCR", "a")
        _ = try redis.command("EXEC")
        let (before, _) = try loadAll()
        #expect(before.commands == [["SELECT", "0"], ["SET", "a", "1"], ["RPUSH", "l", "x", "y"], ["INCR", "a"]])
        _ = try redis.command("BGREWRITEAOF")
        #expect(
            eventually {
                guard case .bulk(let info?)? = try? redis.command("INFO", "persistence") else { return false }
                let text = String(decoding: info, as: UTF8.self)
                return text.contains("aof_rewrite_in_progress:0") && text.contains("aof_rewrite_scheduled:0")
            })
        _ = try redis.command("SET", "after", "1")
        let (sink, report) = try loadAll()
        #expect(report.files == 2 && report.cut == nil)
        if preamble == "yes" {
            #expect(sink.databases[0]?[bytes("a")]?.value == .string(bytes("2")))
            #expect(sink.databases[0]?[bytes("l")]?.value == .list([bytes("x"), bytes("y")]))
            #expect(sink.commands == [["SELECT", "0"], ["SET", "after", "1"]])
        } else {
            #expect(sink.commands.contains(["RPUSH", "l", "x", "y"]) && sink.commands.contains(["SET", "a", "2"]))
        }
    }
}
