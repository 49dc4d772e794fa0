import ByteStorage
import CLinux

/// The increment that is being appended to. Owned by one thread at a time.
///
/// Invariant: `size` is the end of the last run of bytes that was written as a whole. What a failed write left behind
/// it is cut before the next one.
struct LogFile: ~Copyable {
    let path: String
    let sequence: Int64
    private let descriptor: Int32
    private let calls: FileCalls
    private(set) var size: Int64
    /// All bytes below are on the disk.
    private(set) var synchronizedSize: Int64
    private var mustTruncate = false

    /// - Parameter isNew: an existing file of the name is emptied.
    init(path: String, sequence: Int64, isNew: Bool, calls: FileCalls) throws(PersistenceError) {
        let opened = try Files.open(path, O_WRONLY | O_CREAT | O_APPEND | (isNew ? O_TRUNC : 0))
        let found: Int64
        do throws(PersistenceError) {
            found = try Files.size(opened, path)
        } catch {
            close(opened)
            throw error
        }
        self.path = path
        self.sequence = sequence
        self.calls = calls
        descriptor = opened
        size = found
        synchronizedSize = found
    }

    deinit { close(descriptor) }

    var isSynchronized: Bool { synchronizedSize == size }

    /// Writes all of `view` or, as far as the file's size tells, nothing.
    mutating func append(_ view: ByteView) throws(PersistenceError) {
        if mustTruncate {
            guard calls.truncate(descriptor, size) == 0 else { throw .system("truncate", path) }
            mustTruncate = false
        }
        let result = Files.write(descriptor, view, calls)
        guard result.error == 0 else {
            if result.written > 0, calls.truncate(descriptor, size) != 0 { mustTruncate = true }
            throw .system("write", path, result.error)
        }
        size += Int64(view.count)
    }

    mutating func synchronize() throws(PersistenceError) {
        guard calls.synchronize(descriptor) == 0 else { throw .system("fsync", path) }
        synchronizedSize = size
    }

    /// Forgets what is behind `position`, which the next append cuts off.
    mutating func rewind(to position: Int64) {
        size = position
        mustTruncate = true
    }
}
