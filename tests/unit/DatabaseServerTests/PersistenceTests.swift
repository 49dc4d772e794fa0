import ByteStorage
import CLinux
import DatabaseEngine
import Glibc
import RESP
import Reactor
import Telemetry
import Testing

@testable import DatabaseServer

/// A data folder that lives as long as the object.
final class DataFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/dssm-server-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) })
    }

    deinit { DataFolder.remove(path) }

    private static func remove(_ path: String) {
        guard let entries = opendir(path) else { return }
        while let entry = readdir(entries) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
        }
        closedir(entries)
        rmdir(path)
    }
}

/// A server without listeners over a data folder.
final class ServerFixture {
    let folder: DataFolder
    let server: Server

    init(folder: DataFolder? = nil, _ change: (inout ServerSettings) -> Void = { _ in }) throws {
        self.folder = try folder ?? DataFolder()
        var settings = ServerSettings()
        settings.directory = self.folder.path
        settings.saveRules = []
        settings.snapshotCompression = .none
        change(&settings)
        server = Server(
            settings: settings,
            log: ServerLog(LogSink(service: "test", role: .primary, level: .warning, format: .text)))
    }

    /// Executes a data command and returns its reply.
    @discardableResult
    func run(_ words: String...) -> String {
        let output = OutputBuffer.create()
        defer { output.destroy() }
        server.withViews(words.map { Array($0.utf8) }) { views, count in
            guard let shape = server.commands.find(views[0]) else { return }
            let hash = shape.firstKey > 0 ? server.engine.hash(views[Int(shape.firstKey)]) : 0
            let invocation = Invocation(
                arguments: views, count: count, hash: hash, database: 0, reply: ReplyWriter(output, isRESP3: false))
            _ = server.engine.execute(shape, invocation, raw: nil)
        }
        return output.view.string
    }

    func turnUntil(_ condition: () -> Bool) -> Bool {
        let deadline = Reactor.monotonicMilliseconds() + 10_000
        while !condition() {
            guard Reactor.monotonicMilliseconds() < deadline else { return false }
            server.reactor.turn(blocking: false)
        }
        return true
    }
}

/// Counts what it sees.
private final class CountingJob: WalkJob, KeyspaceVisitor {
    var keys: Set<String> = []
    var room = true
    var log: [String] = []

    func visit(_ key: KeyView) { keys.insert(key.key.string) }
    override func begin() -> (any KeyspaceVisitor)? {
        log.append("begin")
        return self
    }
    override func hasRoom() -> Bool { room }
    override func completed() { log.append("completed") }
    override func cancelled() { log.append("cancelled") }
}

@Suite("Walks, snapshots and the log of the server")
struct PersistenceTests {
    @Test("Jobs walk one after the other, each over the keys that were there when it began")
    func jobsTakeTurns() throws {
        let fixture = try ServerFixture()
        for number in 0..<20_000 { fixture.run("SET", "k\(number)", "v") }
        let first = CountingJob(.save)
        let second = CountingJob(.sync)
        fixture.server.requestWalk(first)
        fixture.server.requestWalk(second)
        fixture.server.endTurn()
        #expect(first.log == ["begin"] && second.log.isEmpty)
        fixture.run("SET", "later", "v")
        fixture.run("DEL", "k0")
        #expect(fixture.turnUntil { second.log == ["begin", "completed"] })
        #expect(first.log == ["begin", "completed"])
        #expect(first.keys.count == 20_000 && first.keys.contains("k0") && !first.keys.contains("later"))
        #expect(second.keys.count == 20_000 && !second.keys.contains("k0") && second.keys.contains("later"))
        #expect(fixture.server.walks.running == nil && !fixture.server.walks.wantsTurn)
    }

    @Test("A job without room gets no slice and does not keep the loop awake")
    func blockedJobWaits() throws {
        let fixture = try ServerFixture()
        for number in 0..<5000 { fixture.run("SET", "k\(number)", "v") }
        let job = CountingJob(.save)
        fixture.server.requestWalk(job)
        fixture.server.endTurn()
        job.room = false
        let seen = job.keys.count
        #expect(seen > 0 && seen < 5000)
        for _ in 0..<10 { fixture.server.endTurn() }
        #expect(job.keys.count == seen && !fixture.server.walks.wantsTurn)
        fixture.run("SET", "k0", "changed")
        job.room = true
        #expect(fixture.turnUntil { job.log.last == "completed" })
        #expect(job.keys.count == 5000)
    }

    @Test("A cancelled walk leaves the next one whole")
    func cancelling() throws {
        let fixture = try ServerFixture()
        for number in 0..<5000 { fixture.run("SET", "k\(number)", "v") }
        let first = CountingJob(.save)
        let queued = CountingJob(.save)
        let last = CountingJob(.rewrite)
        for job in [first, queued, last] { fixture.server.requestWalk(job) }
        fixture.server.endTurn()
        fixture.server.walks.cancel(first)
        fixture.server.walks.cancel(queued)
        #expect(first.log == ["begin", "cancelled"] && queued.log.isEmpty)
        #expect(fixture.turnUntil { last.log == ["begin", "completed"] })
        #expect(last.keys.count == 5000)
    }

    @Test("With appendfsync always the turn's ticket is released when the log is on the disk")
    func ticketsFollowTheLog() throws {
        let fixture = try ServerFixture {
            $0.appendOnly = true
            $0.appendFsync = .always
        }
        let server = fixture.server
        try server.load()
        server.drainStream()
        #expect(server.reactor.turnTicket == 0)
        fixture.run("SET", "k", "v")
        server.drainStream()
        #expect(server.streamOffset > 0 && server.reactor.turnTicket == server.streamOffset)
        #expect(fixture.turnUntil { server.reactor.releasedTicket == server.streamOffset })
        server.settings.appendFsync = .everysec
        fixture.run("SET", "k", "w")
        server.drainStream()
        #expect(server.reactor.turnTicket == 0, "nothing waits for the disk any more")
        #expect(server.saveBeforeExit(wanted: nil) == nil)
    }

    @Test("What one server logged and saved, the next one loads")
    func loadsWhatWasWritten() throws {
        let log = try ServerFixture { $0.appendOnly = true }
        try log.server.load()
        log.run("SET", "k", "v")
        log.run("RPUSH", "l", "1", "2")
        log.run("SET", "gone", "v", "PXAT", "1")
        #expect(log.server.saveBeforeExit(wanted: true) == nil)
        let fromLog = try ServerFixture(folder: log.folder) { $0.appendOnly = true }
        try fromLog.server.load()
        let fromSnapshot = try ServerFixture(folder: log.folder)
        try fromSnapshot.server.load()
        for fixture in [fromLog, fromSnapshot] {
            #expect(fixture.run("GET", "k") == "$1\r\nv\r\n")
            #expect(fixture.run("LRANGE", "l", "0", "-1") == "*2\r\n$1\r\n1\r\n$1\r\n2\r\n")
            #expect(fixture.run("DBSIZE") == ":2\r\n")
            #expect(fixture.server.changesSinceSave == 0 && !fixture.server.isLoading)
        }
    }

    @Test("Damaged data ends the start with exit code 2, a missing folder with 1")
    func exitCodes() throws {
        let fixture = try ServerFixture()
        let file = fopen("\(fixture.folder.path)/dump.rdb", "w")
        fputs("REDIS0011nonsense", file)
        fclose(file)
        do throws(StartError) {
            try fixture.server.load()
            Issue.record("damaged data was loaded")
        } catch {
            #expect(error.exitCode == 2 && error.description.contains("dump.rdb"))
        }
        let missing = try ServerFixture { $0.directory = fixture.folder.path + "/missing" }
        do throws(StartError) {
            try missing.server.load()
            Issue.record("a missing folder was accepted")
        } catch {
            #expect(error.exitCode == 1)
        }
    }
}
