import Foundation
import RestartCoordination
import TLS
import Testing
import YAML

@Suite("CoordinatorSettings")
struct CoordinatorSettingsTests {
    private func settings(_ yaml: String) throws -> CoordinatorSettings {
        try CoordinatorSettings(yaml: yaml, file: "s.yaml")
    }

    @Test("Without settings nothing is ever restarted, and the names are the chart's")
    func defaults() throws {
        let settings = try settings("")
        #expect(settings.windows.isEmpty)
        #expect(!settings.policy.stopsWorkloads)
        #expect(settings.db == "f5-dssm-db")
        #expect(settings.stateName == "f5-dssm-restart-coordinator-state")
        #expect(settings.leaseName == "f5-dssm-restart-coordinator")
        #expect(settings.tls?.keyFile == "/etc/dssm/keys/dssm-key.key")
    }

    @Test("Every setting is read")
    func everything() throws {
        let settings = try settings(
            """
            namespace: cnf
            db: east-f5-dssm-db
            sentinel: east-f5-dssm-sentinel
            primary-name: sessions
            cluster-domain: example.org
            certificate: {secret: certs, item: tls.crt}
            tls: {ca-file: /ca, certificate-file: /crt, key-file: /key}
            windows:
              - {name: nightly, cron: "30 2 * * sun", time-zone: Europe/Berlin, duration: 90m}
              - {cron: "@daily", duration: 1h}
            blackouts: [2026-12-24/2027-01-02]
            now-duration: 30m
            tmm:
              restart: true
              workloads:
                - {namespace: a, name: f5-tmm}
                - {namespace: b, selector: "app=tmm"}
            step-allowance: 5m
            reload-grace: 0s
            sync-lag-bytes: 64KiB
            interval: 500ms
            busy-interval: 100ms
            probe-timeout: 2s
            lease-duration: 30s
            http: {host: 127.0.0.1, port: 8080}
            log: {level: debug, format: json}
            """)
        #expect(settings.leaseName == "east-f5-dssm-restart-coordinator")
        #expect(settings.windows.map(\.name) == ["nightly", "window-2"])
        #expect(settings.windows.map(\.duration) == [.seconds(5400), .seconds(3600)])
        #expect(settings.windows[0].timeZone.identifier == "Europe/Berlin")
        #expect(settings.blackouts.map(\.text) == ["2026-12-24/2027-01-02"])
        #expect(settings.nowDuration == .seconds(1800))
        #expect(settings.policy.stopsWorkloads)
        #expect(
            settings.workloads == [
                WorkloadSelection(namespace: "a", .name("f5-tmm")),
                WorkloadSelection(namespace: "b", .labels("app=tmm")),
            ])
        #expect(settings.policy.stepAllowance == .seconds(300))
        #expect(settings.reloadGrace == .zero)
        #expect(settings.syncLagBytes == 65536)
        #expect(settings.interval == .milliseconds(500))
        #expect(settings.httpPort == 8080)
        #expect(settings.certificateItem == "tls.crt")
    }

    @Test(
        "What is wrong is told with its line",
        arguments: [
            ("a: 1", "s.yaml:1: unknown key 'a'"),
            ("db: x\nwindows:\n  - {duration: 1h}", "s.yaml:3: cron: is missing"),
            ("windows:\n  - {cron: '@daily'}", "s.yaml:2: duration: is missing"),
            ("windows:\n  - {cron: '@daily', duration: 5s}", "s.yaml:2: duration: must be a time"),
            ("windows:\n  - {cron: '* *', duration: 1h}", "s.yaml:2: cron: '* *': five fields"),
            ("windows:\n  - {cron: '@daily', duration: 1h, time-zone: Mars}", "s.yaml:2: time-zone: 'Mars'"),
            (
                "windows:\n  - {name: a, cron: '@daily', duration: 1h}\n  - {name: a, cron: '@daily', duration: 1h}",
                "s.yaml:3: name: 'a' is there twice"
            ),
            ("blackouts: [christmas]", "s.yaml:1: blackouts: blackout 'christmas'"),
            ("tmm: {restart: true}", "s.yaml:1: restart: there are no workloads"),
            ("tmm:\n  workloads:\n    - {namespace: a}", "s.yaml:3: name: either a name or a selector"),
            ("tmm:\n  workloads:\n    - {namespace: a, name: b, selector: c}", "either a name or a selector"),
            ("interval: 5", "s.yaml:1"), ("interval: soon", "s.yaml:1: interval: must be a time"),
            ("http: {port: 70000}", "s.yaml:1: port: must be a number"), ("- a", "must be a mapping"),
        ])
    func problems(_ yaml: String, _ message: String) throws {
        // 5 is five seconds: right.
        if yaml == "interval: 5" {
            #expect(try settings(yaml).interval == .seconds(5))
            return
        }
        let error = #expect(throws: SettingsError.self) { try settings(yaml) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }
}
