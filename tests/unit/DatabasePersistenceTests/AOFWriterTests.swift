import ByteStorage
import DatabasePersistence
import Glibc
import Synchronization
import Testing

@Suite struct AOFWriterTests {
    /// A writer over a fresh folder.
    final class Fixture {
        let folder: TemporaryFolder
        let faults = Faults()
        let directory: AOFDirectory
        private(set) var writer: AOFWriter
        let wakes = Wakes()
        var now: Int64 = 1000

        final class Wakes: Sendable {
            let count = Atomic<Int>(0)
        }

        init(awaitsBase: Bool = false, _ change: (inout AOFWriter.Settings) -> Void = { _ in }) throws {
            folder = try TemporaryFolder()
            directory = AOFDirectory(dataFolder: folder.root, calls: faults.calls)
            var settings = AOFWriter.Settings()
            settings.retryMilliseconds = 2
            change(&settings)
            let wakes = wakes
            writer = try AOFWriter(
                directory: directory, manifest: directory.open(), settings: settings, awaitsBase: awaitsBase,
                notify: { wakes.count.add(1, ordering: .relaxed) })
        }

        func add(_ words: String) { writer.pending.append(request(words)) }

        func commands() throws -> [String] {
            var sink = ModelSink()
            _ = try AOFLoader(directory: directory).load(try directory.open(), into: &sink)
            return sink.commands.map { $0.joined(separator: " ") }
        }

        var log: String { "appendonlydir/appendonly.aof.1.incr.aof" }

        func isFailing() -> Bool { if case .failing = writer.status { true } else { false } }
    }

    @Test("always: a position becomes durable after write and fsync, and the owner is woken") func always() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        for turn in 0..<20 {
            fixture.add("\(turn)")
            let before = fixture.faults.get { $0.synchronizations }
            let position = writer.flush(.always, nowMilliseconds: 0)
            #expect(writer.pending.isEmpty && position == writer.position)
            #expect(eventually { writer.durable >= position })
            #expect(fixture.faults.get { $0.synchronizations } > before)
        }
        #expect(eventually { fixture.wakes.count.load(ordering: .relaxed) >= 1 })
        #expect(try fixture.commands() == (0..<20).map { "\($0)" })
        #expect(writer.statistics.currentBytes == Int64(writer.position.bytes))
    }

    @Test("always: what gathers during an fsync goes out with one write and one fsync") func groupCommit() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.faults.set { $0.holdsSynchronize = true }
        fixture.add("first")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { fixture.faults.get { $0.writes } >= 2 })  // One was the manifest's.
        let before = fixture.faults.get { ($0.writes, $0.synchronizations) }
        var last = LogPosition()
        for turn in 0..<100 {
            fixture.add("\(turn)")
            last = writer.flush(.always, nowMilliseconds: 0)
        }
        #expect(writer.durable < last)
        fixture.faults.set { $0.holdsSynchronize = false }
        #expect(eventually { writer.durable >= last })
        let after = fixture.faults.get { ($0.writes, $0.synchronizations) }
        #expect(after.0 - before.0 == 1 && after.1 - before.1 == 2)
        #expect(try fixture.commands().count == 101)
    }

    @Test("everysec: written at once, synchronised once a second") func everySecond() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.add("a")
        let first = writer.flush(.everySecond, nowMilliseconds: 5000)
        #expect(try fixture.commands() == ["a"])
        #expect(eventually { writer.durable >= first })
        let count = fixture.faults.get { $0.synchronizations }
        for step in 1...9 {
            fixture.add("b\(step)")
            writer.flush(.everySecond, nowMilliseconds: 5000 + Int64(step) * 100)
        }
        #expect(fixture.faults.get { $0.synchronizations } == count && writer.durable == first)
        #expect(try fixture.commands().count == 10)
        writer.flush(.everySecond, nowMilliseconds: 6000)
        #expect(eventually { writer.durable == writer.position })
        #expect(fixture.faults.get { $0.synchronizations } == count + 1)
        // Nothing new: nothing to synchronise.
        writer.flush(.everySecond, nowMilliseconds: 9000)
        #expect(fixture.faults.get { $0.synchronizations } == count + 1)
    }

    @Test("no: written, never synchronised") func never() throws {
        let fixture = try Fixture()
        let count = fixture.faults.get { $0.synchronizations }
        fixture.add("a")
        fixture.writer.flush(.no, nowMilliseconds: 0)
        fixture.writer.flush(.no, nowMilliseconds: 100_000)
        #expect(try fixture.commands() == ["a"])
        #expect(fixture.faults.get { $0.synchronizations } == count && fixture.writer.durable == LogPosition())
    }

    @Test("everysec: a slow fsync postpones writes for two seconds, then counts as delayed") func postponed() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.faults.set { $0.holdsSynchronize = true }
        defer { fixture.faults.set { $0.holdsSynchronize = false } }
        fixture.add("a")
        writer.flush(.everySecond, nowMilliseconds: 0)
        #expect(eventually { writer.statistics.isFsyncPending })
        fixture.add("b")
        writer.flush(.everySecond, nowMilliseconds: 100)
        writer.flush(.everySecond, nowMilliseconds: 2000)
        #expect(!writer.pending.isEmpty && writer.statistics.delayedFsyncs == 0)
        writer.flush(.everySecond, nowMilliseconds: 2100)
        #expect(writer.pending.isEmpty && writer.statistics.delayedFsyncs == 1)
        fixture.faults.set { $0.holdsSynchronize = false }
        #expect(writer.synchronize(timeoutMilliseconds: 10_000))
        #expect(try fixture.commands() == ["a", "b"])
    }

    @Test("always: a full disk acknowledges nothing, leaves no torn bytes, and recovers by itself")
    func fullDisk() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.add("good")
        let good = writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { writer.durable >= good })
        fixture.faults.set {
            $0.writeError = ENOSPC
            $0.room = 10
        }
        fixture.add("bad")
        let bad = writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { fixture.isFailing() })
        guard case .failing(let error) = writer.status else { return }
        #expect(error.code == .system && error.errorNumber == ENOSPC && error.file.hasSuffix("1.incr.aof"))
        fixture.add("bad too")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { fixture.faults.get { $0.room } == 0 })
        #expect(writer.durable == good)
        #expect(try fixture.commands() == ["good"])
        fixture.faults.set { $0.writeError = nil }
        #expect(eventually { writer.durable == writer.position && writer.durable > bad })
        #expect(eventually { !fixture.isFailing() })
        #expect(try fixture.commands() == ["good", "bad", "bad too"])
        let events = writer.takeEvents().map { event in
            switch event {
            case .failing: "failing"
            case .recovered: "recovered"
            default: "other"
            }
        }
        #expect(events == ["failing", "recovered"])
    }

    @Test("A write that cannot even be taken back is cut before the next one") func failingTruncate() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.faults.set {
            $0.writeError = EIO
            $0.room = 7
            $0.truncateError = EIO
        }
        fixture.add("a")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { fixture.isFailing() })
        #expect(fixture.folder.read(fixture.log).count == 7)
        fixture.faults.set { $0.writeError = nil }
        let attempts = fixture.faults.get { $0.truncations }
        #expect(eventually { fixture.faults.get { $0.truncations } > attempts + 1 }, "it tries again")
        #expect(writer.durable == LogPosition())
        fixture.faults.set { $0.truncateError = nil }
        #expect(eventually { writer.durable == writer.position })
        #expect(try fixture.commands() == ["a"])
    }

    @Test("always: after a failed fsync the bytes are written again") func failedFsync() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.add("a")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { writer.durable == writer.position })
        let writes = fixture.faults.get { $0.writes }
        fixture.faults.set {
            $0.synchronizeError = EIO
            $0.failures = 2
        }
        fixture.add("b")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { writer.durable == writer.position })
        #expect(fixture.faults.get { $0.writes } == writes + 3)
        #expect(try fixture.commands() == ["a", "b"])
        #expect(!writer.statistics.needsRewrite)
    }

    @Test("everysec: a failed fsync asks for a rewrite, which clears it") func failedBackgroundFsync() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.faults.set {
            $0.synchronizeError = EIO
            $0.failures = 1
        }
        fixture.add("a")
        writer.flush(.everySecond, nowMilliseconds: 0)
        #expect(eventually { writer.statistics.needsRewrite && writer.durable == writer.position })
        #expect(eventually { !fixture.isFailing() })
        writer.beginIncrement()
        try fixture.folder.write(request("a"), "appendonlydir/\(fixture.directory.temporaryBaseName)")
        writer.finishRewrite(format: .aof)
        #expect(eventually { !writer.statistics.needsRewrite })
        #expect(try fixture.commands() == ["a"])
    }

    @Test("everysec: a failed write keeps its bytes and is tried again after a while") func failedLoopWrite() throws {
        let fixture = try Fixture { $0.retryMilliseconds = 500 }
        let writer = fixture.writer
        fixture.faults.set {
            $0.writeError = ENOSPC
            $0.room = 3
        }
        fixture.add("a")
        writer.flush(.everySecond, nowMilliseconds: 1000)
        #expect(fixture.isFailing() && !writer.pending.isEmpty)
        #expect(fixture.folder.read(fixture.log).isEmpty)
        fixture.faults.set { $0.writeError = nil }
        writer.flush(.everySecond, nowMilliseconds: 1400)
        #expect(fixture.isFailing())
        writer.flush(.everySecond, nowMilliseconds: 1500)
        #expect(!fixture.isFailing() && writer.pending.isEmpty)
        #expect(try fixture.commands() == ["a"])
    }

    @Test("A changed policy makes what an earlier one left behind durable") func policyChange() throws {
        let fixture = try Fixture()
        fixture.add("a")
        fixture.writer.flush(.no, nowMilliseconds: 0)
        let position = fixture.writer.flush(.always, nowMilliseconds: 1)
        #expect(eventually { fixture.writer.durable >= position })
    }

    @Test("A rewrite begins an increment, then replaces what was before it") func rewrite() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.add("before")
        writer.beginIncrement()
        fixture.add("after")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { writer.durable == writer.position })
        #expect(fixture.folder.read(fixture.log) == request("before"))
        #expect(fixture.folder.read("appendonlydir/appendonly.aof.2.incr.aof") == request("after"))
        #expect(try fixture.commands() == ["before", "after"])

        try fixture.folder.write(rdbBytes(smallModel), "appendonlydir/\(fixture.directory.temporaryBaseName)")
        writer.finishRewrite(format: .rdb)
        fixture.add("later")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { writer.durable == writer.position })
        #expect(
            fixture.folder.names("appendonlydir") == [
                "appendonly.aof.1.base.rdb", "appendonly.aof.2.incr.aof", "appendonly.aof.manifest",
            ])
        #expect(try fixture.commands() == ["after", "later"])
        let events = writer.takeEvents()
        guard events.count == 2, case .incrementBegan(2) = events[0],
            case .rewriteFinished("appendonly.aof.1.base.rdb", let baseBytes) = events[1]
        else {
            Issue.record("\(events)")
            return
        }
        #expect(baseBytes == Int64(rdbBytes(smallModel).count))
        #expect(writer.statistics.baseBytes == baseBytes)
    }

    @Test("A rewrite that fails leaves the log as it was, and the next one succeeds") func failedRewrite() throws {
        let fixture = try Fixture()
        let writer = fixture.writer
        fixture.add("a")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { writer.durable == writer.position })
        func nextEvent() -> AOFWriter.Event? {
            var events: [AOFWriter.Event] = []
            _ = eventually {
                events += writer.takeEvents()
                return !events.isEmpty
            }
            return events.first
        }
        // The manifest cannot be written.
        fixture.faults.set { $0.writeError = ENOSPC }
        writer.beginIncrement()
        guard case .rewriteFailed = nextEvent() else {
            Issue.record("no failure")
            return
        }
        fixture.faults.set { $0.writeError = nil }
        fixture.add("b")
        writer.flush(.always, nowMilliseconds: 0)
        #expect(eventually { writer.durable == writer.position })
        #expect(try fixture.commands() == ["a", "b"])
        // There is no base to put in place.
        writer.beginIncrement()
        guard case .incrementBegan = nextEvent() else {
            Issue.record("no increment")
            return
        }
        writer.finishRewrite(format: .rdb)
        guard case .rewriteFailed = nextEvent() else {
            Issue.record("no failure")
            return
        }
        fixture.add("c")
        #expect(writer.synchronize(timeoutMilliseconds: 10_000))
        #expect(try fixture.commands() == ["a", "b", "c"])
    }

    @Test("A log that is switched on over data is not there until its base is") func awaitingBase() throws {
        let fixture = try Fixture(awaitsBase: true)
        let writer = fixture.writer
        fixture.add("after")
        #expect(writer.synchronize(timeoutMilliseconds: 10_000))
        #expect(!fixture.folder.exists("appendonlydir/appendonly.aof.manifest"))
        try fixture.folder.write(request("base"), "appendonlydir/\(fixture.directory.temporaryBaseName)")
        writer.finishRewrite(format: .aof)
        #expect(eventually { fixture.folder.exists("appendonlydir/appendonly.aof.manifest") })
        #expect(try fixture.commands() == ["base", "after"])
    }

    @Test("A writer goes on with the last increment of an earlier one, and close makes all durable")
    func reopen() throws {
        let fixture = try Fixture()
        fixture.add("a")
        fixture.writer.appendTimestamp(unixSeconds: 1_700_000_000)
        #expect(fixture.writer.close(timeoutMilliseconds: 10_000))
        let second = try AOFWriter(
            directory: fixture.directory, manifest: fixture.directory.open(), notify: {})
        second.pending.append(request("b"))
        #expect(second.close(timeoutMilliseconds: 10_000))
        #expect(try fixture.commands() == ["a", "b"])
        #expect(fixture.folder.names("appendonlydir").count == 2)
    }

    @Test("close gives up on a disk that stays full") func closeFailing() throws {
        let fixture = try Fixture()
        fixture.faults.set { $0.writeError = ENOSPC }
        fixture.add("a")
        #expect(!fixture.writer.close(timeoutMilliseconds: 30))
    }

    @Test("Commands beyond the limit of queued bytes wait for the disk") func bounded() throws {
        let fixture = try Fixture { $0.maximumQueuedBytes = 1000 }
        let writer = fixture.writer
        for turn in 0..<300 {
            fixture.add(String(repeating: "x", count: 100) + "\(turn)")
            writer.flush(.always, nowMilliseconds: 0)
            #expect(writer.statistics.queuedBytes < 2000)
        }
        #expect(writer.synchronize(timeoutMilliseconds: 10_000))
        #expect(try fixture.commands().count == 300)
    }

    @Test("A really full file system is survived, where one can be mounted", .enabled(if: getuid() == 0))
    func realFullDisk() throws {
        let folder = try TemporaryFolder()
        guard mount("tmpfs", folder.root, "tmpfs", 0, "size=64k") == 0 else { return }
        defer { umount2(folder.root, Int32(MNT_DETACH)) }
        let directory = AOFDirectory(dataFolder: folder.root)
        var settings = AOFWriter.Settings()
        settings.retryMilliseconds = 2
        let writer = try AOFWriter(directory: directory, manifest: directory.open(), settings: settings, notify: {})
        let value = String(repeating: "v", count: 3000)
        var acknowledged = 0
        for turn in 0..<40 {
            writer.pending.append(request("SET", "\(turn)", value))
            let position = writer.flush(.always, nowMilliseconds: 0)
            var failing = false
            #expect(
                eventually {
                    if case .failing(let error) = writer.status { failing = error.errorNumber == ENOSPC }
                    return failing || writer.durable >= position
                })
            if failing { break }
            acknowledged += 1
        }
        #expect(acknowledged > 5 && acknowledged < 40)
        var sink = ModelSink()
        let report = try AOFLoader(directory: directory).load(directory.open(), into: &sink)
        #expect(sink.commands.count == acknowledged && report.cut == nil)
        #expect(mount("tmpfs", folder.root, "tmpfs", UInt(MS_REMOUNT), "size=1m") == 0)
        #expect(eventually { writer.durable == writer.position })
        #expect(writer.close(timeoutMilliseconds: 10_000))
        sink = ModelSink()
        _ = try AOFLoader(directory: directory).load(directory.open(), into: &sink)
        #expect(sink.commands.count == acknowledged + 1)
    }
}
