import COpenSSL
import Glibc

/// Reading of small files and PEM, with errors that name the file.
enum PEMFile {
    /// A certificate bundle of all public CAs is 250 kB; ten times that is no certificate file.
    static let maximumBytes = 4 << 20

    static func read(_ path: String) throws(TLSError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw TLSError(.unreadableFile, "\(path): cannot be opened: \(reason)", file: path)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                let reason = String(cString: strerror(errno))
                throw TLSError(.unreadableFile, "\(path): cannot be read: \(reason)", file: path)
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[0..<count])
            if bytes.count > maximumBytes {
                throw TLSError(.badFile, "\(path): larger than \(maximumBytes) bytes, not a PEM file", file: path)
            }
        }
    }

    /// Calls `body` with a memory BIO over `bytes`.
    static func withBIO<Result>(
        _ bytes: [UInt8], _ body: (OpaquePointer) throws(TLSError) -> Result
    ) throws(TLSError) -> Result {
        let bytes = bytes.isEmpty ? [UInt8(ascii: "\n")] : bytes
        // SAFETY: the BIO reads `bytes` in place; it is freed before the array can go away.
        let result: Swift.Result<Result, TLSError> = bytes.withUnsafeBytes { buffer in
            guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count))
            else { return .failure(TLSError(.library, ErrorQueue.take(or: "out of memory"))) }
            defer { BIO_free(bio) }
            do throws(TLSError) { return .success(try body(bio)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// What OpenSSL writes to a memory BIO in `body`, or nil when `body` reports failure.
    static func collect(_ body: (OpaquePointer) -> Bool) -> [UInt8]? {
        guard let bio = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(bio) }
        guard body(bio) else {
            ErrorQueue.clear()
            return nil
        }
        var data: UnsafePointer<CChar>?
        let count = co_bio_memory(bio, &data)
        guard count > 0, let data else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: data, count: Int(count)))
    }
}

/// Reading of PEM files as text, for whoever does not know yet what is in one.
public enum PEMText {
    /// At most some megabytes, else it is no PEM file.
    public static func read(_ path: String) throws(TLSError) -> [UInt8] { try PEMFile.read(path) }
}
