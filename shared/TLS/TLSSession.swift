// One TLS connection as a transformer of bytes. The reactor does all socket I/O and hands over what it received and
// where replies go; nothing here blocks.
//
// A session is a trivial handle to state on the heap (see OutputBuffer for why). Invariants:
// - It is used by one thread at a time. It may move to a worker thread for its handshake and back.
// - Input that OpenSSL did not take in a call is kept in `stash` and taken first by the next call, so that bytes that
//   follow the handshake in the same segment are not lost: call `read` with count 0 right after the handshake.
// - Output that OpenSSL makes during `read` (an alert, an answer of the protocol) waits in `deferred` and goes out with
//   the next `write` or `shutdown`. It is bounded: a peer that provokes more than `maximumDeferredBytes` is refused.
// - OpenSSL's error queue is empty when a call returns.
import ByteStorage
import COpenSSL
import Glibc

public struct TLSSession {
    public enum HandshakeResult: Equatable, Sendable {
        case needMore
        case done
        /// The alert for the peer, if any, is in the output: send it, then close.
        case failed(reason: String)
    }

    public enum ReadResult: Equatable, Sendable {
        case ok
        /// The peer said that nothing follows. What it sent before is in the plaintext.
        case closed
        case failed(String)
    }

    enum Phase { case handshaking, established, closed, failed }

    struct State {
        var ssl: OpaquePointer
        let context: TLSContext
        var input: UnsafeRawPointer
        var inputCount = 0
        /// Where OpenSSL's output goes during a call; nil: to `deferred`.
        var output: OutputBuffer?
        var stash: OutputBuffer?
        var deferred: OutputBuffer?
        var phase = Phase.handshaking
        let isServer: Bool
        /// A client's idea of whom it talks to; nil: any name will do.
        let serverName: String?
        var sawFirstByte = false
        /// Whether the last `read` took all there was.
        var isDrained = true
        var refusedSubject: String?
        var failure = ""
    }

    let state: UnsafeMutablePointer<State>

    static let maximumDeferredBytes = 64 << 10

    init(state: UnsafeMutablePointer<State>) { self.state = state }

    /// Makes a session, which keeps `context` alive. The caller owns it and ends it with `destroy`.
    ///
    /// - Parameter serverName: for a client, the host name or address that it connects to: sent as SNI if it is a name,
    ///   and compared with the certificate's alternative names if there are any.
    public static func create(context: TLSContext, role: TLSSettings.Role, serverName: String? = nil) -> TLSSession {
        guard let ssl = SSL_new(context.context) else { outOfMemory(4096) }
        let name = serverName.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
        let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
        state.initialize(
            to: State(
                ssl: ssl, context: context, input: emptyByteBase, isServer: role == .server,
                serverName: role == .client ? name : nil))
        let session = TLSSession(state: state)
        let bio = MemoryBIO.make(session)
        SSL_set_bio(ssl, bio, bio)
        if role == .server {
            SSL_set_accept_state(ssl)
        } else {
            SSL_set_connect_state(ssl)
            if let name, !name.isEmpty, name.utf8.count <= 255, !CertificateTemplate.isAddress(name) {
                _ = co_set_server_name(ssl, name)
            }
        }
        ErrorQueue.clear()
        return session
    }

    public func destroy() {
        SSL_free(state.pointee.ssl)
        ErrorQueue.clear()
        state.pointee.stash?.destroy()
        state.pointee.deferred?.destroy()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Goes on with the handshake. A client calls it first with no input.
    /// All input is consumed or kept; what is to be sent is appended to `output`, also on failure.
    public func handshake(input: UnsafeRawPointer, inputCount: Int, output: OutputBuffer) -> HandshakeResult {
        switch state.pointee.phase {
        case .handshaking: break
        case .established:
            keep(input, inputCount)
            noteRest()
            return .done
        case .closed, .failed: return .failed(reason: state.pointee.failure)
        }
        if state.pointee.isServer, !state.pointee.sawFirstByte, inputCount > 0 {
            state.pointee.sawFirstByte = true
            // Every TLS connection starts with a record of type handshake.
            if input.load(as: UInt8.self) != 0x16 {
                return .failed(reason: fail("http/plaintext request on a TLS port"))
            }
        } else if !state.pointee.sawFirstByte, inputCount > 0 {
            state.pointee.sawFirstByte = true
            let first = input.load(as: UInt8.self)
            if first != 0x16 && first != 0x15 { return .failed(reason: fail("the peer does not speak TLS")) }
        }
        begin(input, inputCount, output)
        let result = SSL_do_handshake(state.pointee.ssl)
        if result == 1 {
            state.pointee.phase = .established
            keep(state.pointee.input, state.pointee.inputCount)
            noteRest()
            end()
            return .done
        }
        let error = SSL_get_error(state.pointee.ssl, result)
        end()
        if error == SSL_ERROR_WANT_READ { return .needMore }
        return .failed(reason: fail(failureReason(error)))
    }

    /// Decrypts: appends all plaintext that `cipher` and earlier input yield to `plaintext`.
    ///
    /// Call it with count 0 right after the handshake. `limit` bounds `plaintext.count`: at it, the rest of the input
    /// is kept (`hasPendingInput`) and a later call with count 0 goes on.
    public func read(
        cipher: UnsafeRawPointer, count: Int, into plaintext: OutputBuffer, limit: Int = .max
    ) -> ReadResult {
        switch state.pointee.phase {
        case .established: break
        case .closed: return .closed
        case .handshaking: return .failed("application data before the end of the handshake")
        case .failed: return .failed(state.pointee.failure)
        }
        begin(cipher, count, nil)
        defer { end() }
        let ssl = state.pointee.ssl
        while plaintext.count < limit {
            let expected = state.pointee.inputCount &+ (state.pointee.stash?.count ?? 0) &+ Int(SSL_pending(ssl))
            let space = min(max(expected, 1024), 16384, limit &- plaintext.count)
            let result = SSL_read(ssl, plaintext.reserve(space), Int32(truncatingIfNeeded: space))
            if result > 0 {
                plaintext.commit(Int(result))
                if state.pointee.inputCount == 0 && (state.pointee.stash?.isEmpty ?? true) && SSL_has_pending(ssl) == 0
                {
                    state.pointee.isDrained = true
                    return .ok
                }
                continue
            }
            let error = SSL_get_error(ssl, result)
            if error == SSL_ERROR_WANT_READ {
                state.pointee.isDrained = true
                if (state.pointee.deferred?.count ?? 0) > Self.maximumDeferredBytes {
                    return .failed(fail("the peer keeps sending protocol messages"))
                }
                return .ok
            }
            state.pointee.inputCount = 0
            if error == SSL_ERROR_ZERO_RETURN {
                state.pointee.phase = .closed
                return .closed
            }
            return .failed(fail(failureReason(error)))
        }
        keep(state.pointee.input, state.pointee.inputCount)
        noteRest()
        return .ok
    }

    /// Encrypts `count` bytes and appends the records to `cipher`. False: the session is not established or has failed,
    /// and the connection can only be closed.
    public func write(plain: UnsafeRawPointer, count: Int, cipher: OutputBuffer) -> Bool {
        guard state.pointee.phase == .established else { return false }
        begin(emptyByteBase, 0, cipher)
        defer { end() }
        // Records hold 16 KiB and add at most 40 bytes: one growth of the buffer instead of many.
        _ = cipher.reserve(count &+ (count >> 14 &+ 1) &* 40)
        var position = 0
        while position < count {
            let piece = Int32(truncatingIfNeeded: min(count &- position, 1 << 30))
            let result = SSL_write(state.pointee.ssl, plain + position, piece)
            if result <= 0 {
                _ = fail(failureReason(SSL_get_error(state.pointee.ssl, result)))
                return false
            }
            position &+= Int(result)
        }
        return true
    }

    /// Appends what is still to be sent (an alert, the notice of the end) to `output`. The session only takes `destroy`
    /// afterwards.
    public func shutdown(output: OutputBuffer) {
        begin(emptyByteBase, 0, output)
        if state.pointee.phase == .established || state.pointee.phase == .closed { _ = SSL_shutdown(state.pointee.ssl) }
        ErrorQueue.clear()
        end()
        if state.pointee.phase != .failed {
            state.pointee.phase = .failed
            state.pointee.failure = "the session was shut down"
        }
    }
}

extension TLSSession {
    /// Whether input waits inside, after a handshake or because `read` stopped at its limit: call `read` with count 0.
    public var hasPendingInput: Bool { !state.pointee.isDrained }

    public var isEstablished: Bool { state.pointee.phase == .established }
    public var context: TLSContext { state.pointee.context }

    /// For example `TLSv1.3`.
    public var protocolVersion: String { String(cString: SSL_get_version(state.pointee.ssl)) }
    /// For example `TLS_AES_256_GCM_SHA384`, or empty before the handshake is done.
    public var cipherName: String {
        guard let cipher = SSL_get_current_cipher(state.pointee.ssl) else { return "" }
        return String(cString: SSL_CIPHER_get_name(cipher))
    }
    public var wasResumed: Bool { SSL_session_reused(state.pointee.ssl) == 1 }

    /// The certificate that the peer presented; nil if none. It is verified once the handshake is done.
    public var peerCertificate: CertificateSummary? {
        co_peer_certificate(state.pointee.ssl).map { CertificateSummary($0) }
    }

    /// SHA-256 of that certificate in lower-case hexadecimal; nil if there is none.
    public var peerFingerprint: String? {
        co_peer_certificate(state.pointee.ssl).map { Certificate.fingerprint($0) }
    }

    /// The buffer for output that has no place to go yet.
    func deferredOutput() -> OutputBuffer {
        if let deferred = state.pointee.deferred { return deferred }
        let buffer = OutputBuffer.create(capacity: 256)
        state.pointee.deferred = buffer
        return buffer
    }

    /// Sets the buffers of a call, and moves deferred output in front of everything else.
    @inline(__always)
    private func begin(_ input: UnsafeRawPointer, _ count: Int, _ output: OutputBuffer?) {
        state.pointee.input = input
        state.pointee.inputCount = count
        state.pointee.output = output
        if let output, let deferred = state.pointee.deferred, !deferred.isEmpty {
            output.append(deferred.view)
            deferred.removeAll()
        }
    }

    /// Forgets the caller's buffers: they are only lent for the call.
    @inline(__always)
    private func end() {
        state.pointee.input = emptyByteBase
        state.pointee.inputCount = 0
        state.pointee.output = nil
    }

    private func keep(_ input: UnsafeRawPointer, _ count: Int) {
        guard count > 0 else { return }
        let stash: OutputBuffer
        if let existing = state.pointee.stash {
            stash = existing
        } else {
            stash = OutputBuffer.create(capacity: count)
            state.pointee.stash = stash
        }
        stash.append(input, count)
    }

    private func noteRest() {
        let hasStash = (state.pointee.stash?.count ?? 0) > 0
        state.pointee.isDrained = !hasStash && SSL_has_pending(state.pointee.ssl) == 0
    }

    private func fail(_ reason: String) -> String {
        state.pointee.phase = .failed
        state.pointee.failure = reason
        ErrorQueue.clear()
        return reason
    }

    /// One line that says why OpenSSL gave up. Leaves the error queue empty.
    private func failureReason(_ error: Int32) -> String {
        defer { ErrorQueue.clear() }
        if error == SSL_ERROR_ZERO_RETURN { return "the peer closed the connection" }
        let code = ERR_peek_error()
        let reason = co_err_reason(code)
        guard co_err_library(code) == ERR_LIB_SSL else { return ErrorQueue.take(or: "connection closed") }
        if reason == SSL_R_CERTIFICATE_VERIFY_FAILED {
            let verdict = SSL_get_verify_result(state.pointee.ssl)
            let text = String(cString: X509_verify_cert_error_string(verdict))
            guard let subject = state.pointee.refusedSubject else { return text }
            return "\(text) (\(subject))"
        }
        if reason == SSL_R_HTTP_REQUEST { return "http/plaintext request on a TLS port" }
        // Reasons from 1000 on are alerts of the peer.
        if reason > SSL_AD_REASON_OFFSET, let alert = SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET) {
            return "the peer refused: \(String(cString: alert))"
        }
        return ErrorQueue.take(or: "protocol error")
    }
}

// @unchecked Sendable: a session is handed from the loop to a worker and back, never used by two threads at once; the
// hand-over goes through a queue, which orders the memory accesses.
extension TLSSession: @unchecked Sendable {}
