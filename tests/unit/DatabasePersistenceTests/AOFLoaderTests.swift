import ByteStorage
import DatabasePersistence
import Testing

/// A command in the request format.
func request(_ words: String...) -> [UInt8] {
    var text = bytes("*\(words.count)\r\n")
    for word in words { text += bytes("$\(word.utf8.count)\r\n\(word)\r\n") }
    return text
}

@Suite struct AOFLoaderTests {
    /// A log of the given files; the first is the base when its name says so.
    struct Log {
        let folder: TemporaryFolder
        let directory: AOFDirectory
        var manifest: AOFManifest

        init(base: [UInt8]? = nil, _ increments: [UInt8]...) throws {
            folder = try TemporaryFolder()
            directory = AOFDirectory(dataFolder: folder.root)
            manifest = try directory.open()
            for content in increments {
                let entry = manifest.addIncrement("appendonly.aof")
                try folder.write(content, "appendonlydir/\(entry.name)")
            }
            if let base {
                let entry = manifest.replaceBase("appendonly.aof", .rdb, firstIncrement: 1)
                try folder.write(base, "appendonlydir/\(entry.name)")
            }
        }

        func load(_ change: (inout AOFLoader) -> Void = { _ in }) throws -> (ModelSink, AOFLoadReport) {
            var loader = AOFLoader(directory: directory)
            change(&loader)
            var sink = ModelSink()
            let report = try loader.load(manifest, into: &sink)
            return (sink, report)
        }

        func error(_ change: (inout AOFLoader) -> Void = { _ in }) -> PersistenceError? {
            do { _ = try load(change) } catch { return error as? PersistenceError }
            return nil
        }

        func increment(_ sequence: Int) -> String { "appendonlydir/appendonly.aof.\(sequence).incr.aof" }
    }

    @Test("Base and increments are replayed in order") func order() throws {
        let log = try Log(
            base: rdbBytes(smallModel), request("SELECT", "0") + request("SET", "a", "1"),
            bytes("#TS:1700000000\r\n") + request("DEL", "a") + request("SET", "b", ""))
        let (sink, report) = try log.load()
        #expect(sink.databases == smallModel)
        #expect(sink.commands == [["SELECT", "0"], ["SET", "a", "1"], ["DEL", "a"], ["SET", "b", ""]])
        #expect(report.files == 3 && report.commands == 4 && report.cut == nil)
        #expect(report.baseKeys == 11)
        let sizes = log.folder.names("appendonlydir").map { log.folder.read("appendonlydir/\($0)").count }
        #expect(report.bytes == Int64(sizes.reduce(0, +)))
    }

    @Test("An RDB preamble may be followed by commands in the same file") func preamble() throws {
        let log = try Log(base: rdbBytes(smallModel) + request("SET", "a", "1"))
        let (sink, report) = try log.load()
        #expect(sink.databases == smallModel && sink.commands == [["SET", "a", "1"]] && report.cut == nil)
        let plain = try Log(base: request("SET", "a", "1"))
        #expect(try plain.load().0.commands == [["SET", "a", "1"]])
    }

    @Test("A tail torn at any byte is cut at the last whole command") func tornTail() throws {
        let first = request("SET", "key", "value one")
        let whole = first + request("SET", "k2", "v2")
        for count in first.count...whole.count {
            let log = try Log([UInt8](whole.prefix(count)))
            let (sink, report) = try log.load()
            if count == first.count || count == whole.count {
                #expect(report.cut == nil)
                continue
            }
            #expect(sink.commands == [["SET", "key", "value one"]])
            let cut = try #require(report.cut, "cut at \(count)")
            #expect(cut.offset == UInt64(first.count) && cut.bytes == UInt64(count - first.count))
            #expect(!cut.insideTransaction)
            #expect(log.folder.read(log.increment(1)) == first)
            #expect(try log.load().1.cut == nil)
        }
    }

    @Test("A torn tail is an error when it must not be cut, and in a file that is not the last")
    func tornError() throws {
        let torn = request("SET", "a", "1") + bytes("*2\r\n$3\r\nDE")
        let last = try Log(torn)
        let error = try #require(last.error { $0.cutsTornTail = false })
        #expect(error.code == .truncated && error.offset == 27 && error.file.hasSuffix("1.incr.aof"))
        #expect(last.folder.read(last.increment(1)) == torn)
        let middle = try Log(torn, request("PING"))
        let inner = try #require(middle.error())
        #expect(inner.code == .truncated && inner.offset == 27 && inner.file.hasSuffix("1.incr.aof"))
        #expect(middle.folder.read(middle.increment(1)) == torn)
    }

    @Test("Zero bytes at the end of the last file are a torn tail") func zeroTail() throws {
        let first = request("SET", "a", "1")
        for tail in [
            [UInt8](repeating: 0, count: 1), [UInt8](repeating: 0, count: 5000),
            bytes("*2\r\n$3\r\nDEL\r\n$5\r\n") + [UInt8](repeating: 0, count: 300),
        ] {
            let log = try Log(first + tail)
            let (sink, report) = try log.load()
            #expect(sink.commands.count == 1 && report.cut?.bytes == UInt64(tail.count))
            #expect(log.folder.read(log.increment(1)) == first)
        }
        let damaged = try Log(first + [0, 0, 0, 1])
        #expect(damaged.error()?.code == .damaged)
        let notLast = try Log(first + [0, 0], request("PING"))
        #expect(notLast.error()?.code == .damaged)
    }

    @Test("Damage has its file and offset, and nothing is cut") func damage() throws {
        let good = request("SET", "a", "1")
        let cases: [([UInt8], Int)] = [
            (bytes("SET a 1\r\n"), 0), (bytes("*x\r\n"), 1), (bytes("*0\r\n"), 1), (bytes("*-1\r\n"), 1),
            (bytes("*99999999999\r\n"), 11), (bytes("*1048577\r\n"), 1), (bytes("*1\n$4\r\nPING\r\n"), 2),
            (bytes("*1\r\n:1\r\n"), 4), (bytes("*1\r\n$-1\r\n"), 5), (bytes("*1\r\n$4\r\nPINGxx"), 12),
            (bytes("*1\r\n$4\r\nPING\rx"), 12), (bytes("*1\r\r\n"), 3), (bytes("*1\r\n$999999999\r\n"), 16),
            (bytes("#") + [UInt8](repeating: 65, count: 2000), 0),
        ]
        for (bad, at) in cases {
            let log = try Log(good + bad + good)
            let error = try #require(log.error(), "\(String(decoding: bad.prefix(20), as: UTF8.self))")
            #expect(error.code == .damaged && error.offset == UInt64(good.count + at), "\(error)")
            #expect(error.file.hasSuffix("appendonly.aof.1.incr.aof"))
            #expect(log.folder.read(log.increment(1)) == good + bad + good)
        }
    }

    @Test("Any changed byte of a log is an error or a log that loads, never a trap") func everyByte() throws {
        let whole = request("SET", "a", "1") + request("MULTI") + request("DEL", "a") + request("EXEC")
        let log = try Log(whole)
        for index in whole.indices {
            for flip in [1, 4, 16, 128] as [UInt8] {
                var damaged = whole
                damaged[index] ^= flip
                try log.folder.write(damaged, log.increment(1))
                if let error = log.error() { #expect(error.offset != nil && !error.file.isEmpty, "\(error)") }
            }
        }
    }

    @Test("A transaction is delivered at its EXEC, and one without EXEC is cut at its MULTI")
    func transactions() throws {
        let before = request("SET", "a", "1")
        let transaction = request("multi") + request("INCR", "a") + bytes("#TS:1\r\n") + request("INCR", "a")
        let log = try Log(before + transaction + request("EXEC") + request("PING"))
        #expect(try log.load().0.commands == [["SET", "a", "1"], ["INCR", "a"], ["INCR", "a"], ["PING"]])
        for tail in [[], bytes("*1\r\n$4\r\nEX"), [0, 0, 0]] {
            let open = try Log(before + transaction + tail)
            let (sink, report) = try open.load()
            #expect(sink.commands == [["SET", "a", "1"]])
            let cut = try #require(report.cut)
            #expect(cut.offset == UInt64(before.count) && cut.insideTransaction)
            #expect(cut.bytes == UInt64(transaction.count + tail.count))
            #expect(open.folder.read(open.increment(1)) == before)
        }
        #expect(try Log(request("MULTI") + request("MULTI")).error()?.code == .damaged)
        #expect(try Log(request("EXEC")).error()?.code == .damaged)
    }

    @Test("A command that the sink refuses stops the load at its offset") func refused() throws {
        let log = try Log(request("PING") + request("REFUSED", "x"))
        let error = try #require(log.error())
        #expect(error.code == .refused && error.offset == 14)
        let inside = try Log(request("MULTI") + request("PING") + request("REFUSED") + request("EXEC"))
        #expect(inside.error()?.offset == 29)
    }

    @Test("A damaged or cut base stops the load") func badBase() throws {
        let base = rdbBytes(smallModel)
        for count in stride(from: 5, to: base.count, by: 7) {
            let log = try Log(base: [UInt8](base.prefix(count)))
            let error = try #require(log.error())
            #expect(error.code == .truncated && error.file.hasSuffix("1.base.rdb"))
        }
        var damaged = base
        damaged[base.count / 2] ^= 1
        #expect(try Log(base: damaged).error() != nil)
    }

    @Test("A file of the manifest that is missing stops the load") func missing() throws {
        let log = try Log(request("PING"), request("PING"))
        try log.folder.delete(log.increment(2))
        let error = try #require(log.error())
        #expect(error.code == .system && error.file.hasSuffix("2.incr.aof"))
    }

    @Test("Large logs report progress up to their size, and large arguments load") func progress() throws {
        var content: [UInt8] = []
        let value = String(repeating: "v", count: 100_000)
        for index in 0..<30 { content += request("SET", "key:\(index)", value) }
        let log = try Log(content, request("SET", "big", String(repeating: "w", count: 2_000_000)))
        var seen: [LoadProgress] = []
        var sink = ModelSink()
        let report = try AOFLoader(directory: log.directory).load(log.manifest, into: &sink) { seen.append($0) }
        #expect(sink.commands.count == 31 && report.commands == 31)
        #expect(seen.count >= 3 && seen.count <= 8)
        #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.bytesDone < $1.bytesDone })
        #expect(seen.allSatisfy { $0.bytesTotal == report.bytes && $0.bytesDone <= $0.bytesTotal })
    }
}
