import Glibc
import Testing

/// A real redis-server on a Unix socket in a folder of its own, and a blocking client for it.
final class RealRedis {
    enum Reply: Equatable {
        case status(String), error(String), integer(Int64), bulk([UInt8]?), array([Reply])
    }

    static let isAvailable = access("/usr/bin/redis-server", X_OK) == 0
    private let folder: TemporaryFolder
    private var process: pid_t = 0
    private var link: Int32 = -1
    private var unread: [UInt8] = []

    /// Starts the server in `folder` and waits until it answers. `arguments` come after the basic ones.
    init(in folder: TemporaryFolder, _ arguments: [String] = []) throws {
        self.folder = folder
        let socketPath = folder.path("redis.sock")
        unlink(socketPath)
        let line =
            [
                "redis-server", "--port", "0", "--unixsocket", socketPath, "--dir", folder.root, "--save", "",
                "--logfile", folder.path("redis.log"), "--daemonize", "no", "--proc-title-template", "redis-for-test",
            ] + arguments
        var words: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) }
        defer { for word in words { free(word) } }
        words.append(nil)
        let result = posix_spawn(&process, "/usr/bin/redis-server", nil, nil, words, environ)
        try #require(result == 0)
        try connect(socketPath)
        for _ in 0..<500 {
            if try command("PING") == .status("PONG") { return }
            usleep(10_000)
        }
        throw Failure(text: "redis-server does not become ready: \(log)")
    }

    struct Failure: Error { let text: String }

    var log: String { String(decoding: folder.read("redis.log"), as: UTF8.self) }

    deinit { stop() }

    func stop() {
        if link >= 0 { close(link) }
        link = -1
        guard process > 0 else { return }
        kill(process, SIGKILL)  // SIGTERM may be blocked: a child inherits its thread's mask
        var status: Int32 = 0
        waitpid(process, &status, 0)
        process = 0
    }

    private func connect(_ path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { target in
            for (index, byte) in path.utf8.enumerated() where index < target.count - 1 { target[index] = byte }
        }
        for _ in 0..<1000 {
            link = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(link, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            if result == 0 { return }
            close(link)
            link = -1
            var status: Int32 = 0
            if waitpid(process, &status, WNOHANG) == process {
                process = 0
                throw Failure(text: "redis-server ended: \(log)")
            }
            usleep(10_000)
        }
        throw Failure(text: "redis-server does not listen: \(log)")
    }

    func command(_ words: String...) throws -> Reply { try command(words.map { [UInt8]($0.utf8) }) }

    func command(_ words: [[UInt8]]) throws -> Reply {
        var request = [UInt8]("*\(words.count)\r\n".utf8)
        for word in words { request += [UInt8]("$\(word.count)\r\n".utf8) + word + [13, 10] }
        var sent = 0
        while sent < request.count {
            let count = request.withUnsafeBytes { raw in
                send(link, raw.baseAddress.map { $0 + sent }, request.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(text: "send failed: \(log)") }
            sent += count
        }
        return try reply()
    }

    private func more() throws {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = recv(link, &chunk, chunk.count, 0)
        guard count > 0 else { throw Failure(text: "the link ended: \(log)") }
        unread += chunk.prefix(count)
    }

    private func line() throws -> String {
        while true {
            if let end = unread.firstIndex(of: 10) {
                let text = String(decoding: unread[..<(end - 1)], as: UTF8.self)
                unread.removeFirst(end + 1)
                return text
            }
            try more()
        }
    }

    private func reply() throws -> Reply {
        let head = try line()
        let rest = String(head.dropFirst())
        switch head.first {
        case "+": return .status(rest)
        case "-": return .error(rest)
        case ":": return .integer(Int64(rest) ?? 0)
        case "$":
            let count = Int(rest) ?? -1
            if count < 0 { return .bulk(nil) }
            while unread.count < count + 2 { try more() }
            defer { unread.removeFirst(count + 2) }
            return .bulk([UInt8](unread.prefix(count)))
        case "*":
            var items: [Reply] = []
            for _ in 0..<max(0, Int(rest) ?? 0) { items.append(try reply()) }
            return .array(items)
        default: throw Failure(text: "odd reply \(head)")
        }
    }
}

/// A folder that ends with its owner.
final class TemporaryFolder {
    let root: String

    init() throws {
        var template = "/tmp/dssm-persistence-XXXXXX".utf8CString.map { $0 }
        try #require(mkdtemp(&template) != nil)
        root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { remove(root) }

    func path(_ name: String) -> String { root + "/" + name }

    func read(_ name: String) -> [UInt8] {
        guard let file = fopen(path(name), "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return bytes }
            bytes += chunk.prefix(count)
        }
    }

    func write(_ bytes: [UInt8], _ name: String) throws {
        let file = try #require(fopen(path(name), "w"))
        defer { fclose(file) }
        try #require(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    }

    func delete(_ name: String) throws { try #require(unlink(path(name)) == 0) }

    func exists(_ name: String) -> Bool { access(path(name), F_OK) == 0 }

    func names(_ folder: String = "") -> [String] {
        guard let handle = opendir(path(folder)) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private func remove(_ path: String) {
        if let handle = opendir(path) {
            var names: [String] = []
            while let entry = readdir(handle) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                    String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name != "." && name != ".." { names.append(name) }
            }
            closedir(handle)
            for name in names { remove(path + "/" + name) }
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}
