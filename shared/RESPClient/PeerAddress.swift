/// Where a sentinel or a db is reached.
public struct PeerAddress: Equatable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: Int

    public init(_ host: String, _ port: Int) {
        self.host = host
        self.port = port
    }

    public var description: String { "\(host):\(port)" }

    /// - Parameter text: as `description` gives it; what stands before the last colon is the host.
    public init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":"), colon > text.startIndex,
            let port = Int(text[text.index(after: colon)...]), (1...65535).contains(port)
        else { return nil }
        self.init(String(text[..<colon]), port)
    }

    /// The same by name: DNS names know no case and may end in a dot.
    public static func == (left: PeerAddress, right: PeerAddress) -> Bool {
        left.port == right.port && canonical(left.host) == canonical(right.host)
    }

    private static func canonical(_ host: String) -> String {
        (host.hasSuffix(".") ? String(host.dropLast()) : host).lowercased()
    }
}
