import ByteStorage
import CLinux
import Testing

@testable import LogForwarding

final class Collector: LineReceiver {
    var lines: [String] = []
    var isPaused = false
    var pauseAfter = Int.max

    func take(_ line: ByteView, input: Int) {
        lines.append(line.string)
        if lines.count >= pauseAfter { isPaused = true }
    }
}

@Suite struct FollowerTests {
    let folder = TemporaryFolder()
    let collector = Collector()

    func follower(
        _ pattern: String = "*.log", positions: [FilePosition] = [], _ change: (inout FollowSettings) -> Void = { _ in }
    ) -> FileFollower {
        var settings = FollowSettings(patterns: [folder.path + "/" + pattern])
        change(&settings)
        let follower = FileFollower(inputs: [(0, settings)], positions: positions)
        follower.rotateWaitMilliseconds = 100
        return follower
    }

    /// Scans and reads until there is nothing more, and gives what came.
    func turn(_ follower: FileFollower, now: Int64 = 0) -> [String] {
        follower.scan(now: now, wallSeconds: 1000, receiver: collector)
        while follower.read(budget: 1 << 20, now: now, receiver: collector) {}
        defer { collector.lines = [] }
        return collector.lines
    }

    @Test("What is written is read once, whole lines only")
    func growing() {
        let follower = follower()
        #expect(turn(follower) == [])
        folder.write("a.log", "one\ntw")
        #expect(turn(follower) == ["one"])
        #expect(follower.positions(wallSeconds: 1)[0].offset == 4)
        folder.write("a.log", "o\n\nthree\n", append: true)
        #expect(turn(follower) == ["two", "three"])
        #expect(turn(follower) == [])
    }

    @Test("After a rename the old file is read to its end and the new one from its beginning")
    func rename() {
        let follower = follower()
        folder.write("a.log", "one\n")
        #expect(turn(follower) == ["one"])
        folder.write("a.log", "two\nunfinished", append: true)
        move(folder.path + "/a.log", folder.path + "/a.log.1")
        folder.write("a.log", "three\n")
        #expect(turn(follower).sorted() == ["three", "two"])
        // A writer that has not reopened yet.
        folder.write("a.log.1", " line\n", append: true)
        #expect(turn(follower, now: 50) == ["unfinished line"])
        #expect(turn(follower, now: 120) == [])
        #expect(turn(follower, now: 160) == [])
        #expect(follower.fileCount == 1)
    }

    @Test("An unfinished last line of a rotated file becomes a record when the file is given up")
    func unfinishedAtRotation() {
        let follower = follower()
        folder.write("a.log", "one\nlast words")
        #expect(turn(follower) == ["one"])
        unlink(folder.path + "/a.log")
        #expect(turn(follower, now: 10) == [])
        #expect(turn(follower, now: 500) == ["last words"])
        #expect(follower.fileCount == 0)
    }

    @Test("A rotated file that still matches the pattern is not read twice")
    func patternMatchesRotated() {
        let follower = follower("a.log*")
        folder.write("a.log", "one\n")
        #expect(turn(follower) == ["one"])
        move(folder.path + "/a.log", folder.path + "/a.log.1")
        folder.write("a.log", "two\n")
        #expect(turn(follower) == ["two"])
        move(folder.path + "/a.log.1", folder.path + "/a.log.2")
        move(folder.path + "/a.log", folder.path + "/a.log.1")
        folder.write("a.log", "three\n")
        #expect(turn(follower, now: 1000) == ["three"])
        #expect(follower.fileCount == 3)
    }

    @Test("A truncated file is read from its beginning, also when it has outgrown the old size")
    func copyTruncate() {
        let follower = follower()
        folder.write("a.log", "one\ntwo\n")
        #expect(turn(follower) == ["one", "two"])
        folder.write("a.log", "x\n")
        #expect(turn(follower) == ["x"])
        folder.write("a.log", "another beginning and longer than before\n")
        #expect(turn(follower) == ["another beginning and longer than before"])
    }

    @Test("A file that is deleted and made again is read from its beginning")
    func recreate() {
        let follower = follower()
        folder.write("a.log", "one\n")
        #expect(turn(follower) == ["one"])
        unlink(folder.path + "/a.log")
        folder.write("a.log", "two\n")
        #expect(turn(follower) == ["two"])
    }

    @Test("With its positions, a new process goes on where the old one was, also under another name")
    func restart() {
        var follower = follower()
        folder.write("a.log", "one\ntwo\nthr")
        #expect(turn(follower) == ["one", "two"])
        let positions = follower.positions(wallSeconds: 1000)
        move(folder.path + "/a.log", folder.path + "/b.log")
        folder.write("b.log", "ee\n", append: true)
        folder.write("a.log", "new\n")
        follower = self.follower(positions: positions)
        #expect(turn(follower).sorted() == ["new", "three"])
    }

    @Test("A position of another file that got the same inode number is not used")
    func reusedInode() {
        folder.write("a.log", "one\ntwo\n")
        var follower = follower()
        #expect(turn(follower) == ["one", "two"])
        let positions = follower.positions(wallSeconds: 1000)
        folder.write("a.log", "ONE\nTWO\nTHREE\n")  // The same inode, another content.
        follower = self.follower(positions: positions)
        #expect(turn(follower) == ["ONE", "TWO", "THREE"])
    }

    @Test("start: end skips what was there at the start, not what comes later")
    func startAtEnd() {
        folder.write("a.log", "old\n")
        let follower = follower { $0.startsAtBeginning = false }
        #expect(turn(follower) == [])
        folder.write("a.log", "new\n", append: true)
        folder.write("b.log", "fresh\n")
        #expect(turn(follower).sorted() == ["fresh", "new"])
    }

    @Test("Excluded names are not followed")
    func excluded() {
        folder.write("a.log", "a\n")
        folder.write("b.log", "b\n")
        let follower = follower { $0.excluded = ["*/b.*"] }
        #expect(turn(follower) == ["a"])
    }

    @Test("While the receiver is paused, positions stay, and nothing is lost")
    func paused() {
        let follower = follower()
        let all = (0..<50_000).map { "line \($0)" }
        folder.write("a.log", all.joined(separator: "\n") + "\n")
        collector.pauseAfter = 10
        var lines = turn(follower)
        #expect(lines.count < all.count)
        #expect(turn(follower) == [])
        let offset = follower.positions(wallSeconds: 1)[0].offset
        #expect(offset == lines.reduce(0) { $0 + $1.utf8.count + 1 })
        collector.isPaused = false
        collector.pauseAfter = .max
        lines += turn(follower)
        #expect(lines == all)
    }

    @Test("The position of a multi-line record is where the record begins")
    func multilinePosition() {
        let follower = follower {
            $0.multilineStart = "^[0-9]"
            $0.multilineLimits.flushMilliseconds = 100
        }
        folder.write("a.log", "1 a\n b\n2 c\n")
        #expect(turn(follower) == ["1 a\n b"])
        #expect(follower.positions(wallSeconds: 1)[0].offset == 7)
        #expect(turn(follower, now: 50) == [])
        #expect(turn(follower, now: 150) == ["2 c"])
        #expect(follower.positions(wallSeconds: 1)[0].offset == 11)
    }

    @Test("Positions survive the way over the disk, and a file with any byte changed or missing is not believed")
    func positionFile() throws {
        let positions = [
            FilePosition(
                device: 1, inode: .max, offset: 1 << 40, fingerprint: Fingerprint(length: 256, checksum: .max),
                lastSeen: 5, path: "/var/log/a b%ö.log"),
            FilePosition(device: 0, inode: 2, offset: 0, fingerprint: Fingerprint(), lastSeen: 0, path: "/x"),
        ]
        try PositionFile.save(positions, to: folder.path + "/positions")
        #expect(PositionFile.load(folder.path + "/positions") == .positions(positions))
        #expect(PositionFile.load(folder.path + "/none") == .none)
        let bytes = folder.bytes("positions")
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1
            if case .damaged = PositionFile.decode(damaged) {} else { Issue.record("byte \(index)") }
            if case .damaged = PositionFile.decode(Array(bytes[..<index])) {} else { Issue.record("length \(index)") }
        }
        #expect(PositionFile.decode(PositionFile.encode([])) == .positions([]))
    }
}

private func move(_ from: String, _ to: String) { _ = rename(from, to) }
