import Foundation
import Testing

@testable import RestartCoordination

@Suite("Status page")
struct StatusPageTests {
    private static let now = Date(timeIntervalSince1970: 1_795_403_264)  // 2026-11-23T03:07:44Z
    private var now: Date { StatusPageTests.now }

    private static func certificate(days: Double, _ fingerprint: String = "aa", life: Double? = nil)
        -> StatusReport.Certificate
    {
        let end = now.addingTimeInterval(days * 86400)
        return StatusReport.Certificate(
            fingerprint: fingerprint, notBefore: life.map { end.addingTimeInterval(-$0 * 86400) }, notAfter: end,
            daysLeft: Int(days))
    }

    private static func healthy() -> StatusReport {
        var report = StatusReport(
            version: "1.2.3", generatedAt: now, namespace: "cnf", instance: "coordinator-0",
            maintenance: .init(
                windows: [.init(name: "nights", cron: "30 2 * * *", timeZone: "Europe/Berlin", durationSeconds: 7200)],
                blackouts: ["2026-12-24/2027-01-02"], nextOpening: now.addingTimeInterval(3600)))
        report.leader = "coordinator-0"
        report.observedAt = now.addingTimeInterval(-2)
        let served = certificate(days: 200)
        report.cluster = StatusReport.Cluster(
            primaryName: "dssm",
            dbs: (0..<3).map {
                .init(
                    name: "db-\($0)", node: "node-\($0)", role: $0 == 0 ? .primary : .replica, isReady: true,
                    isInSync: $0 == 0 ? nil : true, certificate: served)
            },
            sentinels: (0..<3).map {
                .init(name: "sentinel-\($0)", role: .sentinel, isReady: true, certificate: served)
            },
            workloads: [.init(namespace: "cnf", name: "f5-tmm", wantedReplicas: 3, readyReplicas: 3)],
            hasSentinelQuorum: true, certificate: served)
        return report
    }

    private static func run(_ outcome: StatusReport.Run.Outcome, stepAge: Double = 5) -> StatusReport.Run {
        .init(
            startedAt: now.addingTimeInterval(-300), reasons: ["the certificate changed"], outcome: outcome,
            step: "waiting for db-2", stepSince: now.addingTimeInterval(-stepAge), restartedPods: 1, duePods: 6)
    }

    /// The healthy report with a change.
    private func page(_ change: (inout StatusReport) throws -> Void) rethrows -> String {
        var report = StatusPageTests.healthy()
        try change(&report)
        return StatusPage.render(report, now: now)
    }

    private func findings(_ change: (inout StatusReport) throws -> Void) rethrows -> [String] {
        var report = StatusPageTests.healthy()
        try change(&report)
        return StatusFindings(report, now: now).all.map { "\($0.severity): \($0.text.text)" }
    }

    @Test("A cluster that is whole is healthy, and there is nothing to report")
    func healthy() throws {
        #expect(findings { _ in } == [])
        let page = page { _ in }
        #expect(page.contains("<title>Healthy – dSSM cnf</title>"))
        for text in [
            "db-2", "node-2", "sentinel-0", "f5-tmm", "3 of 3 ready", "nights", "30 2 * * *", "Europe/Berlin",
            "2026-12-24 to 2027-01-02", "2026-11-23 04:07 UTC", "in 1 h", "in sync", "200 days left", "version 1.2.3",
            "href=\"/api/status\"", "href=\"/metrics\"", "http-equiv=\"refresh\" content=\"10\"",
        ] {
            #expect(page.contains(text), "\(text)")
        }
    }

    /// What one change makes of the healthy report: the page's word, and the first finding.
    struct Fault: Sendable, CustomTestStringConvertible {
        let word: String
        let finding: String
        let change: @Sendable (inout StatusReport) -> Void
        var testDescription: String { finding }

        init(_ word: String, _ finding: String, _ change: @escaping @Sendable (inout StatusReport) -> Void) {
            (self.word, self.finding, self.change) = (word, finding, change)
        }
    }

    private static let faults: [Fault] = [
        Fault("Warning", "A db pod is missing: there are 2 of 3.") { $0.cluster?.dbs.removeLast() },
        Fault("Warning", "2 sentinel pods are missing: there are 1 of 3.") { $0.cluster?.sentinels.removeLast(2) },
        Fault("Critical", "No sentinel pod is ready.") { $0.cluster?.sentinels = [] },
        Fault("Warning", "db-1 is not ready.") { $0.cluster?.dbs[1].isReady = false },
        Fault("Warning", "db-1 is not ready: refused") {
            $0.cluster?.dbs[1].isReady = false
            $0.cluster?.dbs[1].problem = "refused"
        },
        Fault("Warning", "db-2 could not be asked: timeout") {
            $0.cluster?.dbs[2].problem = "timeout"
            $0.cluster?.dbs[2].role = .unknown
        },
        Fault("Warning", "sentinel-1: it does not reach enough sentinels") {
            $0.cluster?.sentinels[1].problem = "it does not reach enough sentinels"
        },
        Fault("Warning", "Attention: db-1 was started after the Secret changed and serves another certificate.") {
            $0.conditions = [
                .init(
                    type: "CertificateValid", status: "True", reason: "Attention",
                    message: "db-1 was started after the Secret changed and serves another certificate",
                    lastTransitionTime: now)
            ]
        },
        Fault("Warning", "db-2 is not in sync with the primary, 2.0 KiB behind.") {
            $0.cluster?.dbs[2].isInSync = false
            $0.cluster?.dbs[2].lagBytes = 2048
        },
        Fault("Warning", "db-2 does not say whether it is the primary or a replica.") {
            $0.cluster?.dbs[2].role = .unknown
        },
        Fault("Critical", "There is no primary: writes fail.") { $0.cluster?.dbs[0].role = .replica },
        Fault("Critical", "There are 2 primaries: db-0, db-1.") { $0.cluster?.dbs[1].role = .primary },
        Fault("Critical", "The sentinels have no quorum") { $0.cluster?.hasSentinelQuorum = false },
        Fault("Warning", "No pod may be restarted now: the moon is full.") {
            $0.cluster?.obstacle = "the moon is full"
        },
        Fault("Warning", "There is no Secret with a certificate that can be read.") { $0.cluster?.certificate = nil },
        Fault("Warning", "The certificate in the Secret expires in 13 days.") {
            $0.cluster?.certificate = certificate(days: 13.5)
        },
        Fault("Critical", "The certificate that db-0, db-2 serve expired 3 h ago.") {
            $0.cluster?.dbs[0].certificate = certificate(days: -0.125, "bb")
            $0.cluster?.dbs[2].certificate = certificate(days: -0.125, "bb")
        },
        Fault("Warning", "cnf/f5-tmm: 1 of 3 replicas are ready.") { $0.cluster?.workloads[0].readyReplicas = 1 },
        Fault("Critical", "cnf/f5-tmm is stopped, and its traffic; 3 replicas wait to come back.") {
            $0.cluster?.workloads[0].wantedReplicas = 0
            $0.cluster?.workloads[0].savedReplicas = 3
        },
        Fault("Warning", "The cluster cannot be observed: 503 What is shown was seen 4 min ago.") {
            $0.problem = "503"
            $0.observedAt = now.addingTimeInterval(-240)
        },
        Fault("Warning", "What is shown is old: it was seen 2 min ago.") {
            $0.observedAt = now.addingTimeInterval(-120)
        },
        Fault("Warning", "No instance leads: nothing is restarted.") { $0.leader = nil },
        Fault("Warning", "The restart has not moved for 20 min: waiting for db-2.") {
            $0.run = run(.running, stepAge: 1200)
        },
        Fault("Warning", "A restart is due, and no window will open.") {
            $0.cluster?.dbs[0].dueReasons = ["asked for"]
            $0.maintenance.nextOpening = nil
        },
        Fault("Critical", "The cluster could not be observed since this program started: 403") {
            $0.cluster = nil
            $0.problem = "403"
        },
    ]

    @Test("A fault is the first thing on the page, with its weight in words", arguments: StatusPageTests.faults)
    func faultFirst(_ fault: Fault) throws {
        let first = try #require(findings { fault.change(&$0) }.first)
        #expect(first.contains(fault.finding), "\(first)")
        #expect(first.hasPrefix(fault.word.lowercased()), "\(first)")
        let page = page { fault.change(&$0) }
        #expect(page.contains("<title>\(fault.word) – "))
        let banner = try #require(page.range(of: "<main>"))
        #expect(page[banner.upperBound...].prefix(700).contains(fault.finding))
    }

    @Test("The worst comes first")
    func order() {
        let found = findings {
            $0.cluster?.dbs.removeLast()
            $0.cluster?.dbs[0].role = .replica
            $0.leader = "coordinator-1"
        }
        #expect(found.map { $0.prefix { $0 != ":" } } == ["critical", "warning", "notice"])
    }

    @Test("What a run that makes progress explains is no fault")
    func progress() {
        func change(_ report: inout StatusReport) {
            report.cluster?.dbs[2].isReady = false
            report.cluster?.dbs[2].isInSync = false
            report.cluster?.workloads[0] = .init(
                namespace: "cnf", name: "f5-tmm", wantedReplicas: 0, readyReplicas: 0, savedReplicas: 3)
            report.cluster?.obstacle = "2 of 3 db pods are ready"
            report.run = StatusPageTests.run(.running)
        }
        #expect(findings(change).allSatisfy { $0.hasPrefix("notice") })
        let page = page(change)
        #expect(page.contains("<title>Restarting – "))
        #expect(page.contains("A restart is in progress: 1 of 6 pods are done."))
        #expect(page.contains("waiting for db-2") && page.contains("<progress max=\"6\" value=\"1\""))
        // The same, but the step has lasted too long.
        let stuck = findings {
            change(&$0)
            $0.run = StatusPageTests.run(.running, stepAge: 1200)
        }
        #expect(stuck.first?.hasPrefix("critical: cnf/f5-tmm is stopped") == true)
    }

    @Test("A second primary is a fault in a restart too")
    func twoPrimariesInARun() {
        let found = findings {
            $0.run = StatusPageTests.run(.running)
            $0.cluster?.dbs[1].role = .primary
        }
        #expect(found.first?.hasPrefix("critical: There are 2 primaries") == true)
    }

    @Test("A suspended run tells when it goes on")
    func suspended() {
        let found = findings { $0.run = StatusPageTests.run(.suspended) }
        #expect(found.count == 1)
        #expect(found[0].contains("after 1 of 6 pods") && found[0].contains("2026-11-23 04:07 UTC"))
        let never = findings {
            $0.run = StatusPageTests.run(.suspended)
            $0.maintenance.nextOpening = nil
        }
        #expect(never.first?.hasPrefix("warning") == true && never.first?.contains("No window will open") == true)
    }

    @Test("An instance that does not lead says who does")
    func standby() {
        let page = page { $0.leader = "coordinator-1" }
        #expect(page.contains("This instance stands by; coordinator-1 leads"))
    }

    @Test("Before the first look there is nothing to tell, and that is said")
    func nothingSeen() {
        let page = page { $0.cluster = nil }
        #expect(page.contains("<title>Starting – ") && page.contains("The cluster has not been seen yet."))
    }

    @Test("Certificates that live for hours are reported in their last quarter, others in their last 14 days")
    func shortLives() {
        let expiry = { StatusFindings.expiry($0, now: StatusPageTests.now) }
        #expect(expiry(StatusPageTests.certificate(days: 0.02, life: 1.0 / 24)) == nil)
        #expect(expiry(StatusPageTests.certificate(days: 0.01, life: 1.0 / 24)) == .warning)
        #expect(expiry(StatusPageTests.certificate(days: 13, life: 365)) == .warning)
        #expect(expiry(StatusPageTests.certificate(days: 15, life: 365)) == nil)
        #expect(expiry(StatusPageTests.certificate(days: 13)) == .warning)
        #expect(expiry(StatusPageTests.certificate(days: 0, life: 365)) == .critical)
    }

    @Test("Whatever the cluster holds is text: every member of a report is escaped")
    func escaping() throws {
        let evil = "<b>&\"'\u{202E}\u{0}"
        // Every string of the report becomes hostile, by way of its JSON; times and the words of enumerations stay.
        var report = StatusPageTests.healthy()
        report.problem = evil
        report.cluster?.obstacle = evil
        report.cluster?.dbs[1].problem = evil
        report.cluster?.dbs[1].dueReasons = [evil]
        report.cluster?.workloads[0].dueReasons = [evil]
        report.maintenance.openWindow = evil
        report.maintenance.openUntil = now.addingTimeInterval(60)
        report.run = StatusPageTests.run(.running)
        report.history = [StatusPageTests.run(.succeeded)]
        report.conditions = [
            .init(type: evil, status: evil, reason: evil, message: evil, lastTransitionTime: now)
        ]
        let kept = Set(["role", "outcome"])
        func poison(_ value: Any, _ name: String) -> Any {
            if let object = value as? [String: Any] {
                return Dictionary(uniqueKeysWithValues: object.map { ($0.key, poison($0.value, $0.key)) })
            }
            if let list = value as? [Any] { return list.map { poison($0, name) } }
            guard let text = value as? String, !kept.contains(name), (try? Date(text, strategy: .iso8601)) == nil else {
                return value
            }
            return evil
        }
        let json = try JSONSerialization.jsonObject(with: Data(report.json()))
        let poisoned = try StatusReport(json: Array(JSONSerialization.data(withJSONObject: poison(json, ""))))
        let page = StatusPage.render(poisoned, now: now)
        #expect(!page.contains("<b>") && !page.contains("\u{202E}") && !page.contains("\u{0}"))
        #expect(page.components(separatedBy: "&lt;b&gt;&amp;&quot;&#39;\u{FFFD}\u{FFFD}").count > 25)
        #expect(!page.contains("HTML("), "no part was printed instead of inserted")
    }

    @Test("Long texts and long lists are cut, and the page says so")
    func bounds() {
        let page = page {
            $0.cluster?.obstacle = String(repeating: "x", count: 100_000)
            $0.cluster?.workloads = (0..<1000).map {
                .init(namespace: "cnf", name: "tmm-\($0)", wantedReplicas: 3, readyReplicas: 1)
            }
        }
        #expect(page.utf8.count < 60_000)
        #expect(page.contains("and 950 more in") && page.contains("<li>and 988 more</li>"))
    }

    @Test(
        "Lengths of time",
        arguments: [
            (0.0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (11_520, "3 h 12 min"),
            (172_800, "2 days"), (-5, "0 s"), (1e300, "1157407 days"),
        ])
    func lengths(seconds: Double, expected: String) {
        #expect(TimeText.length(seconds) == expected)
    }

    @Test(
        "Sizes",
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3_565_158, "3.4 MiB"), (Int.max, "8388608.0 TiB"),
        ])
    func sizes(bytes: Int, expected: String) {
        #expect(StatusPage.bytes(bytes) == expected)
    }

    @Test("A report is the same after a way through JSON")
    func json() throws {
        var report = StatusPageTests.healthy()
        report.run = StatusPageTests.run(.suspended)
        #expect(try StatusReport(json: report.json()) == report)
    }
}
