// Writes the status page of a report, for the tests that look at it in a browser.
//
// Usage: StatusPageRenderer NOW < report.json > page.html     (NOW as in RFC 3339)
import Foundation
import RestartCoordination

guard CommandLine.arguments.count == 2, let now = try? Date(CommandLine.arguments[1], strategy: .iso8601) else {
    FileHandle.standardError.write(Data("usage: StatusPageRenderer NOW < report.json > page.html\n".utf8))
    exit(64)
}
let input = try FileHandle.standardInput.readToEnd() ?? Data()
let report = try StatusReport(json: Array(input))
try FileHandle.standardOutput.write(contentsOf: Data(StatusPage.render(report, now: now).utf8))
