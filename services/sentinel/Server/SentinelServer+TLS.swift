import Reactor
import TLS
import Telemetry

extension SentinelServer {
    func prepareTLS() throws(StartError) {
        tls = TLSReloader(settings: settings.tls)
        do throws(TLSError) {
            let server = try TLSContext(settings: settings.tls, role: .server)
            let client = try TLSContext(settings: settings.tls, role: .client)
            useTLS(server: server, client: client)
        } catch {
            throw StartError("TLS cannot be set up: \(error)")
        }
    }

    private func useTLS(server: TLSContext, client: TLSContext) {
        tlsServerContext = server
        tlsClientContext = client
        for warning in server.warnings(now: reactor.now / 1000) { log.event(.warning, "tls-warning", warning) }
    }

    /// Once a second: new certificates, keys and CAs are used without a restart; open connections keep theirs.
    func pollTLSFiles() {
        guard var reloader = tls else { return }
        let outcome = reloader.poll()
        tls = reloader
        switch outcome {
        case .unchanged: break
        case .reloaded(let server, let client):
            for listener in listeners where listener.state.pointee.tag == ConnectionTag.client && isTLS(listener) {
                reactor.setTLSContext(listener, server)
            }
            useTLS(server: server, client: client)
            log.event(.notice, "tls-reloaded", "TLS certificates reloaded")
        case .failed(let error):
            log.event(
                .warning, "tls-reload-failed", "The changed TLS files cannot be used, the old ones stay: \(error)")
        }
    }

    private func isTLS(_ listener: Connection) -> Bool { listener.localAddress.hasSuffix(":\(settings.tlsPort)") }
}
