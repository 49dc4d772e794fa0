// The settings file: YAML, every key known, every mistake with file and line.
import ByteStorage
import CLinux
import TLS
import Telemetry
import YAML

extension ForwarderSettings {
    /// Labels that come from the environment, which a pod's template fills by field references.
    static let environmentLabels = [
        ("pod", "POD_NAME"), ("namespace", "POD_NAMESPACE"), ("node", "NODE_NAME"),
    ]

    /// - Parameters:
    ///   - file: its name, for messages.
    ///   - readFile: for keys and passwords that lie in files.
    public init(
        yaml text: String, file: String, environment: [String: String],
        readFile: (String) -> Result<[UInt8], FileFailure> = { SmallFile.read($0, limit: 65536) }
    ) throws(SettingsError) {
        self.init()
        let document: YAMLNode?
        do throws(YAMLError) {
            document = try YAMLParser.parse(text)
        } catch {
            throw SettingsError(file: file, line: error.line, error.message)
        }
        let root = try SettingsNode(
            document, file: file, name: "", line: 1,
            keys: [
                "log", "metrics", "state-directory", "inputs", "labels", "follow", "buffer", "forward",
                "shutdown-milliseconds",
            ])
        try readLog(root)
        if let folder = try root.string("state-directory") { stateDirectory = folder }
        if let number = try root.integer("shutdown-milliseconds", 0...600_000) { shutdownMilliseconds = Int64(number) }
        let follow = try root.child(
            "follow", keys: ["scan-milliseconds", "poll-milliseconds", "rotate-wait-milliseconds"])
        if let number = try follow.integer("scan-milliseconds", 10...600_000) { scanMilliseconds = Int64(number) }
        if let number = try follow.integer("poll-milliseconds", 10...60_000) { pollMilliseconds = Int64(number) }
        if let number = try follow.integer("rotate-wait-milliseconds", 0...3_600_000) {
            rotateWaitMilliseconds = Int64(number)
        }
        try readBuffer(root)
        try readInputs(root, environment)
        try readForward(root, environment, readFile)
    }

    private mutating func readLog(_ root: SettingsNode) throws(SettingsError) {
        let log = try root.child("log", keys: ["level", "format", "file"])
        if let name = try log.string("level") {
            guard let level = LogLevel(name: name) else {
                throw log.error("level", "must be one of \(LogLevel.allCases.map(\.name).joined(separator: ", "))")
            }
            logLevel = level
        }
        if let format = try log.choice("format", LogFormat.self) { logFormat = format }
        if let path = try log.string("file") { logFile = path }
        let metrics = try root.child("metrics", keys: ["host", "port"])
        if let host = try metrics.string("host") { metricsHost = host }
        if let port = try metrics.integer("port", 0...65535) { metricsPort = port }
    }

    private mutating func readBuffer(_ root: SettingsNode) throws(SettingsError) {
        let buffer = try root.child(
            "buffer", keys: ["maximum-bytes", "segment-bytes", "chunk-bytes", "flush-milliseconds"])
        if let bytes = try buffer.bytes("maximum-bytes", (1 << 20)...(1 << 40)) { bufferMaximumBytes = bytes }
        if let bytes = try buffer.bytes("chunk-bytes", (4 << 10)...(4 << 20)) { chunkBytes = bytes }
        // A bounded number of segments, because each costs an open file.
        bufferSegmentBytes = min(max(bufferMaximumBytes / 64, 64 << 10), 64 << 20)
        if let bytes = try buffer.bytes("segment-bytes", (64 << 10)...(1 << 30)) { bufferSegmentBytes = bytes }
        if let number = try buffer.integer("flush-milliseconds", 10...600_000) { flushMilliseconds = Int64(number) }
        guard bufferMaximumBytes / bufferSegmentBytes <= 512, bufferMaximumBytes >= 4 * bufferSegmentBytes else {
            throw buffer.error("segment-bytes", "must be a quarter of maximum-bytes at most, and a 512th at least")
        }
    }

    // MARK: Inputs

    private mutating func readInputs(_ root: SettingsNode, _ environment: [String: String]) throws(SettingsError) {
        let nodes = try root.children(
            "inputs",
            keys: [
                "files", "exclude", "stdin", "unix-socket", "tag", "start", "maximum-line-bytes", "multiline", "labels",
            ])
        guard !nodes.isEmpty else { throw SettingsError(file: root.file, line: root.lineOf("inputs"), "no inputs") }
        let common = try labels(root, environment)
        for node in nodes {
            guard let tag = try node.string("tag"), !tag.isEmpty, tag.utf8.count <= 256 else {
                throw node.error("tag", "each input needs a tag, such as dssm.db")
            }
            var input = Input(source: .standardInput, tag: tag)
            input.labels = common
            for label in try labels(node, [:]) {
                input.labels.removeAll { $0.name == label.name }
                input.labels.append(label)
            }
            if let bytes = try node.bytes("maximum-line-bytes", 64...(1 << 20)) { input.maximumLineBytes = bytes }
            input.source = try source(node, input.maximumLineBytes)
            inputs.append(input)
        }
        guard inputs.filter({ if case .standardInput = $0.source { true } else { false } }).count <= 1 else {
            throw root.error("inputs", "only one can be stdin")
        }
    }

    private func labels(_ node: SettingsNode, _ environment: [String: String]) throws(SettingsError)
        -> [(name: String, value: String)]
    {
        var result: [(name: String, value: String)] = []
        for (name, variable) in Self.environmentLabels {
            if let value = environment[variable], !value.isEmpty { result.append((name, value)) }
        }
        for (name, value, line) in try node.pairs("labels") {
            guard !name.isEmpty, !RecordEncoder.reservedNames.contains(name) else {
                throw SettingsError(file: node.file, line: line, "a label cannot be called '\(name)'")
            }
            result.removeAll { $0.name == name }
            if !value.isEmpty { result.append((name, value)) }
        }
        return result
    }

    private func source(_ node: SettingsNode, _ maximumLineBytes: Int) throws(SettingsError) -> Source {
        let patterns = try node.strings("files")
        let socket = try node.string("unix-socket")
        let usesStandardInput = try node.bool("stdin") ?? false
        guard (patterns.isEmpty ? 0 : 1) + (socket == nil ? 0 : 1) + (usesStandardInput ? 1 : 0) == 1 else {
            throw SettingsError(
                file: node.file, line: node.line, "an input needs exactly one of files, unix-socket and stdin")
        }
        if patterns.isEmpty {
            for key in ["exclude", "start", "multiline"] where node.node(key) != nil {
                throw node.error(key, "is for files only")
            }
        }
        if let socket { return .unixSocket(socket) }
        if usesStandardInput { return .standardInput }
        var settings = FollowSettings(patterns: patterns)
        settings.excluded = try node.strings("exclude")
        settings.maximumLineBytes = maximumLineBytes
        switch try node.string("start") ?? "beginning" {
        case "beginning": break
        case "end": settings.startsAtBeginning = false
        default: throw node.error("start", "must be one of beginning, end")
        }
        if node.node("multiline") != nil {
            let multiline = try node.child(
                "multiline", keys: ["start", "maximum-lines", "maximum-bytes", "flush-milliseconds"])
            guard let start = try multiline.string("start") else {
                throw multiline.error("start", "multiline needs an expression for the first line of a record")
            }
            var problem = ""
            guard LinePattern(start, problem: &problem) != nil else { throw multiline.error("start", problem) }
            settings.multilineStart = start
            if let lines = try multiline.integer("maximum-lines", 1...100_000) {
                settings.multilineLimits.lines = lines
            }
            if let bytes = try multiline.bytes("maximum-bytes", 1024...(1 << 20)) {
                settings.multilineLimits.bytes = bytes
            }
            if let number = try multiline.integer("flush-milliseconds", 10...600_000) {
                settings.multilineLimits.flushMilliseconds = Int64(number)
            }
        }
        return .files(settings)
    }
}

extension ForwarderSettings {
    /// The variables of the environment that are looked at.
    public static let environmentNames =
        environmentLabels.map(\.1) + ["DSSM_FORWARD_SHARED_KEY", "DSSM_FORWARD_PASSWORD"]

    /// Reads a settings file.
    public init(file: String, environment: [String: String]) throws(SettingsError) {
        switch SmallFile.read(file, limit: 1 << 20) {
        case .failure(let failure):
            throw SettingsError(file: file, line: 0, "cannot be read: \(String(cString: strerror(failure.code)))")
        case .success(let bytes):
            try self.init(yaml: String(decoding: bytes, as: UTF8.self), file: file, environment: environment)
        }
    }
}
