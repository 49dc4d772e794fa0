import ByteStorage
import CLinux
import Testing

@testable import LogForwarding

/// A folder that goes with the test.
final class TemporaryFolder {
    let path: String

    init() {
        var template = Array("/tmp/dssm-forwarder-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }

    deinit {
        for name in ["", "/buffer"] { remove(path + name) }
        rmdir(path + "/buffer")
        rmdir(path)
    }

    private func remove(_ folder: String) {
        for file in FileFollower.paths(FollowSettings(patterns: [folder + "/*"])) { unlink(file) }
    }

    func write(_ name: String, _ text: String, append: Bool = false) {
        let fd = cl_open(path + "/" + name, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0o600)
        _ = SmallFile.writeAll(fd, Array(text.utf8))
        close(fd)
    }

    func bytes(_ name: String) -> [UInt8] {
        (try? SmallFile.read(path + "/" + name, limit: 1 << 24).get()) ?? []
    }
}

@Suite struct DiskBufferTests {
    let folder = TemporaryFolder()

    /// Tags are texts cut to their limit.
    func tag(_ text: String) -> String { String(("t." + text).prefix(100)) }

    func open(maximumBytes: Int = 1 << 20, segmentBytes: Int = 64 << 10) throws -> DiskBuffer {
        var settings = DiskBuffer.Settings(folder: folder.path + "/buffer")
        settings.maximumBytes = maximumBytes
        settings.segmentBytes = segmentBytes
        var random = TestRandom(7)
        return try DiskBuffer(settings) { random.next() }
    }

    func add(_ buffer: DiskBuffer, _ texts: [String]) throws {
        for text in texts {
            try Array(text.utf8).withView { try buffer.append(tag: tag(text), entries: $0, records: 1) }
        }
    }

    /// All blocks' texts; checks that tags belong to them.
    func drain(_ buffer: DiskBuffer, acknowledging: Bool = false) -> [String] {
        var texts: [String] = []
        let output = OutputBuffer.create()
        defer { output.destroy() }
        while let block = buffer.next() {
            guard let tag = buffer.load(block, into: output) else { continue }
            let text = output.view.string
            #expect(tag == self.tag(text))
            texts.append(text)
            if acknowledging { buffer.acknowledge(block) }
        }
        #expect(buffer.checkInvariants() == nil)
        return texts
    }

    /// Incompressible, so that sizes are what they look like.
    func noise(_ count: Int, _ seed: UInt64) -> String {
        var random = TestRandom(seed &* 77 &+ 1)
        return String((0..<count).map { _ in Character(UnicodeScalar(UInt8(33 + random.next() >> 33 % 90))) })
    }

    @Test("Blocks come back in order, also after a restart, and leave only when acknowledged")
    func order() throws {
        let texts = (0..<50).map { "block \($0) " + String(repeating: "x", count: $0 * 20) }
        var buffer = try open()
        try add(buffer, texts)
        #expect(drain(buffer) == texts)
        #expect(buffer.next() == nil)
        try add(buffer, ["late"])
        #expect(drain(buffer) == ["late"])
        buffer = try open()
        #expect(buffer.statistics.recoveredBlocks == 51)
        let first = try #require(buffer.next())
        buffer.acknowledge(first)
        #expect(buffer.liveRecords == 50)
        buffer = try open()
        #expect(drain(buffer, acknowledging: true) == texts.dropFirst() + ["late"])
        buffer = try open()
        #expect(buffer.next() == nil)
        #expect(buffer.totalBytes == 0)
    }

    @Test("A chunk keeps its identifier over a restart, so that a receiver can know a repetition")
    func identifiers() throws {
        var buffer = try open()
        try add(buffer, ["a", "b"])
        let before = [buffer.next()?.chunkID, buffer.next()?.chunkID]
        buffer = try open()
        #expect([buffer.next()?.chunkID, buffer.next()?.chunkID] == before)
        #expect(before[0] != before[1])
        #expect(before[0]?.count == 24)
    }

    @Test("Segments whose blocks are all acknowledged are removed")
    func segments() throws {
        let buffer = try open()
        try add(buffer, (0..<100).map { noise(4000, $0) })
        #expect(buffer.segmentCount > 4)
        _ = drain(buffer, acknowledging: true)
        #expect(buffer.segmentCount <= 1)
        #expect(buffer.totalBytes <= 64 << 10)
    }

    @Test("At the bound the oldest go, and are counted")
    func bound() throws {
        let buffer = try open(maximumBytes: 256 << 10)
        let texts = (0..<200).map { noise(4000, $0) }
        for text in texts {
            try add(buffer, [text])
            #expect(buffer.checkInvariants() == nil)
        }
        let kept = drain(buffer)
        #expect(kept == Array(texts.suffix(kept.count)))
        #expect(kept.count > 30)
        #expect(buffer.statistics.droppedRecords == UInt64(texts.count - kept.count))
        #expect(buffer.liveRecords == kept.count)
    }

    @Test("A block that was dropped while it was under way is gone, and its ack is of no account")
    func droppedUnderWay() throws {
        let buffer = try open(maximumBytes: 256 << 10)
        try add(buffer, ["old"])
        let block = try #require(buffer.next())
        try add(buffer, (0..<200).map { noise(4000, $0) })
        let output = OutputBuffer.create()
        defer { output.destroy() }
        #expect(buffer.load(block, into: output) == nil)
        buffer.acknowledge(block)
        #expect(buffer.checkInvariants() == nil)
    }

    @Test("A tail torn at any byte is cut, everything before it stays, and writing goes on behind it")
    func tornTails() throws {
        var buffer = try open()
        try add(buffer, ["first", "second"])
        let name = "buffer/" + Segment.name(1)
        let two = folder.bytes(name)
        try add(buffer, ["third"])
        let three = folder.bytes(name)
        for count in two.count..<three.count {
            folder.write(name, "")
            let fd = cl_open(folder.path + "/" + name, O_WRONLY, 0)
            #expect(SmallFile.writeAll(fd, Array(three[..<count])))
            close(fd)
            buffer = try open()
            #expect(buffer.statistics.tornBytes == UInt64(count - two.count))
            try add(buffer, ["after"])
            #expect(drain(buffer) == ["first", "second", "after"])
        }
    }

    @Test("A flipped byte costs the block that it lies in, never a wrong record, and is counted")
    func flippedBytes() throws {
        var buffer = try open()
        try add(buffer, ["first", "second", "third"])
        let name = "buffer/" + Segment.name(1)
        let whole = folder.bytes(name)
        for index in whole.indices {
            for mask: UInt8 in [1, 0x80, 0xff] {
                var damaged = whole
                damaged[index] ^= mask
                let fd = cl_open(folder.path + "/" + name, O_WRONLY | O_TRUNC, 0)
                #expect(SmallFile.writeAll(fd, damaged))
                close(fd)
                buffer = try open()
                let texts = drain(buffer)
                let isSubset = texts == ["first", "second", "third"].filter { texts.contains($0) }
                #expect(isSubset && texts.count >= 2, "byte \(index): \(texts)")
                if texts.count < 3 {
                    #expect(buffer.statistics.damagedBlocks + buffer.statistics.tornBytes > 0, "byte \(index)")
                }
            }
        }
    }

    @Test("Files of others in the folder are left alone, and an empty segment is no harm")
    func foreignFiles() throws {
        var buffer = try open()
        try add(buffer, ["a"])
        folder.write("buffer/notes.txt", "hello")
        folder.write("buffer/" + Segment.name(9), "")
        folder.write("buffer/" + Segment.name(5), "garbage that is longer than a header, " + noise(200, 1))
        buffer = try open()
        #expect(drain(buffer) == ["a"])
        #expect(folder.bytes("buffer/notes.txt") == Array("hello".utf8))
        try add(buffer, ["b"])
        #expect(drain(buffer) == ["b"])
    }

    @Test("A folder that cannot be made is an error with its name")
    func noFolder() {
        #expect(throws: FileFailure.self) {
            _ = try DiskBuffer(.init(folder: "/proc/nothing/here")) { 1 }
        }
    }
}
