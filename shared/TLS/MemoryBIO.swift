// OpenSSL's view of a connection: a BIO that takes bytes from where the reactor received them and puts bytes where the
// reactor sends them from. No socket, and no copy besides OpenSSL's own.
import ByteStorage
import COpenSSL
import Glibc

enum MemoryBIO {
    /// The one BIO method, made at first use and never freed.
    private struct Method: @unchecked Sendable {
        // @unchecked Sendable: a constant table of functions.
        let pointer: OpaquePointer
    }

    private static let method: Method = {
        let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = BIO_meth_new(type, "reactor buffers") else { outOfMemory(256) }
        BIO_meth_set_create(method) { bio in
            BIO_set_init(bio, 1)
            return 1
        }
        BIO_meth_set_read(method) { bio, target, count in
            guard let state = MemoryBIO.session(bio)?.state, let target, count > 0 else { return -1 }
            co_bio_clear_retry(bio)
            if let stash = state.pointee.stash, !stash.isEmpty {
                let taken = min(stash.count, Int(count))
                memcpy(target, stash.readable, taken)
                stash.consume(taken)
                return Int32(truncatingIfNeeded: taken)
            }
            let taken = min(state.pointee.inputCount, Int(count))
            if taken == 0 {
                co_bio_retry_read(bio)
                return -1
            }
            memcpy(target, state.pointee.input, taken)
            state.pointee.input += taken
            state.pointee.inputCount &-= taken
            return Int32(truncatingIfNeeded: taken)
        }
        BIO_meth_set_write(method) { bio, bytes, count in
            guard let state = MemoryBIO.session(bio)?.state, let bytes, count > 0 else { return -1 }
            co_bio_clear_retry(bio)
            let output = state.pointee.output ?? TLSSession(state: state).deferredOutput()
            output.append(UnsafeRawPointer(bytes), Int(count))
            return count
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return Method(pointer: method)
    }()

    static func make(_ session: TLSSession) -> OpaquePointer {
        guard let bio = BIO_new(method.pointer) else { outOfMemory(128) }
        BIO_set_data(bio, session.state)
        return bio
    }

    @inline(__always) static func session(_ bio: OpaquePointer?) -> TLSSession? {
        guard let data = BIO_get_data(bio) else { return nil }
        return TLSSession(state: data.assumingMemoryBound(to: TLSSession.State.self))
    }
}
