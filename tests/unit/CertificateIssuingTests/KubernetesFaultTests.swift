import KubernetesAPI
import KubernetesTestServer
import Synchronization
import Testing

@testable import CertificateIssuing

/// What goes wrong with a write.
enum Fault: String, CaseIterable, Sendable {
    case cut, conflict, failure, doneAndCut

    var response: KubernetesTestServer.Response {
        switch self {
        case .cut: .cut
        case .conflict: .init(409, reason: "Conflict", message: "changed")
        case .failure: .init(500, message: "broken")
        case .doneAndCut: .doneAndCut
        }
    }
}

@Suite("Faults at every write") struct KubernetesFaultTests {
    enum Start: String, CaseIterable, Sendable {
        case nothing, due, keptKey
    }

    /// Brings the cluster to where the run begins, and returns its Secrets.
    private func prepare(_ harness: inout KubernetesHarness, _ start: Start) async throws -> [KubernetesObject] {
        harness.settings.keepsAuthorityKey = start == .keptKey
        harness.settings.policy.authorityDays = start == .keptKey ? 3650 : nil
        guard start != .nothing else { return [] }
        try await harness.run()
        harness.clock.advance(300 * day)
        let server = harness.server
        return harness.state.references.compactMap { server.object(.secrets, $0.kind.name, $0.namespace) }
    }

    /// Makes write 1, 2, 3, ... fail until a run needs fewer.
    private func forEachWrite(
        _ fault: Fault, _ start: Start, isLasting: Bool,
        _ body: (inout KubernetesHarness, Int) async throws -> Void
    ) async throws {
        try await KubernetesHarness.run(isDirect: true) { harness in
            let objects = try await prepare(&harness, start)
            for number in 1...60 {
                harness.clear()
                for object in objects { harness.server.put(.secrets, object) }
                let observer = harness
                let box = DistrustBox()
                let writes = WriteFault(number, isLasting: isLasting) {
                    box.add(observer.state.distrusts)
                } make: {
                    fault.response
                }
                harness.server.setFault { writes.answer($0) }
                try await body(&harness, number)
                harness.server.setFault(nil)
                box.add(harness.state.distrusts)
                #expect(box.all == [], "\(start) \(fault) at write \(number)")
                if writes.seen < number {
                    #expect(number > (start == .due ? 7 : 6))
                    return
                }
            }
            Issue.record("a run of more than 60 writes")
        }
    }

    @Test(
        "A run that dies at any write leaves what the next run completes, and never a certificate that is not trusted",
        arguments: [Fault.cut, .doneAndCut], Start.allCases)
    func death(_ fault: Fault, _ start: Start) async throws {
        try await forEachWrite(fault, start, isLasting: true) { harness, number in
            var issuing = harness.issuing()
            issuing.failureLimit = 0
            _ = try? await issuing.run()
            harness.server.setFault(nil)
            try await harness.run()
            #expect(harness.defects == [], "\(start) \(fault) at write \(number)")
            #expect(harness.state["home", .renewal]?.items == [:])
        }
    }

    @Test("A run survives one fault at any write by itself", arguments: Fault.allCases, [Start.nothing, .due])
    func survival(_ fault: Fault, _ start: Start) async throws {
        try await forEachWrite(fault, start, isLasting: false) { harness, number in
            try await harness.run()
            #expect(harness.defects == [], "\(start) \(fault) at write \(number)")
            #expect(harness.state.set("tmm-a").authorities.count == (start == .due ? 2 : 1))
        }
    }
}

final class DistrustBox: Sendable {
    private let texts = Mutex<[String]>([])

    var all: [String] { texts.withLock { $0 } }
    func add(_ new: [String]) { texts.withLock { $0 += new } }
}
