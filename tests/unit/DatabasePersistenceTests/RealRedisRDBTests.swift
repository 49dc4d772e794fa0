import ByteStorage
import DatabasePersistence
import Testing

/// Against Debian's redis-server, where it is installed.
@Suite(.enabled(if: RealRedis.isAvailable)) struct RealRedisRDBTests {
    /// Puts a model into the server by commands.
    func fill(_ redis: RealRedis, _ model: Model) throws {
        for (index, entries) in model {
            _ = try redis.command("SELECT", "\(index)")
            for (key, entry) in entries {
                var words: [[UInt8]]
                switch entry.value {
                case .string(let value): words = [bytes("SET"), key, value]
                case .list(let elements): words = [bytes("RPUSH"), key] + elements
                case .set(let members): words = [bytes("SADD"), key] + members
                case .hash(let pairs): words = [bytes("HSET"), key] + pairs.flatMap { [$0.key, $0.value] }
                case .sortedSet(let scores):
                    words = [bytes("ZADD"), key] + scores.flatMap { [bytes("\($0.value)"), $0.key] }
                }
                if case .error(let text) = try redis.command(words) { throw RealRedis.Failure(text: text) }
                if let expiry = entry.metadata.expiryMilliseconds {
                    _ = try redis.command([bytes("PEXPIREAT"), key, bytes("\(expiry)")])
                }
            }
        }
    }

    /// Reads the model's keys from the server by commands.
    func contents(_ redis: RealRedis, like model: Model) throws -> Model {
        var result: Model = [:]
        func array(_ reply: RealRedis.Reply) -> [[UInt8]] {
            guard case .array(let items) = reply else { return [] }
            return items.compactMap { if case .bulk(let value) = $0 { value } else { nil } }
        }
        for (index, entries) in model {
            _ = try redis.command("SELECT", "\(index)")
            #expect(try redis.command("DBSIZE") == .integer(Int64(entries.count)))
            for (key, entry) in entries {
                let value: ModelValue
                switch entry.value {
                case .string:
                    guard case .bulk(let text?) = try redis.command([bytes("GET"), key]) else { continue }
                    value = .string(text)
                case .list: value = .list(array(try redis.command([bytes("LRANGE"), key, bytes("0"), bytes("-1")])))
                case .set: value = .set(Set(array(try redis.command([bytes("SMEMBERS"), key]))))
                case .hash:
                    let flat = array(try redis.command([bytes("HGETALL"), key]))
                    var pairs: [[UInt8]: [UInt8]] = [:]
                    for at in stride(from: 0, to: flat.count - 1, by: 2) { pairs[flat[at]] = flat[at + 1] }
                    value = .hash(pairs)
                case .sortedSet:
                    let words = [bytes("ZRANGE"), key, bytes("0"), bytes("-1"), bytes("WITHSCORES")]
                    let flat = array(try redis.command(words))
                    var scores: [[UInt8]: Double] = [:]
                    for at in stride(from: 0, to: flat.count - 1, by: 2) {
                        scores[flat[at]] = Double(String(decoding: flat[at + 1], as: UTF8.self))
                    }
                    value = .sortedSet(scores)
                }
                var metadata = EntryMetadata()
                if case .integer(let expiry) = try redis.command([bytes("PEXPIRETIME"), key]), expiry > 0 {
                    metadata.expiryMilliseconds = expiry
                }
                result[index, default: [:]][key] = ModelEntry(value: value, metadata: metadata)
            }
        }
        return result
    }

    func withoutAccessData(_ model: Model) -> Model {
        model.mapValues {
            $0.mapValues { entry in
                var entry = entry
                entry.metadata.idleSeconds = nil
                entry.metadata.accessFrequency = nil
                return entry
            }
        }
    }

    @Test("redis-server loads what we write", arguments: [false, true]) func theyLoadOurs(compressed: Bool) throws {
        let folder = try TemporaryFolder()
        let model = withoutAccessData(largeModel())
        try folder.write(rdbBytes(model, version: 10, compressStrings: compressed), "dump.rdb")
        let redis = try RealRedis(in: folder)
        #expect(try contents(redis, like: model) == model)
    }

    @Test("We load what redis-server saves", arguments: ["yes", "no"]) func weLoadTheirs(compression: String) throws {
        let folder = try TemporaryFolder()
        let model = withoutAccessData(largeModel())
        let redis = try RealRedis(in: folder, ["--rdbcompression", compression, "--list-max-listpack-size", "-2"])
        try fill(redis, model)
        #expect(try contents(redis, like: model) == model)
        #expect(try redis.command("SAVE") == .status("OK"))
        let loaded = load(folder.read("dump.rdb"))
        #expect(loaded.error == nil, "\(String(describing: loaded.error))")
        #expect(loaded.summary.checksumVerified && loaded.summary.version == 10)
        #expect(withoutAccessData(loaded.databases) == model)
        #expect(loaded.sink.auxiliary["redis-bits"] == "64")
    }

    @Test("Idle times, frequencies, functions and streams of redis-server are understood or named") func rest() throws {
        let folder = try TemporaryFolder()
        let redis = try RealRedis(in: folder, ["--maxmemory-policy", "allkeys-lfu"])
        _ = try redis.command("SET", "k", "v")
        let code = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
        #expect(try redis.command("FUNCTION", "LOAD", code) == .bulk(bytes("lib")))
        _ = try redis.command("SAVE")
        let loaded = load(folder.read("dump.rdb"))
        #expect(loaded.error == nil && loaded.sink.functions == [bytes(code)])
        #expect(loaded.databases[0]?[bytes("k")]?.metadata.accessFrequency != nil)
        _ = try redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        _ = try redis.command("SAVE")
        #expect(load(folder.read("dump.rdb")).databases[0]?[bytes("k")]?.metadata.idleSeconds != nil)
        _ = try redis.command("XADD", "stream", "*", "f", "v")
        _ = try redis.command("SAVE")
        let refused = load(folder.read("dump.rdb"))
        #expect(refused.error?.code == .unsupported && refused.error?.key == bytes("stream"))
    }

    @Test("redis-server restores our DUMP payloads") func restore() throws {
        let folder = try TemporaryFolder()
        let redis = try RealRedis(in: folder)
        let payload = collect { buffer in
            var writer = RDBWriter(output: buffer)
            writer.beginDump(.hash, count: 1)
            writer.pair(field: ByteView("f"), value: ByteView("v"))
            writer.finishDump(version: 10)
        }
        #expect(try redis.command([bytes("RESTORE"), bytes("h"), bytes("0"), payload]) == .status("OK"))
        #expect(try redis.command("HGET", "h", "f") == .bulk(bytes("v")))
    }

    @Test("redis-server 7.0 refuses version 11, which is why the version is a setting") func version() throws {
        let folder = try TemporaryFolder()
        try folder.write(rdbBytes(smallModel, version: 11), "dump.rdb")
        do {
            let redis = try RealRedis(in: folder)
            // A later server than 7.0 takes it.
            #expect(try redis.command("DBSIZE") == .integer(7))
        } catch let failure as RealRedis.Failure {
            #expect(failure.text.contains("RDB format version 11"))
        }
    }
}
