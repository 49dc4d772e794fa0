// TLS contexts: made at start, renewed by CONFIG SET and when the files change. Open connections keep the context that they
// began with; new ones get the new one. A pair that cannot be used is refused and the old one stays.
import Reactor
import TLS

extension Server {
    func prepareTLS() throws(StartError) {
        let reloader = TLSReloader(settings: settings.tls)
        do throws(TLSError) {
            tlsServerContext = try TLSContext(settings: settings.tls, role: .server)
            tlsClientContext = try TLSContext(settings: settings.tls, role: .client)
        } catch {
            throw StartError("TLS: \(error.message)")
        }
        tls = reloader
        for warning in tlsServerContext?.warnings(now: startedAt / 1000) ?? [] {
            log.warning("tls-certificate", warning)
        }
    }

    /// Looks at the certificate files, once a second.
    func pollTLSFiles() {
        guard tls != nil, reactor.monotonicNow - lastTLSPoll >= 1000 else { return }
        lastTLSPoll = reactor.monotonicNow
        guard let outcome = tls?.poll() else { return }
        take(outcome)
    }

    private func take(_ outcome: TLSReloader.Outcome) {
        switch outcome {
        case .unchanged: break
        case .reloaded(let server, let client):
            tlsServerContext = server
            tlsClientContext = client
            for listener in listeners where listener.hasTLSContext { reactor.setTLSContext(listener, server) }
            log.notice(
                "tls-reloaded",
                "TLS certificates reloaded: \(server.certificate.map { "\($0.subject), serial \($0.serial)" } ?? "none")"
            )
        case .failed(let error):
            log.warning("tls-reload-failed", "TLS certificates not reloaded, the old ones stay: \(error.message)")
        }
    }

    /// Applies changed TLS settings. Returns the reason when they cannot be used.
    func applyTLS(_ changed: ServerSettings) -> String? {
        guard changed.tlsPort > 0 || changed.tlsReplication else { return nil }
        if tls == nil {
            tls = TLSReloader(settings: changed.tls)
        }
        guard let outcome = tls?.apply(changed.tls) else { return nil }
        if case .failed(let error) = outcome {
            log.warning("tls-reload-failed", "TLS settings refused, the old ones stay: \(error.message)")
            return "Unable to update TLS configuration. \(error.message)"
        }
        take(outcome)
        return nil
    }
}
