import ByteStorage
import DatabasePersistence
import Glibc
import Synchronization
import Testing

@Suite struct SnapshotFileTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func start(
        final: Bool = true, _ change: (inout SnapshotFile.Settings) -> Void = { _ in },
        notify: @escaping @Sendable () -> Void = {}
    ) throws -> SnapshotFile {
        var settings = SnapshotFile.Settings()
        settings.chunkBytes = 4096
        change(&settings)
        return try SnapshotFile(
            temporaryPath: folder.path("temp.rdb"), finalPath: final ? folder.path("dump.rdb") : nil,
            settings: settings, notify: notify)
    }

    /// Saves as a server would, waiting where the queue is full. Returns how often it was.
    @discardableResult
    func save(_ keys: Int, to file: SnapshotFile, version: Int = 11) -> Int {
        var blocked = 0
        var writer = RDBWriter(output: file.chunk, checksum: .byOwner)
        writer.header(version: version, RDBAuxiliaryFields(unixSeconds: 1, usedMemoryBytes: 1))
        writer.selectDatabase(0, keys: keys, expires: 0)
        for key in 0..<keys {
            bytes("key:\(key)").withView { view in
                bytes("value \(key &* 7919) of \(key)").withView { writer.string(key: view, value: $0) }
            }
            while !file.submit() {
                blocked += 1
                file.waitForRoom()
            }
        }
        writer.finish()
        file.finish()
        return blocked
    }

    func load(_ name: String = "dump.rdb") throws -> (ModelSink, RDBSummary) {
        var sink = ModelSink()
        let summary = try SnapshotLoader.load(folder.path(name), into: &sink)
        return (sink, summary)
    }

    static let kinds: [SnapshotFile.Compression] = [.none, .lz4(level: 0), .lz4(level: 9)]

    @Test("A saved file loads, with its checksum", arguments: kinds)
    func roundTrip(kind: SnapshotFile.Compression) throws {
        let file = try start { $0.compression = kind }
        save(3000, to: file)
        guard case .finished(let size) = file.wait() else {
            Issue.record("\(file.state)")
            return
        }
        let data = folder.read("dump.rdb")
        #expect(data.count == Int(size) && folder.names() == ["dump.rdb"])
        #expect([UInt8](data.prefix(4)) == (kind == .none ? bytes("REDI") : [4, 0x22, 0x4d, 0x18]))
        let (sink, summary) = try load()
        #expect(summary.keys == 3000 && summary.checksumVerified)
        #expect(sink.databases[0]?[bytes("key:17")]?.value == .string(bytes("value 134623 of 17")))
    }

    @Test("Without a checksum the field is zero") func noChecksum() throws {
        let file = try start {
            $0.compression = .none
            $0.checksum = false
        }
        save(5, to: file)
        _ = file.wait()
        #expect(folder.read("dump.rdb").suffix(9) == [255, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(
            try load().1
                == { () -> RDBSummary in
                    var summary = RDBSummary()
                    summary.version = 11
                    summary.keys = 5
                    return summary
                }())
    }

    @Test("Without a final path the file stays under its temporary name") func temporaryOnly() throws {
        let file = try start(final: false)
        save(5, to: file)
        _ = file.wait()
        #expect(folder.names() == ["temp.rdb"])
        #expect(try load("temp.rdb").1.keys == 5)
    }

    @Test("A slow disk holds the producer back, and the queue stays bounded") func backPressure() throws {
        let faults = Faults()
        faults.set { $0.holdsWrite = true }
        let counter = Counter()
        let file = try start {
            $0.compression = .none
            $0.maximumQueuedChunks = 3
            $0.calls = faults.calls
        } notify: {
            counter.add()
        }
        var writer = RDBWriter(output: file.chunk, checksum: .byOwner)
        writer.header(RDBAuxiliaryFields(unixSeconds: 1, usedMemoryBytes: 1))
        var keys = 0
        while true {
            bytes("key:\(keys)").withView { writer.string(key: $0, integer: Int64(keys)) }
            keys += 1
            if !file.submit() { break }
            #expect(keys < 10_000)
        }
        // One chunk may be with the worker, three in the queue, one is full here.
        #expect(keys * 13 < 5 * 4096 + 4096)
        #expect(!file.submit())
        faults.set { $0.holdsWrite = false }
        #expect(eventually { counter.value > 0 })
        #expect(eventually { file.submit() })
        writer.finish()
        file.finish()
        guard case .finished = file.wait() else {
            Issue.record("\(file.state)")
            return
        }
        #expect(try load().1.keys == UInt64(keys))
    }

    @Test("A failed write, fsync or rename leaves the old file and no rest", arguments: ["write", "fsync", "rename"])
    func failures(kind: String) throws {
        try folder.write(bytes("old"), "dump.rdb")
        let faults = Faults()
        faults.set {
            if kind == "write" {
                $0.writeError = ENOSPC
                $0.room = 5000
            }
            if kind == "fsync" { $0.synchronizeError = EIO }
        }
        if kind == "rename" {
            try folder.delete("dump.rdb")
            #expect(mkdir(folder.path("dump.rdb"), 0o700) == 0)
        }
        let counter = Counter()
        let file = try start {
            $0.calls = faults.calls
        } notify: {
            counter.add()
        }
        save(3000, to: file)
        guard case .failed(let error) = file.wait() else {
            Issue.record("\(file.state)")
            return
        }
        #expect(error.code == .system && error.file.hasSuffix("temp.rdb"))
        #expect(folder.names() == ["dump.rdb"] && counter.value > 0)
        if kind != "rename" { #expect(folder.read("dump.rdb") == bytes("old")) }
        // The producer may go on without harm.
        file.chunk.append([UInt8](repeating: 0, count: 10_000))
        #expect(file.submit() && file.chunk.isEmpty)
    }

    @Test("An aborted snapshot leaves nothing") func abort() throws {
        let file = try start()
        file.chunk.append([UInt8](repeating: 1, count: 10_000))
        _ = file.submit()
        file.abort()
        guard case .aborted = file.wait() else {
            Issue.record("\(file.state)")
            return
        }
        #expect(folder.names().isEmpty)
        rmdir(folder.root)
        #expect(throws: PersistenceError.self) { try start() }
    }

    @Test("A file cut at any byte is an error, compressed or not", arguments: kinds.prefix(2))
    func truncation(kind: SnapshotFile.Compression) throws {
        let file = try start { $0.compression = kind }
        save(12, to: file)
        _ = file.wait()
        let data = folder.read("dump.rdb")
        for count in data.indices {
            try folder.write([UInt8](data.prefix(count)), "cut.rdb")
            #expect {
                try load("cut.rdb")
            } throws: { error in
                let error = error as? PersistenceError
                return error?.code == .truncated && error?.file == folder.path("cut.rdb")
            }
        }
    }

    @Test("A changed byte anywhere is an error or the same data, compressed or not", arguments: kinds.prefix(2))
    func damage(kind: SnapshotFile.Compression) throws {
        let file = try start { $0.compression = kind }
        save(12, to: file)
        _ = file.wait()
        let data = folder.read("dump.rdb")
        let expected = try load().0.databases
        var checksums = 0
        for index in data.indices {
            for flip in [1, 0x80] as [UInt8] {
                var damaged = data
                damaged[index] ^= flip
                try folder.write(damaged, "damaged.rdb")
                do {
                    let (sink, summary) = try load("damaged.rdb")
                    #expect(sink.databases == expected || summary.version < 5, "byte \(index)")
                } catch let error as PersistenceError {
                    if error.code == .checksum { checksums += 1 }
                    #expect(error.file == folder.path("damaged.rdb"))
                }
            }
        }
        #expect(checksums > 0)
        try folder.write(data + [0], "longer.rdb")
        #expect(throws: PersistenceError.self) { try load("longer.rdb") }
    }

    @Test("Concatenated frames are one snapshot") func frames() throws {
        let file = try start { $0.compression = .none }
        save(50, to: file)
        _ = file.wait()
        let halves = "head -c 300 dump.rdb | lz4 -zcq; tail -c +301 dump.rdb | lz4 -zcq"
        let command = "cd \(folder.root) && (\(halves)) > two.rdb"
        guard access("/usr/bin/lz4", X_OK) == 0 else { return }
        #expect(system(command) == 0)
        #expect(try load("two.rdb").1.keys == 50)
    }

    @Test("lz4 -dc of our file is a file that redis-server loads", .enabled(if: RealRedis.isAvailable))
    func redisLoads() throws {
        guard access("/usr/bin/lz4", X_OK) == 0 else { return }
        let file = try start(final: false)
        save(2000, to: file, version: 10)
        _ = file.wait()
        #expect(system("lz4 -dcq \(folder.path("temp.rdb")) > \(folder.path("dump.rdb"))") == 0)
        let redis = try RealRedis(in: folder)
        #expect(try redis.command("DBSIZE") == .integer(2000))
        #expect(try redis.command("GET", "key:17") == .bulk(bytes("value 134623 of 17")))
    }
}

final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    func add() { count.add(1, ordering: .relaxed) }
    var value: Int { count.load(ordering: .relaxed) }
}
