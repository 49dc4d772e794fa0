/// Where a sentinel or a db is reached.
public struct PeerAddress: Equatable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: Int

    public init(_ host: String, _ port: Int) {
        self.host = host
        self.port = port
    }

    public var description: String { "\(host):\(port)" }

    /// The same by name: DNS names know no case and may end in a dot.
    public static func == (left: PeerAddress, right: PeerAddress) -> Bool {
        left.port == right.port && canonical(left.host) == canonical(right.host)
    }

    private static func canonical(_ host: String) -> String {
        (host.hasSuffix(".") ? String(host.dropLast()) : host).lowercased()
    }
}
