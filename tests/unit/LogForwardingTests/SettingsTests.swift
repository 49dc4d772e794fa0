import ByteStorage
import Testing
import YAML

@testable import LogForwarding

@Suite struct SettingsTests {
    static let base = """
        inputs:
          - files: [/var/log/*.log]
            tag: dssm.db
        forward:
          servers:
            - host: fluentd.example.
        """

    func read(_ text: String, _ environment: [String: String] = [:]) throws(SettingsError) -> ForwarderSettings {
        try ForwarderSettings(yaml: text, file: "f.yaml", environment: environment) { path in
            path == "/secret" ? .success(Array("from file\n".utf8)) : .failure(FileFailure("open \(path)", 2))
        }
    }

    func problem(_ text: String) -> String {
        do throws(SettingsError) {
            _ = try read(text)
            return "none"
        } catch { return error.description }
    }

    @Test("Little is needed; everything has a default")
    func defaults() throws {
        let settings = try read(Self.base)
        #expect(settings.servers[0].port == 24224)
        #expect(settings.servers[0].credentials.sharedKey == nil)
        #expect(settings.bufferMaximumBytes == 256 << 20)
        #expect(settings.bufferSegmentBytes == 4 << 20)
        #expect(settings.tls == nil)
    }

    @Test("Labels and secrets come from the environment, from files and from the settings, the latter first")
    func environment() throws {
        let text =
            Self.base + """

                  shared-key-file: /secret
                  user: u
                labels: {site: north, node: mine}
                """
        let settings = try read(
            text, ["POD_NAME": "p-0", "NODE_NAME": "n", "POD_NAMESPACE": "", "DSSM_FORWARD_PASSWORD": "pw"])
        #expect(settings.inputs[0].labels.map { "\($0.name)=\($0.value)" } == ["pod=p-0", "site=north", "node=mine"])
        #expect(settings.servers[0].credentials.sharedKey == Array("from file".utf8))
        #expect(settings.servers[0].credentials.password == Array("pw".utf8))
        #expect(settings.servers[0].credentials.hostname == "p-0")
    }

    @Test("A mistake is told with file and line")
    func mistakes() {
        #expect(problem("a: [").hasPrefix("f.yaml:"))
        #expect(problem("inputz: 1").hasPrefix("f.yaml:1: unknown key 'inputz', known are: buffer,"))
        #expect(problem("inputs: []").contains("no inputs"))
        let cases: [(old: String, new: String, expected: String)] = [
            ("tag: dssm.db", "tog: x", "f.yaml:3: unknown key 'tog' in inputs"),
            ("    tag: dssm.db\n", "", "each input needs a tag"),
            ("tag: dssm.db", "tag: t\n    stdin: true", "exactly one of files"),
            ("tag: dssm.db", "tag: t\n    multiline: {start: '('}", "f.yaml:4: start: "),
            ("tag: dssm.db", "tag: t\n    labels: {log: x}", "f.yaml:4: a label cannot be called 'log'"),
            ("host: fluentd.example.", "port: 1", "a server needs a host"),
            (
                "host: fluentd.example.", "host: h\n      port: 70000",
                "f.yaml:7: port: must be a number from 1 to 65535"
            ),
            ("host: fluentd.example.", "host: h\n      standby: true", "all are standby"),
            ("host: fluentd.example.", "host: h\n      user: u", "needs a shared-key"),
            ("forward:", "forward:\n  tls: {}", "f.yaml:5: ca-file: TLS needs a CA"),
            ("forward:", "forward:\n  shared-key-file: /none", "f.yaml:5: shared-key-file: open /none"),
            ("forward:", "forward:\n  mode: fast", "mode: must be one of forward, packed, compressed"),
            ("inputs:", "buffer: {maximum-bytes: 1MB}\ninputs:", "f.yaml:1: maximum-bytes: must be bytes"),
            ("inputs:", "buffer: {maximum-bytes: 1MiB, segment-bytes: 512KiB}\ninputs:", "a quarter"),
        ]
        for (old, new, expected) in cases {
            let text = replaced(Self.base, old, new)
            #expect(problem(text).contains(expected), "\(new): \(problem(text))")
        }
    }

    func replaced(_ text: String, _ old: String, _ new: String) -> String {
        guard let range = text.firstRange(of: old) else { return text }
        return text.replacingCharacters(range, new)
    }
}

extension String {
    fileprivate func replacingCharacters(_ range: Range<String.Index>, _ new: String) -> String {
        String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
    }
}
