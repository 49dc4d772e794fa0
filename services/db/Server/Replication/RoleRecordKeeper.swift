// `.dssm-role` in the data folder: one line with the role that this server had last. Stock Redis ignores it.
import CLinux
import RoleDiscovery

struct RoleRecordKeeper {
    static let fileName = ".dssm-role"
    private static let maximumBytes = 100

    private(set) var record: RoleRecord?
    /// The record is of this life.
    var isConfirmed = false
    /// Monotonic milliseconds.
    var writtenAt: Int64 = 0

    /// Reads what an earlier life has written; a damaged file means nothing.
    mutating func load(_ directory: String) {
        guard record == nil else { return }
        let file = cl_open("\(directory)/\(Self.fileName)", O_RDONLY, 0)
        guard file >= 0 else { return }
        defer { _ = close(file) }
        var bytes = [UInt8](repeating: 0, count: Self.maximumBytes)
        let count = pread(file, &bytes, bytes.count, 0)
        record = RoleRecord(String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 10 }, as: UTF8.self))
    }

    /// Replaces the file as a whole.
    ///
    /// - Returns: what went wrong; the record counts in this life even so.
    mutating func write(_ record: RoleRecord, _ directory: String) -> String? {
        self.record = record
        let path = "\(directory)/\(Self.fileName)"
        let temporary = "\(directory)/temp-role-\(getpid())"
        let file = cl_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { return String(cString: strerror(cl_errno())) }
        let text = Array("\(record.text)\n".utf8)
        let isWritten = pwrite(file, text, text.count, 0) == text.count && fsync(file) == 0
        let code = cl_errno()
        _ = close(file)
        guard isWritten, rename(temporary, path) == 0 else {
            unlink(temporary)
            return String(cString: strerror(isWritten ? cl_errno() : code))
        }
        return nil
    }
}
