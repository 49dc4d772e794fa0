import ByteStorage
import CLinux

// System calls on files, as the log and the snapshot need them.

/// The calls whose failures decide over durability. Tests put failing ones in their place.
public struct FileCalls: Sendable {
    public var write: @Sendable (_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int
    /// fdatasync: the bytes and the size of the file.
    public var synchronize: @Sendable (_ descriptor: Int32) -> Int32
    public var truncate: @Sendable (_ descriptor: Int32, _ size: Int64) -> Int32

    public static let system = FileCalls(
        write: { CLinux.write($0, $1, $2) },
        synchronize: { fdatasync($0) },
        truncate: { ftruncate($0, Int($1)) })

    public init(
        write: @escaping @Sendable (Int32, UnsafeRawPointer, Int) -> Int,
        synchronize: @escaping @Sendable (Int32) -> Int32,
        truncate: @escaping @Sendable (Int32, Int64) -> Int32
    ) {
        self.write = write
        self.synchronize = synchronize
        self.truncate = truncate
    }
}

enum Files {
    /// Reading and writing for the owner, reading for its group: the files hold the data of subscribers.
    static let mode: UInt32 = 0o640
    static let folderMode: UInt32 = 0o750

    static func open(_ path: String, _ flags: Int32) throws(PersistenceError) -> Int32 {
        let descriptor = cl_open(path, flags, mode)
        guard descriptor >= 0 else { throw .system("open", path) }
        return descriptor
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func size(_ descriptor: Int32, _ path: String) throws(PersistenceError) -> Int64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("fstat", path) }
        return Int64(status.st_size)
    }

    static func size(of path: String) -> Int64? {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : nil
    }

    /// Writes all of `view` at the descriptor's position.
    ///
    /// - Returns: the bytes written, and the error number when they are not all.
    static func write(_ descriptor: Int32, _ view: ByteView, _ calls: FileCalls) -> (written: Int, error: Int32) {
        var written = 0
        while written < view.count {
            let count = calls.write(descriptor, view.base + written, view.count - written)
            if count > 0 {
                written += min(count, view.count - written)
            } else if count == 0 {
                return (written, ENOSPC)
            } else if cl_errno() != EINTR {
                return (written, cl_errno())
            }
        }
        return (written, 0)
    }

    static func read(
        _ descriptor: Int32, _ target: UnsafeMutableRawPointer, _ room: Int, _ path: String
    ) throws(PersistenceError) -> Int {
        while true {
            let count = CLinux.read(descriptor, target, room)
            if count >= 0 { return count }
            if cl_errno() != EINTR { throw .system("read", path) }
        }
    }

    /// A small file as a whole; an error above `limit` bytes.
    static func contents(of path: String, limit: Int) throws(PersistenceError) -> [UInt8] {
        let descriptor = try open(path, O_RDONLY)
        defer { close(descriptor) }
        let buffer = OutputBuffer.create(capacity: 4096)
        defer { buffer.destroy() }
        while true {
            let count = try read(descriptor, buffer.reserve(4096), 4096, path)
            if count == 0 { return buffer.view.array }
            buffer.commit(count)
            guard buffer.count <= limit else {
                var error = PersistenceError(.limit, "the file is longer than \(limit) bytes")
                error.file = path
                throw error
            }
        }
    }

    static func rename(_ from: String, _ to: String) throws(PersistenceError) {
        guard CLinux.rename(from, to) == 0 else { throw .system("rename to \(to)", from) }
    }

    /// Makes the creations, renames and removals in a folder durable.
    static func synchronize(folder: String, _ calls: FileCalls) throws(PersistenceError) {
        let descriptor = cl_open(folder, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { throw .system("open", folder) }
        defer { close(descriptor) }
        guard calls.synchronize(descriptor) == 0 else { throw .system("fsync", folder) }
    }

    /// Replaces a small file so that a crash leaves either the old or the new content.
    static func replace(
        _ name: String, in folder: String, with bytes: [UInt8], _ calls: FileCalls
    ) throws(PersistenceError) {
        let temporary = "\(folder)/temp-\(name)"
        do {
            let descriptor = try open(temporary, O_WRONLY | O_CREAT | O_TRUNC)
            defer { close(descriptor) }
            let error = bytes.withView { write(descriptor, $0, calls).error }
            guard error == 0 else { throw PersistenceError.system("write", temporary, error) }
            guard calls.synchronize(descriptor) == 0 else { throw PersistenceError.system("fsync", temporary) }
        } catch {
            unlink(temporary)
            throw error as? PersistenceError ?? .system("write", temporary)
        }
        try rename(temporary, "\(folder)/\(name)")
        try synchronize(folder: folder, calls)
    }
}
