import Foundation
import RestartCoordination
import Testing

@Suite("Maintenance windows")
struct MaintenanceScheduleTests {
    private let utc = TimeZone.gmt

    /// - Parameter text: RFC 3339.
    private func date(_ text: String) throws -> Date { try Date(text, strategy: .iso8601) }

    private func zone(_ name: String) throws -> TimeZone { try #require(TimeZone(identifier: name)) }

    @Test(
        "The next time of an expression",
        arguments: [
            ("30 2 * * *", "2026-11-22T02:30:00Z", "2026-11-23T02:30:00Z"),
            ("*/15 * * * *", "2026-11-22T10:07:59Z", "2026-11-22T10:15:00Z"),
            ("0 3 * * sun", "2026-11-23T00:00:00Z", "2026-11-29T03:00:00Z"),
            ("0 3 * * 7", "2026-11-23T00:00:00Z", "2026-11-29T03:00:00Z"),
            ("0 0 29 2 *", "2026-11-22T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 12 1-7 * mon", "2026-11-22T13:00:00Z", "2026-11-23T12:00:00Z"),
            ("5,10 1-2 1 JAN,jul *", "2026-11-22T00:00:00Z", "2027-01-01T01:05:00Z"),
            ("10/20 0 * * *", "2026-11-22T00:10:00Z", "2026-11-22T00:30:00Z"),
            ("@monthly", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ])
    func next(expression: String, after: String, expected: String) throws {
        let found = try CronExpression(expression).next(after: date(after), in: utc)
        #expect(try found == date(expected))
    }

    @Test("A day that never comes is never")
    func never() throws {
        #expect(try CronExpression("0 0 30 2 *").next(after: date("2026-01-01T00:00:00Z"), in: utc) == nil)
    }

    @Test("An hour that summer time skips does not come that day, one that is repeated comes once")
    func summerTime() throws {
        let berlin = try zone("Europe/Berlin")
        let skipped = try CronExpression("30 2 * * *").next(after: date("2026-03-28T12:00:00Z"), in: berlin)
        #expect(try skipped == date("2026-03-30T00:30:00Z"))
        let expression = try CronExpression("30 2 * * *")
        let first = try #require(expression.next(after: try date("2026-10-24T12:00:00Z"), in: berlin))
        let second = try #require(expression.next(after: first, in: berlin))
        #expect(second.timeIntervalSince(first) > 20 * 3600)
    }

    @Test(
        "What is no expression is refused with the field's name",
        arguments: [
            ("* * * *", "five fields"), ("60 * * * *", "minute '60': 60 is not from 0 to 59"),
            ("* x * * *", "hour 'x': 'x' is no number"), ("* * 5-1 * *", "backwards"), ("*/0 * * * *", "step '0'"),
            ("* * * foo *", "month 'foo'"), ("", "five fields"), ("1,,2 * * * *", "minute '1,,2'"),
            ("-1 * * * *", "minute '-1'"), ("* * * * 8", "day of the week '8'"),
        ])
    func refused(expression: String, message: String) {
        let problem = #expect(throws: CronExpression.Problem.self) { try CronExpression(expression) }
        #expect(problem?.description.contains(message) == true, "\(problem as Any)")
    }

    private func schedule(_ cron: String, hours: Int, zone: TimeZone? = nil, blackouts: [String] = []) throws
        -> MaintenanceSchedule
    {
        MaintenanceSchedule(
            windows: [
                MaintenanceWindow(
                    name: "night", opens: try CronExpression(cron), timeZone: zone ?? utc,
                    duration: .seconds(hours * 3600))
            ], blackouts: try blackouts.map { try Blackout($0) })
    }

    @Test("A window is open from its opening for its duration, over midnight too")
    func duration() throws {
        let schedule = try schedule("0 23 * * *", hours: 4)
        #expect(try schedule.state(at: date("2026-11-22T22:59:59Z")) == .closed(next: date("2026-11-22T23:00:00Z")))
        let end = try date("2026-11-23T03:00:00Z")
        #expect(try schedule.state(at: date("2026-11-22T23:00:00Z")) == .open(name: "night", until: end))
        #expect(try schedule.state(at: date("2026-11-23T02:59:59Z")) == .open(name: "night", until: end))
        #expect(try schedule.state(at: date("2026-11-23T03:00:00Z")) == .closed(next: date("2026-11-23T23:00:00Z")))
    }

    @Test("Openings that overlap make one longer window")
    func overlap() throws {
        let schedule = try schedule("0 * * * *", hours: 2)
        let state = try schedule.state(at: date("2026-11-22T10:30:00Z"))
        #expect(try state == .open(name: "night", until: date("2026-11-22T12:00:00Z")))
    }

    @Test("Blackout days keep windows closed and end one that runs into them, by the calendar of the window's zone")
    func blackouts() throws {
        let tokyo = try zone("Asia/Tokyo")
        let schedule = try schedule(
            "0 22 * * *", hours: 4, zone: tokyo, blackouts: ["2026-12-24/2026-12-26", "2026-12-28"])
        // 22:00 in Tokyo is 13:00 UTC; the blackout begins at midnight there, 15:00 UTC.
        #expect(
            try schedule.state(at: date("2026-12-23T13:30:00Z"))
                == .open(name: "night", until: date("2026-12-23T15:00:00Z")))
        #expect(
            try schedule.state(at: date("2026-12-24T13:30:00Z")) == .closed(next: date("2026-12-27T13:00:00Z")))
        #expect(
            try schedule.state(at: date("2026-12-27T15:30:00Z")) == .closed(next: date("2026-12-29T13:00:00Z")))
    }

    @Test("Of several windows the one that lasts longest counts, and the next one to open")
    func several() throws {
        let first = try schedule("0 1 * * *", hours: 1).windows
        let second = try schedule("30 1 * * *", hours: 3).windows
        let schedule = MaintenanceSchedule(windows: first + second)
        #expect(
            try schedule.state(at: date("2026-11-22T01:45:00Z"))
                == .open(name: "night", until: date("2026-11-22T04:30:00Z")))
        #expect(try schedule.state(at: date("2026-11-22T05:00:00Z")) == .closed(next: date("2026-11-23T01:00:00Z")))
        #expect(try MaintenanceSchedule(windows: []).state(at: date("2026-11-22T05:00:00Z")) == .closed(next: nil))
    }

    @Test(
        "What is no date is no blackout",
        arguments: ["2026-02-30", "24.12.2026", "2026-12-24/2026-12-23", "2026-1-1", ""])
    func noBlackout(text: String) {
        #expect(throws: CronExpression.Problem.self) { try Blackout(text) }
    }

    @Test("A window that opens every minute stays open without end, but not over a long blackout")
    func everyMinute() throws {
        let schedule = MaintenanceSchedule(
            windows: [
                MaintenanceWindow(
                    name: "always", opens: try CronExpression("* * * * *"), timeZone: .gmt, duration: .seconds(86400))
            ],
            blackouts: [try Blackout("2026-12-24/2027-01-02")])
        let before = try Date("2026-12-23T23:59:30Z", strategy: .iso8601)
        let midnight = try Date("2026-12-24T00:00:00Z", strategy: .iso8601)
        let reopening = try Date("2027-01-03T00:00:00Z", strategy: .iso8601)
        #expect(schedule.state(at: before) == .open(name: "always", until: midnight))
        #expect(schedule.state(at: midnight) == .closed(next: reopening))
        #expect(schedule.state(at: reopening.addingTimeInterval(10)) == .open(name: "always", until: reopening + 86400))
    }
}
