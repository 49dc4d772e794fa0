// One connection's side of the forward protocol, without the connection: bytes in, bytes and events out.
//
// With a shared key the server speaks first (HELO), the client answers with digests (PING), the server with its own (PONG); then
// chunks go out and acks come back. Without one, chunks may go at once. Salt and nonce are random, so replays are of no use.
// The salt is hexadecimal text, sent as str: Fluent Bit refuses a bin. The nonce is raw bytes, in a str or a bin, whichever
// the server chose.
//
// - Spec: Fluentd Forward Protocol v1, "Handshake messages" and "Response".
import ByteStorage
import TLS

public struct ForwardSession: Sendable {
    public struct Credentials: Sendable, Equatable {
        /// Nil: no handshake.
        public var sharedKey: [UInt8]?
        public var user = ""
        public var password: [UInt8] = []
        /// This side's name. Fluentd refuses its own.
        public var hostname = "dssm"

        public init() {}
    }

    public enum Phase: Equatable, Sendable {
        case awaitingHelo
        case awaitingPong
        case ready
        case failed
    }

    public enum Event: Equatable, Sendable {
        /// Chunks may be sent.
        case ready
        case acknowledged(String)
        /// The connection is of no more use.
        case failed(String)
    }

    /// What a server may send without a message being complete.
    public static let longestMessage = 64 << 10

    private let credentials: Credentials
    private let salt: String
    private var nonce: [UInt8] = []
    public private(set) var phase: Phase
    /// Whether the server wants to be sent more than one message.
    public private(set) var isKeptAlive = true

    /// - Parameter salt: random text of 16 bytes or more, for this session only.
    public init(credentials: Credentials, salt: String) {
        self.credentials = credentials
        self.salt = salt
        phase = credentials.sharedKey == nil ? .ready : .awaitingHelo
    }

    /// Takes what was received from the front of `input`; answers go to `output`.
    ///
    /// - Returns: the bytes taken. The rest must come again, with more behind it.
    public mutating func receive(_ input: ByteView, output: OutputBuffer, _ handle: (Event) -> Void) -> Int {
        var consumed = 0
        while consumed < input.count, phase != .failed {
            do throws(MessagePackError) {
                guard
                    let (value, length) = try MessagePackReader.read(
                        input.slice(consumed, input.count), longest: Self.longestMessage)
                else {
                    if input.count - consumed > Self.longestMessage {
                        fail("it sent a message of more than \(Self.longestMessage) bytes", handle)
                    }
                    return consumed
                }
                consumed += length
                take(value, output, handle)
            } catch {
                fail("it sent what is no MessagePack (\(error))", handle)
            }
        }
        return consumed
    }

    private mutating func fail(_ reason: String, _ handle: (Event) -> Void) {
        phase = .failed
        handle(.failed(reason))
    }

    private mutating func take(_ value: MessagePackValue, _ output: OutputBuffer, _ handle: (Event) -> Void) {
        switch phase {
        case .awaitingHelo: takeHelo(value, output, handle)
        case .awaitingPong: takePong(value, handle)
        case .ready: takeResponse(value, handle)
        case .failed: break
        }
    }

    private mutating func takeHelo(_ value: MessagePackValue, _ output: OutputBuffer, _ handle: (Event) -> Void) {
        guard case .array(let items) = value, items.count == 2, items[0].text == "HELO", case .map = items[1] else {
            return fail("it sent something else than HELO", handle)
        }
        nonce = items[1]["nonce"]?.bytes ?? []
        let authenticationSalt = items[1]["auth"]?.bytes ?? []
        isKeptAlive = items[1]["keepalive"]?.flag ?? true
        let keyDigest = digest(Array(salt.utf8), credentials.hostname, nonce, credentials.sharedKey ?? [])
        let passwordDigest =
            authenticationSalt.isEmpty
            ? "" : SHA512.hexadecimal(authenticationSalt + Array(credentials.user.utf8) + credentials.password)
        guard let keyDigest, let passwordDigest else { return fail("SHA-512 is not available", handle) }
        if !authenticationSalt.isEmpty, credentials.user.isEmpty {
            return fail("it asks for a user and a password, and none are set", handle)
        }
        output.packArrayHeader(6)
        output.packString("PING")
        output.packString(credentials.hostname)
        output.packString(salt)
        output.packString(keyDigest)
        output.packString(authenticationSalt.isEmpty ? "" : credentials.user)
        output.packString(passwordDigest)
        phase = .awaitingPong
    }

    private func digest(_ salt: [UInt8], _ hostname: String, _ nonce: [UInt8], _ key: [UInt8]) -> String? {
        SHA512.hexadecimal(salt + Array(hostname.utf8) + nonce + key)
    }

    private mutating func takePong(_ value: MessagePackValue, _ handle: (Event) -> Void) {
        guard case .array(let items) = value, items.count == 5, items[0].text == "PONG", let isGood = items[1].flag,
            let hostname = items[3].text
        else { return fail("it sent something else than PONG", handle) }
        guard isGood else {
            let reason = items[2].text ?? ""
            return fail("it refused the shared key, user or password: \(reason.prefix(200))", handle)
        }
        let expected = digest(Array(salt.utf8), hostname, nonce, credentials.sharedKey ?? [])
        guard let given = items[4].bytes, let expected, Self.isSame(given, Array(expected.utf8)) else {
            return fail("it does not know the shared key itself", handle)
        }
        phase = .ready
        handle(.ready)
    }

    /// In a time that does not depend on where they differ.
    private static func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private mutating func takeResponse(_ value: MessagePackValue, _ handle: (Event) -> Void) {
        if let chunk = value["ack"]?.text { return handle(.acknowledged(chunk)) }
        if case .array(let items) = value, items.first?.text == "HELO" {
            return fail("it asks for a shared key, and none is set", handle)
        }
        // Other maps may come from later versions of the protocol.
        guard case .map = value else { return fail("it sent neither an ack nor a map", handle) }
    }
}
