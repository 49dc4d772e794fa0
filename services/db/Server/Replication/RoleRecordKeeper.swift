// `.dssm-role` in the data folder: one line with the role that this server had last. `.dssm-vote`: the db that it supported or followed
// last. Stock Redis ignores both.
import CLinux
import RESPClient
import RoleDiscovery

struct RoleRecordKeeper {
    static let fileName = ".dssm-role"
    static let voteFileName = ".dssm-vote"
    /// A host name has 255 bytes at most.
    private static let maximumBytes = 300

    /// What the vote's file says.
    private(set) var vote: PeerAddress?
    private(set) var record: RoleRecord?
    /// The record is of this life.
    var isConfirmed = false
    /// Monotonic milliseconds.
    var writtenAt: Int64 = 0

    /// Reads what an earlier life has written; a damaged file means nothing.
    mutating func load(_ directory: String) {
        guard record == nil else { return }
        record = RoleRecord(Self.line(Self.fileName, directory))
    }

    mutating func loadVote(_ directory: String) -> PeerAddress? {
        vote = PeerAddress(Self.line(Self.voteFileName, directory))
        return vote
    }

    /// - Returns: what went wrong; the record counts in this life even so.
    mutating func write(_ record: RoleRecord, _ directory: String) -> String? {
        self.record = record
        return Self.replace(Self.fileName, record.text, directory)
    }

    /// - Returns: what went wrong.
    mutating func writeVote(_ vote: PeerAddress, _ directory: String) -> String? {
        if vote == self.vote { return nil }
        if let problem = Self.replace(Self.voteFileName, vote.description, directory) { return problem }
        self.vote = vote
        return nil
    }

    /// The first line of a file; empty without one.
    private static func line(_ name: String, _ directory: String) -> String {
        let file = cl_open("\(directory)/\(name)", O_RDONLY, 0)
        guard file >= 0 else { return "" }
        defer { _ = close(file) }
        var bytes = [UInt8](repeating: 0, count: maximumBytes)
        let count = pread(file, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 10 }, as: UTF8.self)
    }

    /// Replaces a file as a whole.
    private static func replace(_ name: String, _ line: String, _ directory: String) -> String? {
        let path = "\(directory)/\(name)"
        let temporary = "\(directory)/temp-role-\(getpid())"
        let file = cl_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { return String(cString: strerror(cl_errno())) }
        let text = Array("\(line)\n".utf8)
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
