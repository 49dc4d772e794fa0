import Foundation
import Testing

@testable import SentinelServer

@Suite("Scripts as processes")
struct ScriptProcessTests {
    @Test("The exit code counts; a signal, a time limit and a missing file are no code")
    func outcomes() {
        #expect(Script.run(["/bin/sh", "-c", "exit 0"], limitMilliseconds: 5000) == 0)
        #expect(Script.run(["/bin/sh", "-c", "exit 7"], limitMilliseconds: 5000) == 7)
        #expect(Script.run(["/bin/sh", "-c", "kill -TERM $$"], limitMilliseconds: 5000) == nil)
        #expect(Script.run(["/nonexistent"], limitMilliseconds: 5000) == nil)
        let begin = Date()
        #expect(Script.run(["/bin/sh", "-c", "sleep 60; exit 0"], limitMilliseconds: 100) == nil)
        #expect(Date().timeIntervalSince(begin) < 10)
    }

    @Test("A script gets its arguments as they are") func arguments() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("script-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let words = ["/bin/sh", "-c", "printf '%s|' \"$@\" > \(path)", "x", "+sdown", "master a b; $(id)"]
        #expect(Script.run(words, limitMilliseconds: 5000) == 0)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "+sdown|master a b; $(id)|")
    }
}
