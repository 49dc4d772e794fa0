import ByteStorage
import DatabaseReplication
import Testing

@Suite struct BacklogTests {
    private func read(_ backlog: ReplicationBacklog, from offset: Int64) -> [UInt8] {
        let output = OutputBuffer.create()
        defer { output.destroy() }
        backlog.copy(from: offset, to: output)
        return output.view.array
    }

    @Test("Whatever was appended is read back from every offset that is still covered")
    func readsBack() {
        let seed = UInt64.random(in: .min ... .max)
        print("seed \(seed)")
        var generator = seed
        func random(_ bound: UInt64) -> Int {
            generator = generator &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((generator >> 33) % bound)
        }
        let backlog = ReplicationBacklog(capacity: 16 << 10, endOffset: 100)
        var model: [UInt8] = []
        for _ in 0..<200 {
            let piece = (0..<random(3000)).map { _ in UInt8(random(256)) }
            piece.withView { backlog.append($0) }
            model += piece
            #expect(backlog.endOffset == 100 + Int64(model.count))
            #expect(backlog.count == min(model.count, 16 << 10))
            let back = backlog.count == 0 ? 0 : random(UInt64(backlog.count) + 1)
            #expect(read(backlog, from: backlog.endOffset + 1 - Int64(back)) == Array(model.suffix(back)))
        }
    }

    @Test("Offsets before the oldest byte and after the next one are not covered")
    func coverage() {
        let backlog = ReplicationBacklog(capacity: 16 << 10, endOffset: 0)
        #expect(backlog.covers(1))
        #expect(!backlog.covers(2))
        [UInt8](repeating: 7, count: 20_000).withView { backlog.append($0) }
        #expect(backlog.firstOffset == 20_000 - Int64(16 << 10) + 1)
        #expect(!backlog.covers(backlog.firstOffset - 1))
        #expect(backlog.covers(backlog.firstOffset))
        #expect(backlog.covers(20_001))
        #expect(!backlog.covers(20_002))
    }

    @Test("Resizing keeps the newest history")
    func resizing() {
        let backlog = ReplicationBacklog(capacity: 64 << 10, endOffset: 0)
        let bytes = (0..<50_000).map { UInt8(truncatingIfNeeded: $0) }
        bytes.withView { backlog.append($0) }
        backlog.resize(20 << 10)
        #expect(backlog.endOffset == 50_000)
        #expect(read(backlog, from: backlog.firstOffset) == Array(bytes.suffix(20 << 10)))
    }

    @Test("A promoted server continues its former primary's history up to the promotion and no further")
    func promotion() {
        var history = ReplicationHistory(id: "a", offset: 500)
        history.promote(newID: "b")
        #expect(history.continues("a", from: 501))
        #expect(!history.continues("a", from: 502))
        #expect(history.continues("b", from: 9999))
        #expect(!history.continues("c", from: 1))
    }

    @Test("The plan names why a full sync is needed")
    func plans() {
        let history = ReplicationHistory(id: "a", offset: 20_000)
        let backlog = ReplicationBacklog(capacity: 16 << 10, endOffset: 0)
        [UInt8](repeating: 7, count: 20_000).withView { backlog.append($0) }
        func plan(_ id: String, _ from: Int64, _ backlog: ReplicationBacklog?) -> SynchronisationPlan {
            .plan(requestedID: id, from: from, history: history, backlog: backlog)
        }
        #expect(plan("?", -1, backlog) == .full(.asked))
        #expect(plan("x", 20_001, backlog) == .full(.otherHistory))
        #expect(plan("a", 20_001, nil) == .full(.noBacklog))
        #expect(plan("a", 10, backlog) == .full(.tooFarBack))
        #expect(plan("a", 20_001, backlog) == .partial(from: 20_001))
    }
}
