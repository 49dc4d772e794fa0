// Scripts of operators, as processes of their own: the loop never waits for one.

import CLinux
import Glibc
import Reactor
import SentinelCore

extension SentinelServer {
    func runScript(_ id: UInt64, _ words: [String], _ limit: Milliseconds) {
        scriptQueue.submit { [reactor, box = WeakServer(self)] in
            let code = Script.run(words, limitMilliseconds: limit)
            reactor.post { box.server?.handle(.scriptEnded(id, code: code)) }
        }
    }
}

enum Script {
    private static let pollMicroseconds: UInt32 = 10_000

    /// Runs a program to its end.
    ///
    /// - Returns: its exit code; nil when it was ended by a signal, by us after the limit, or could not be started.
    static func run(_ words: [String], limitMilliseconds: Int64) -> Int32? {
        guard let child = spawn(words) else { return nil }
        let deadline = Reactor.monotonicMilliseconds() + limitMilliseconds
        var status: Int32 = 0
        var isKilled = false
        while true {
            let result = waitpid(child, &status, WNOHANG)
            if result == child { break }
            if result < 0, errno != EINTR { return nil }
            if !isKilled, Reactor.monotonicMilliseconds() >= deadline {
                // With all that it has started: it leads a group of its own.
                kill(-child, SIGKILL)
                isKilled = true
            }
            usleep(pollMicroseconds)
        }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : nil
    }

    /// The thread has all signals blocked and the process ignores SIGPIPE: the script gets neither, and nothing on its input.
    private static func spawn(_ words: [String]) -> pid_t? {
        var attributes = posix_spawnattr_t()
        guard posix_spawnattr_init(&attributes) == 0 else { return nil }
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        var files = posix_spawn_file_actions_t()
        guard posix_spawn_file_actions_init(&files) == 0 else { return nil }
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        return posix_spawn(&child, words[0], &files, &attributes, &arguments, environ) == 0 ? child : nil
    }
}
