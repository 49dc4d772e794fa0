import CLinux
import Synchronization

/// Threads for what would stall a loop: handshakes, name resolution, freeing, writing files.
///
/// Jobs run in the order of submission, as many at a time as there are threads.
public final class WorkQueue: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var head = 0
        var isStopping = false
    }

    private let state = Mutex(State())
    private let wakeUp: EventCounter
    public let name: String

    public init(name: String, threads: Int = 1) {
        self.name = name
        wakeUp = EventCounter(isSemaphore: true)
        for _ in 0..<threads {
            Threads.start(name: name) { [self] in run() }
        }
    }

    public func submit(_ job: @escaping @Sendable () -> Void) {
        state.withLock { $0.jobs.append(job) }
        wakeUp.signal()
    }

    /// Number of jobs that have not begun.
    public var backlog: Int { state.withLock { $0.jobs.count - $0.head } }

    private func run() {
        while true {
            wakeUp.wait()
            let job: (@Sendable () -> Void)? = state.withLock { state in
                guard state.head < state.jobs.count else { return nil }
                let job = state.jobs[state.head]
                state.head += 1
                // Jobs that are done go in bulk, also while new ones never stop coming.
                if state.head == state.jobs.count || state.head >= 256 && state.head * 2 >= state.jobs.count {
                    state.jobs.removeFirst(state.head)
                    state.head = 0
                }
                return job
            }
            job?()
        }
    }
}

/// An eventfd: wakes a thread or an epoll loop.
public final class EventCounter: Sendable {
    public let fd: Int32

    public init(isSemaphore: Bool = false) {
        let flags =
            isSemaphore
            ? Int32(EFD_CLOEXEC) | Int32(EFD_SEMAPHORE)
            : Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK)
        fd = eventfd(0, flags)
        precondition(fd >= 0, "eventfd failed: no file descriptors")
    }

    deinit { _ = close(fd) }

    public func signal() {
        var one: UInt64 = 1
        // A full counter means that the other side has been woken already.
        _ = write(fd, &one, 8)
    }

    public func wait() {
        var value: UInt64 = 0
        while read(fd, &value, 8) < 0, cl_errno() == EINTR {}
    }

    public func drain() {
        var value: UInt64 = 0
        _ = read(fd, &value, 8)
    }
}

public enum Threads {
    private final class Start {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    /// Starts a detached thread that takes no signals.
    public static func start(name: String, _ body: @escaping @Sendable () -> Void) {
        var all = sigset_t()
        var previous = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Start(body)).toOpaque()
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, argument)
        precondition(result == 0, "cannot start a thread: \(String(cString: strerror(result)))")
        pthread_setname_np(thread, String(name.prefix(15)))
        pthread_detach(thread)
    }
}
