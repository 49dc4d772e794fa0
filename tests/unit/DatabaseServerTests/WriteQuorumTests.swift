import Testing

@testable import DatabaseServer

@Suite struct WriteQuorumTests {
    @Test("A ticket is reached when the offset noted with it is acknowledged, and not before")
    func reaches() {
        var quorum = WriteQuorum()
        quorum.begin(at: 100)
        quorum.note(replicationOffset: 50, ticket: 110)
        quorum.note(replicationOffset: 80, ticket: 140)
        #expect(quorum.reached == 100)
        quorum.acknowledged(49)
        #expect(quorum.reached == 100)
        quorum.acknowledged(79)
        #expect(quorum.reached == 110)
        quorum.acknowledged(80)
        #expect(quorum.reached == 140)
    }

    @Test("An older acknowledgement takes nothing back")
    func isMonotonic() {
        var quorum = WriteQuorum()
        quorum.begin(at: 0)
        for step in 1...5000 { quorum.note(replicationOffset: Int64(step), ticket: UInt64(step) * 2) }
        quorum.acknowledged(4000)
        quorum.acknowledged(10)
        #expect(quorum.reached == 8000)
        quorum.acknowledged(5000)
        #expect(quorum.reached == 10000)
    }

    @Test("Beginning anew forgets what was noted")
    func restarts() {
        var quorum = WriteQuorum()
        quorum.begin(at: 0)
        quorum.note(replicationOffset: 5, ticket: 5)
        quorum.begin(at: 50)
        quorum.acknowledged(1000)
        #expect(quorum.reached == 50)
    }
}
