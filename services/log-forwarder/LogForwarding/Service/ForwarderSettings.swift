import TLS
import Telemetry

/// All settings of the service. The README says what each means.
public struct ForwarderSettings: Sendable {
    public enum Source: Sendable {
        case files(FollowSettings)
        case standardInput
        case unixSocket(String)
    }

    public struct Input: Sendable {
        public var source: Source
        public var tag: String
        public var labels: [(name: String, value: String)] = []
        public var maximumLineBytes = 64 << 10
    }

    public struct Server: Sendable {
        public var host: String
        public var port: UInt16
        public var weight = 60
        public var isStandby = false
        public var credentials = ForwardSession.Credentials()

        public var name: String { "\(host):\(port)" }
    }

    public struct TLSOptions: Sendable {
        public var settings = TLSSettings()
        /// In place of each server's host.
        public var serverName = ""
        public var verifiesName = true
    }

    public var logLevel = LogLevel.notice
    public var logFormat = LogFormat.text
    public var logFile = ""
    public var metricsHost = "0.0.0.0"
    /// 0: no endpoint.
    public var metricsPort = 0
    public var stateDirectory = "/data"
    public var inputs: [Input] = []

    public var scanMilliseconds: Int64 = 1000
    public var pollMilliseconds: Int64 = 200
    public var rotateWaitMilliseconds: Int64 = 5000

    public var bufferMaximumBytes = 256 << 20
    public var bufferSegmentBytes = 4 << 20
    public var chunkBytes = 256 << 10
    public var flushMilliseconds: Int64 = 1000

    public var mode = MessageMode.packed
    public var servers: [Server] = []
    public var tls: TLSOptions?
    public var connectMilliseconds: Int64 = 5000
    public var handshakeMilliseconds: Int64 = 10_000
    public var ackMilliseconds: Int64 = 30_000
    /// Chunks that may be without their ack on one connection.
    public var window = 4
    public var retry = ServerPool.RetryDelay()
    /// Seconds between TCP's probes of a silent connection; 0: none.
    public var heartbeatSeconds = 10
    /// A connection is replaced after this; 0: never.
    public var keepAliveSeconds = 0
    public var shutdownMilliseconds: Int64 = 5000

    public init() {}
}
