import CLinux

/// An error of a socket operation, with what was tried.
public struct SocketError: Error, Sendable, CustomStringConvertible {
    public let operation: String
    public let code: Int32
    public var description: String { "\(operation): \(String(cString: strerror(code)))" }
}

/// Thin calls on socket file descriptors.
enum Sockets {
    static func setNoDelay(_ fd: Int32) { setOption(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

    static func setKeepAlive(_ fd: Int32, seconds: Int) {
        setOption(fd, SOL_SOCKET, SO_KEEPALIVE, seconds > 0 ? 1 : 0)
        guard seconds > 0 else { return }
        setOption(fd, Int32(IPPROTO_TCP), TCP_KEEPIDLE, Int32(clamping: seconds))
        setOption(fd, Int32(IPPROTO_TCP), TCP_KEEPINTVL, Int32(clamping: max(1, seconds / 3)))
        setOption(fd, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
    }

    static func setOption(_ fd: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        // A refused option leaves the socket usable: the connection works without it.
        _ = setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// A listening TCP socket. IPv6 sockets take IPv6 only, so that both families can be bound side by side.
    static func listen(host: String, port: UInt16, backlog: Int32) throws(SocketError) -> Int32 {
        guard let address = SocketAddress.numeric(host, port) else {
            throw SocketError(operation: "bind \(host)", code: EINVAL)
        }
        let fd = cl_socket_stream(address.family)
        guard fd >= 0 else { throw SocketError(operation: "socket", code: cl_errno()) }
        setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        if address.family == AF_INET6 { setOption(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        let bound = address.withPointer { cl_bind(fd, $0, $1) }
        if bound != 0 || CLinux.listen(fd, backlog) != 0 {
            let code = cl_errno()
            _ = close(fd)
            throw SocketError(operation: "bind \(host):\(port)", code: code)
        }
        return fd
    }

    static func listenUnix(path: String, mode: mode_t, backlog: Int32) throws(SocketError) -> Int32 {
        guard let address = SocketAddress.unix(path) else {
            throw SocketError(operation: "bind \(path)", code: ENAMETOOLONG)
        }
        let fd = cl_socket_stream(AF_UNIX)
        guard fd >= 0 else { throw SocketError(operation: "socket", code: cl_errno()) }
        unlink(path)
        let bound = address.withPointer { cl_bind(fd, $0, $1) }
        if bound != 0 || CLinux.listen(fd, backlog) != 0 {
            let code = cl_errno()
            _ = close(fd)
            throw SocketError(operation: "bind \(path)", code: code)
        }
        if mode != 0 { chmod(path, mode) }
        return fd
    }

    /// Starts a non-blocking connect.
    static func connect(_ address: SocketAddress, from source: String?) throws(SocketError) -> Int32 {
        let fd = cl_socket_stream(address.family)
        guard fd >= 0 else { throw SocketError(operation: "socket", code: cl_errno()) }
        if address.family != AF_UNIX { setNoDelay(fd) }
        if let source, let local = SocketAddress.numeric(source, 0), local.family == address.family {
            _ = local.withPointer { cl_bind(fd, $0, $1) }
        }
        let result = address.withPointer { cl_connect(fd, $0, $1) }
        if result != 0, cl_errno() != EINPROGRESS {
            let code = cl_errno()
            _ = close(fd)
            throw SocketError(operation: "connect", code: code)
        }
        return fd
    }

    static func pendingError(_ fd: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : cl_errno()
    }
}

/// A socket address of any family, held by value.
public struct SocketAddress: Sendable {
    private var storage: sockaddr_storage
    private var length: socklen_t
    public var family: Int32 { Int32(storage.ss_family) }

    private init() {
        storage = sockaddr_storage()
        length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// An address from its numeric form; `*` is every IPv4 address; nil when it is a name.
    static func numeric(_ host: String, _ port: UInt16) -> SocketAddress? {
        var result = SocketAddress()
        var v4 = sockaddr_in()
        if inet_pton(AF_INET, host == "*" ? "0.0.0.0" : host, &v4.sin_addr) == 1 {
            v4.sin_family = sa_family_t(AF_INET)
            v4.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &result.storage) { $0.storeBytes(of: v4, as: sockaddr_in.self) }
            result.length = socklen_t(MemoryLayout<sockaddr_in>.size)
            return result
        }
        var v6 = sockaddr_in6()
        if inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 {
            v6.sin6_family = sa_family_t(AF_INET6)
            v6.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &result.storage) { $0.storeBytes(of: v6, as: sockaddr_in6.self) }
            result.length = socklen_t(MemoryLayout<sockaddr_in6>.size)
            return result
        }
        return nil
    }

    static func unix(_ path: String) -> SocketAddress? {
        var result = SocketAddress()
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        withUnsafeMutableBytes(of: &result.storage) { $0.storeBytes(of: address, as: sockaddr_un.self) }
        result.length = socklen_t(MemoryLayout<sockaddr_un>.size)
        return result
    }

    /// Resolves a host name; blocks, so it runs on a worker thread.
    public static func resolve(_ host: String, _ port: UInt16) -> Result<[SocketAddress], ResolutionFailure> {
        if let address = numeric(host, port) { return .success([address]) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(truncatingIfNeeded: SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard code == 0 else {
            return .failure(ResolutionFailure(text: "\(host): \(String(cString: gai_strerror(code)))"))
        }
        var found: [SocketAddress] = []
        var next = list
        while let item = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(
                item.pointee.ai_addr, item.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
                == 0,
                let address = numeric(
                    String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), port)
            {
                found.append(address)
            }
            next = item.pointee.ai_next
        }
        return found.isEmpty ? .failure(ResolutionFailure(text: "\(host): no usable address")) : .success(found)
    }

    /// The numeric host, without port.
    public var hostText: String { SocketAddress.host(text) }

    var text: String {
        switch family {
        case AF_INET:
            let v4 = withUnsafeBytes(of: storage) { $0.loadUnaligned(as: sockaddr_in.self) }
            var address = v4.sin_addr
            return "\(SocketAddress.print(AF_INET, &address)):\(UInt16(bigEndian: v4.sin_port))"
        case AF_INET6:
            let v6 = withUnsafeBytes(of: storage) { $0.loadUnaligned(as: sockaddr_in6.self) }
            var address = v6.sin6_addr
            return "[\(SocketAddress.print(AF_INET6, &address))]:\(UInt16(bigEndian: v6.sin6_port))"
        case AF_UNIX:
            let path = withUnsafeBytes(of: storage) { bytes in
                String(decoding: bytes.dropFirst(2).prefix { $0 != 0 }, as: UTF8.self)
            }
            return "\(path.isEmpty ? "/unixsocket" : path):0"
        default: return "?:0"
        }
    }

    private static func print(_ family: Int32, _ address: UnsafeRawPointer) -> String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(family, address, &text, socklen_t(text.count)) != nil else { return "?" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func remote(of fd: Int32) -> String { read(fd, cl_getpeername) }
    static func local(of fd: Int32) -> String { read(fd, cl_getsockname) }

    private static func read(
        _ fd: Int32, _ call: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32
    ) -> String {
        var address = SocketAddress()
        let result = withUnsafeMutablePointer(to: &address.storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(fd, $0, &address.length) }
        }
        return result == 0 ? address.text : "?:0"
    }

    /// `host` of `host:port` and `[host]:port`.
    public static func host(_ text: String) -> String {
        guard let colon = text.lastIndex(of: ":") else { return text }
        let host = text[..<colon]
        return host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : String(host)
    }
}

public struct ResolutionFailure: Error, Sendable {
    public let text: String
}
