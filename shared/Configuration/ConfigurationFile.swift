import Glibc

/// Reading and writing of configuration files.
public enum ConfigurationFile {
    /// A larger file is no configuration.
    public static let maximumBytes = 16 << 20
    /// `include` within `include`, so deep and no deeper.
    public static let maximumDepth = 16
    /// Directives of a file and all that it includes.
    public static let maximumDirectives = 1_000_000

    /// All directives of `path`, those of included files in the place of their `include`.
    ///
    /// An `include` may hold several patterns; a pattern with wildcards may match nothing, and matches are read in the
    /// order of their names. Relative names refer to the working directory, as in Redis.
    public static func load(_ path: String) throws(ConfigurationError) -> [Directive] {
        var result: [Directive] = []
        try append(path, to: &result, including: [])
        return result
    }

    private static func append(
        _ path: String, to result: inout [Directive], including outer: [String]
    ) throws(ConfigurationError) {
        guard outer.count < maximumDepth, !outer.contains(path) else {
            throw ConfigurationError("included in a circle, or more than \(maximumDepth) levels deep", file: path)
        }
        for directive in try ConfigurationText.parse(try read(path), file: path) {
            guard directive.name == "include" else {
                result.append(directive)
                guard result.count <= maximumDirectives else { throw directive.error("too many directives") }
                continue
            }
            guard !directive.values.isEmpty else { throw directive.error("wrong number of arguments") }
            for pattern in directive.arguments {
                guard pattern.contains(where: { "*?[".contains($0) }) else {
                    do throws(ConfigurationError) {
                        try append(pattern, to: &result, including: outer + [path])
                    } catch {
                        if error.line > 0 || error.file != pattern { throw error }
                        throw directive.error(error.description)
                    }
                    continue
                }
                for match in matches(pattern) { try append(match, to: &result, including: outer + [path]) }
            }
        }
    }

    private static func matches(_ pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0, let paths = found.gl_pathv else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { paths[$0].map { String(cString: $0) } }
    }

    /// The bytes of `path`; `-` is standard input.
    public static func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot be opened", path) }
        defer { if descriptor != 0 { close(descriptor) } }
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot be read", path) }
            if count == 0 { return result }
            result.append(contentsOf: chunk[0..<count])
            guard result.count <= maximumBytes else {
                throw ConfigurationError("larger than \(maximumBytes) bytes", file: path)
            }
        }
    }

    /// Replaces `path` so that after a crash at any moment either the old or the new content is there: a temporary file
    /// beside it, fsync, rename, fsync of the folder. A symbolic link is followed. With
    /// `keepsMode` an existing file keeps its mode, and `mode` is for a new one.
    public static func write(
        _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644, keepsMode: Bool = true
    ) throws(ConfigurationError) {
        var target = path
        if let resolved = realpath(path, nil) {
            target = String(cString: resolved)
            free(resolved)
        }
        var status = stat()
        let permissions = keepsMode && stat(target, &status) == 0 ? status.st_mode & 0o7777 : mode
        let temporary = "\(target).tmp-\(getpid())"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("cannot be created", temporary) }
        let isWritten = writeAll(descriptor, bytes) && fchmod(descriptor, permissions) == 0 && fsync(descriptor) == 0
        let error = isWritten ? nil : failure("cannot be written", temporary)
        close(descriptor)
        if let error {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, target) == 0 else {
            let error = failure("cannot be replaced", target)
            unlink(temporary)
            throw error
        }
        try syncFolder(of: target)
    }

    private static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func syncFolder(of path: String) throws(ConfigurationError) {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot be opened", folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("cannot be synchronised", folder) }
    }

    private static func failure(_ what: String, _ path: String) -> ConfigurationError {
        ConfigurationError("\(what): \(String(cString: strerror(errno)))", file: path)
    }
}
