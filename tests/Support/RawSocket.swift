// A non-blocking stream socket for tests that drive a server in the same thread.
import Glibc

public final class RawSocket {
    public private(set) var fd: Int32
    /// Everything received and not taken yet.
    public var received: [UInt8] = []
    public private(set) var isClosedByPeer = false

    public init(fd: Int32) {
        self.fd = fd
        _ = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)
        var one: Int32 = 1
        // Each piece goes out at once; a unix socket refuses the option and does so anyway.
        setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    deinit { close() }

    /// Connects to a unix socket; nil when it refuses.
    public convenience init?(path: String) {
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(fd, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            _ = Glibc.close(fd)
            return nil
        }
        self.init(fd: fd)
    }

    /// Connects to a port of the loopback interface; nil when it refuses.
    public convenience init?(port: UInt16, isIPv6: Bool = false) {
        let fd = socket(isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var result: Int32
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            _ = inet_pton(AF_INET6, "::1", &address.sin6_addr)
            result = withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            _ = inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
            result = withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        guard result == 0 else {
            _ = Glibc.close(fd)
            return nil
        }
        self.init(fd: fd)
    }

    /// Sends as much as the socket takes and returns how much that was.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Int {
        max(0, bytes.withUnsafeBytes { Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) })
    }

    @discardableResult
    public func send(_ text: String) -> Int { send(Array(text.utf8)) }

    /// Takes what has arrived.
    public func pull() {
        guard fd >= 0 else { return }
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { recv(fd, $0.baseAddress, $0.count, 0) }
            if count > 0 {
                received += chunk[0..<count]
                continue
            }
            if count == 0 || errno != EAGAIN { isClosedByPeer = true }
            return
        }
    }

    public var text: String { String(decoding: received, as: UTF8.self) }

    /// Ends the sending direction only.
    public func finishSending() { shutdown(fd, Int32(SHUT_WR)) }

    /// Closes with a reset instead of an orderly end.
    public func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close()
    }

    public func close() {
        guard fd >= 0 else { return }
        _ = Glibc.close(fd)
        fd = -1
    }
}

/// Milliseconds on a clock that never jumps.
public func monotonicMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

/// Calls `step` until `condition` holds. False when that takes longer than `seconds`.
public func poll(seconds: Double = 10, step: () -> Void, until condition: () -> Bool) -> Bool {
    let deadline = monotonicMilliseconds() + Int64(seconds * 1000)
    while !condition() {
        if monotonicMilliseconds() > deadline { return false }
        step()
    }
    return true
}
