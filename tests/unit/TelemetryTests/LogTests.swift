import Glibc
import Logging
import Synchronization
import Testing

@testable import Telemetry

@Suite("Logs") final class LogTests {
    let folder: String
    /// 22 Nov 2026 21:22:39.045 UTC.
    let clock: @Sendable () -> (seconds: Int64, milliseconds: Int) = { (1_795_382_559, 45) }

    init() throws {
        var template = Array("/tmp/dssm-log-XXXXXX".utf8CString)
        folder = String(cString: try #require(mkdtemp(&template)))
    }

    deinit {
        for name in ["a.log", "a.log.1", "a.log.2", "b.log"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    func read(_ name: String) -> [String] {
        guard let file = fopen("\(folder)/\(name)", "r") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[0..<count], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func sink(_ format: LogFormat, level: LogLevel = .notice) -> LogSink {
        let sink = LogSink(
            service: "dssm-db", role: .primary, level: level, format: format, standardOutput: -1, clock: clock)
        #expect(sink.open(file: "\(folder)/a.log"))
        return sink
    }

    @Test("The JSON format has one object a line with time, level, service and event")
    func json() {
        let sink = sink(.json)
        sink.role = .replica
        sink.log(.warning, event: "link_lost", "Connection \"lost\"\n", [("address", "1.2.3.4:5"), ("time", "x")])
        #expect(
            read("a.log") == [
                #"{"time":"2026-11-22T21:22:39.045Z","level":"warning","service":"dssm-db","event":"link_lost","#
                    + #""message":"Connection \"lost\"\n","pid":\#(getpid()),"role":"replica","#
                    + #""address":"1.2.3.4:5","time_":"x"}"#
            ])
    }

    @Test("The text format looks like Redis's, and nothing can break its line")
    func text() throws {
        let sink = sink(.text, level: .debug)
        sink.log(.debug, event: "a", "plain")
        sink.log(.verbose, event: "b", "plain")
        sink.log(.notice, event: "c", "Ready", [("port", "6379"), ("reason", "two words")])
        sink.log(.warning, event: "d", "evil\r\n1:M 01 Jan 2000 # forged\u{1B}")
        let lines = read("a.log")
        #expect(lines.count == 4)
        let pattern = try Regex(
            #"^\d+:M \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.045 [.*#-] .* service=dssm-db event=[a-d].*$"#)
        for line in lines { #expect(line.wholeMatch(of: pattern) != nil, "\(line)") }
        #expect(lines[0].contains(".045 . plain ") && lines[1].contains(".045 - plain "))
        #expect(lines[2].hasSuffix(#".045 * Ready service=dssm-db event=c port=6379 reason="two words""#))
        #expect(lines[3].contains(#"# evil\r\n1:M 01 Jan 2000 # forged\x1b service"#))
    }

    @Test("The level filters, and a change reaches loggers that exist already")
    func levels() {
        let sink = sink(.json)
        let logger = Logger(sink)
        let evaluations = Atomic<Int>(0)
        func message(_ text: String) -> String {
            evaluations.add(1, ordering: .relaxed)
            return text
        }
        logger.event(.verbose, "hidden", message("no"))
        logger.info("hidden too")
        logger.event(.notice, "shown", message("yes"), ["count": "1"])
        sink.level = .debug
        logger.event(.debug, "now_shown", message("yes"))
        logger.trace("trace counts as debug, but is below it")
        logger.critical("as warning", metadata: ["event": "fatal"])
        sink.level = .warning
        logger.event(.notice, "hidden", message("no"))
        let lines = read("a.log")
        #expect(lines.count == 3)
        #expect(lines[0].contains(#""event":"shown""#) && lines[0].contains(#""count":"1""#))
        #expect(lines[1].contains(#""level":"debug""#))
        #expect(lines[2].contains(#""level":"warning""#) && lines[2].contains(#""event":"fatal""#))
        #expect(evaluations.load(ordering: .relaxed) == 2)
        #expect(LogLevel(name: "Verbose") == .verbose && LogLevel(name: "loud") == nil)
    }

    @Test("After a rotation, reopening continues in a new file")
    func reopen() {
        let sink = sink(.json)
        sink.log(.notice, event: "one", "")
        #expect(rename("\(folder)/a.log", "\(folder)/a.log.1") == 0)
        sink.log(.notice, event: "two", "")
        sink.reopen()
        sink.log(.notice, event: "three", "")
        #expect(read("a.log.1").count == 2)
        #expect(read("a.log").count == 1)
        #expect(!sink.open(file: "\(folder)/no/such/folder.log"))
        sink.log(.notice, event: "four", "")
        #expect(read("a.log").count == 2 && sink.failedWrites == 1)
        #expect(sink.open(file: ""))
        sink.log(.notice, event: "five", "")
        #expect(read("a.log").count == 2)
    }

    @Test("A file that reaches its size is renamed, and so many are kept")
    func rotation() {
        let sink = sink(.text)
        sink.fileLimits = LogFileLimits(maximumBytes: 1000, keptFiles: 2)
        for number in 0..<100 { sink.log(.notice, event: "line", "number-\(number)") }
        let files = ["a.log.2", "a.log.1", "a.log"].map { read($0) }
        #expect(files.allSatisfy { !$0.isEmpty && $0.reduce(0) { $0 + $1.utf8.count + 1 } <= 1000 })
        #expect(access("\(folder)/a.log.3", F_OK) != 0)
        // What is kept ends with the last line and lacks none in between.
        let lines: [String] = Array(files.joined())
        let numbers = lines.map { line in (0..<100).first { line.contains("number-\($0) ") } }
        #expect(numbers.last == 99 && numbers == Array((99 - numbers.count + 1)...99))
        #expect(sink.failedWrites == 0)
        // A file that is there already counts from its size on.
        let second = self.sink(.text)
        second.fileLimits = LogFileLimits(maximumBytes: 10, keptFiles: 2)
        second.log(.notice, event: "line", "longer than the limit by itself")
        #expect(read("a.log").count == 1 && read("a.log.1") == files[2])
    }

    @Test("A file that cannot be rotated goes on, and the failure is counted")
    func failedRotation() {
        #expect(mkdir("\(folder)/a.log.1", 0o755) == 0)
        defer { rmdir("\(folder)/a.log.1") }
        let sink = sink(.text)
        sink.fileLimits = LogFileLimits(maximumBytes: 1000)
        for number in 0..<100 { sink.log(.notice, event: "line", "number \(number)") }
        let lines = read("a.log")
        #expect(lines.count == 100)
        let bytes = lines.reduce(0) { $0 + $1.utf8.count + 1 }
        #expect(sink.failedWrites > 0 && sink.failedWrites <= bytes / 1000)
    }

    @Test("A full pipe never blocks: lines wait, then are dropped and counted, and nothing is torn")
    func fullPipe() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let sink = LogSink(service: "s", role: .worker, format: .json, standardOutput: ends[1], clock: clock)
        let text = String(repeating: "x", count: 1000)
        var logged = 0
        while sink.droppedLines < 5, logged < 10000 {
            sink.log(.notice, event: "flood", "\(logged) \(text)")
            logged += 1
        }
        #expect(sink.droppedLines == 5)
        // Now somebody reads: all that was accepted comes, whole and in order.
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        var request = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
        while poll(&request, 1, 0) > 0 {
            let count = Glibc.read(ends[0], &chunk, chunk.count)
            guard count > 0 else { break }
            received += chunk[0..<count]
            sink.flush()
        }
        let lines = received.split(separator: 10)
        #expect(lines.count == logged - 5)
        #expect(lines.allSatisfy { $0.first == UInt8(ascii: "{") && $0.last == UInt8(ascii: "}") })
        close(ends[0])
        sink.log(.notice, event: "nobody", "reads")
        #expect(sink.failedWrites == 1)
        close(ends[1])
        sink.log(.notice, event: "closed", "")
        sink.finish(timeoutMilliseconds: 1)
        #expect(sink.failedWrites == 2)
    }

    @Test("A huge message is cut")
    func cut() {
        let sink = sink(.json)
        sink.log(.notice, event: "huge", String(repeating: "é", count: 100_000))
        #expect(read("a.log").first.map { $0.utf8.count < 5000 } == true)
    }

    @Test("Dates are calculated right over centuries")
    func dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"), (951_826_155, "2000-02-29T12:09:15Z"), (-1, "1969-12-31T23:59:59Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"), (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] as [(Int64, String)] {
            #expect(CivilTime(seconds: seconds).iso8601 == text)
        }
        var parts = tm()
        for step in 0..<4000 {
            let seconds = -3_000_000_000 + Int64(step) * 2_345_677
            var time = time_t(seconds)
            gmtime_r(&time, &parts)
            let civil = CivilTime(seconds: seconds)
            #expect(civil.year == Int64(parts.tm_year) + 1900 && civil.month == Int64(parts.tm_mon) + 1)
            #expect(civil.day == Int64(parts.tm_mday))
        }
    }
}
