// Where each followed file has been read to, on disk.
//
// A small text file, written as a whole beside the old one, synced, and renamed over it: a reader sees the old or the new one.
// A file that does not verify counts as none, and the files are read again from their beginning: rather twice than never.
import ByteStorage
import CLinux
import Compression

/// The beginning of a file, by which it is known again: inode numbers are reused.
public struct Fingerprint: Equatable, Sendable {
    public static let bytes = 256

    public var length = 0
    public var checksum: UInt64 = 0

    public init() {}

    public init(length: Int, checksum: UInt64) {
        self.length = length
        self.checksum = checksum
    }

    /// Of the first `bytes` bytes of an open file, or of as many as there are. Nil when it cannot be read.
    static func of(_ fd: Int32, limit: Int = bytes) -> Fingerprint? {
        guard limit > 0 else { return Fingerprint() }
        return withUnsafeTemporaryAllocation(byteCount: limit, alignment: 1) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = pread(fd, base, limit, 0)
            guard count >= 0 else { return nil }
            return Fingerprint(length: count, checksum: CRC64.of(ByteView(base, count)))
        }
    }

    /// Whether an open file still begins like this.
    func matches(_ fd: Int32) -> Bool { Fingerprint.of(fd, limit: length) == self }
}

public struct FilePosition: Equatable, Sendable {
    public var device: UInt64
    public var inode: UInt64
    public var offset: Int
    public var fingerprint: Fingerprint
    /// Seconds since 1970.
    public var lastSeen: Int64
    public var path: String

    public init(device: UInt64, inode: UInt64, offset: Int, fingerprint: Fingerprint, lastSeen: Int64, path: String) {
        self.device = device
        self.inode = inode
        self.offset = offset
        self.fingerprint = fingerprint
        self.lastSeen = lastSeen
        self.path = path
    }
}

public enum PositionFile {
    static let header = "dssm-log-positions 1"
    static let largestFile = 4 << 20

    public enum LoadResult: Equatable, Sendable {
        case none
        case positions([FilePosition])
        case damaged(String)
    }

    public static func encode(_ positions: [FilePosition]) -> [UInt8] {
        var text = header + "\n"
        for position in positions {
            let path = position.path.utf8.map { byte -> String in
                byte <= 32 || byte == UInt8(ascii: "%") || byte >= 127
                    ? "%" + hexadecimal(UInt64(byte), 2) : String(UnicodeScalar(byte))
            }.joined()
            text += "\(position.device) \(position.inode) \(position.offset) \(position.fingerprint.length) "
            text += "\(hexadecimal(position.fingerprint.checksum, 16)) \(position.lastSeen) \(path)\n"
        }
        let body = Array(text.utf8)
        return body + Array("end \(hexadecimal(body.withView { CRC64.of($0) }, 16))\n".utf8)
    }

    public static func decode(_ bytes: [UInt8]) -> LoadResult {
        let lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
        guard lines.count >= 3, lines[lines.count - 1].isEmpty else { return .damaged("it does not end with a line") }
        let last = lines[lines.count - 2]
        let body = Array(bytes[..<last.startIndex])
        guard Array(last) == Array("end \(hexadecimal(body.withView { CRC64.of($0) }, 16))".utf8) else {
            return .damaged("its checksum does not match")
        }
        guard Array(lines[0]) == Array(header.utf8) else { return .damaged("it is of another version") }
        var positions: [FilePosition] = []
        for line in lines[1..<lines.count - 2] {
            let words = String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
            guard words.count == 7, let device = UInt64(words[0]), let inode = UInt64(words[1]),
                let offset = Int(words[2]), offset >= 0, let length = Int(words[3]),
                (0...Fingerprint.bytes).contains(length), let checksum = UInt64(words[4], radix: 16),
                let lastSeen = Int64(words[5])
            else { return .damaged("a line of it cannot be read") }
            positions.append(
                FilePosition(
                    device: device, inode: inode, offset: offset,
                    fingerprint: Fingerprint(length: length, checksum: checksum), lastSeen: lastSeen,
                    path: unescaped(words[6])))
        }
        return .positions(positions)
    }

    public static func load(_ path: String) -> LoadResult {
        switch SmallFile.read(path, limit: largestFile) {
        case .success(let bytes): return decode(bytes)
        case .failure(let failure): return failure.code == ENOENT ? .none : .damaged("\(failure)")
        }
    }

    /// Replaces the file; the new content is on disk when this returns.
    public static func save(_ positions: [FilePosition], to path: String) throws(FileFailure) {
        try SmallFile.replace(path, with: encode(positions))
    }

    private static func hexadecimal(_ value: UInt64, _ width: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
