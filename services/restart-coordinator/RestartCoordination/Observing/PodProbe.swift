// What pods are asked, and what their answers mean.
import FoundationEssentials
import RESP
import RESPClient
import TLS

/// A pod to be asked over its Redis port.
public struct PodTarget: Sendable, Equatable {
    public enum Service: Sendable, Equatable { case db, sentinel }

    public var name: String
    public var service: Service
    /// Nil: it has none yet.
    public var address: PeerAddress?
    /// Its DNS name, which its certificate and the sentinels know it by.
    public var dnsName: String

    public init(name: String, service: Service, address: PeerAddress?, dnsName: String) {
        self.name = name
        self.service = service
        self.address = address
        self.dnsName = dnsName
    }
}

/// Asks peers; the real one is `Endpoint`.
public protocol PeerAsking: Sendable {
    /// - Returns: an answer for each question, in their order, after `timeout` at most.
    func ask(_ questions: [PeerSurvey.Question], timeout: Duration) async -> [PeerSurvey.Answer]
}

struct PodProbe: Sendable {
    let primaryName: String
    let timeout: Duration
    let peers: any PeerAsking

    /// - Returns: an answer for each target, in their order.
    func probe(_ targets: [PodTarget]) async -> [PodAnswer] {
        let asked = targets.indices.filter { targets[$0].address != nil }
        let answers = await peers.ask(asked.compactMap { question(targets[$0]) }, timeout: timeout)
        var result = [PodAnswer](
            repeating: PodAnswer(.nothing(problem: "it has no address")), count: targets.count)
        for (index, answer) in zip(asked, answers) {
            result[index] = PodAnswer(content(of: answer, targets[index], targets), certificate: certificate(answer))
        }
        return result
    }

    private func question(_ target: PodTarget) -> PeerSurvey.Question? {
        guard let address = target.address else { return nil }
        var question =
            switch target.service {
            case .db: PeerSurvey.Question(address, ["INFO", "replication"])
            case .sentinel:
                PeerSurvey.Question(
                    address, ["SENTINEL", "CKQUORUM", primaryName],
                    ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", primaryName])
            }
        question.serverName = target.dnsName
        return question
    }

    private func certificate(_ answer: PeerSurvey.Answer) -> CertificateFacts? {
        guard let summary = answer.certificate, let fingerprint = answer.fingerprint else { return nil }
        return CertificateFacts(fingerprint: fingerprint, summary)
    }

    private func content(
        of answer: PeerSurvey.Answer, _ target: PodTarget, _ targets: [PodTarget]
    ) -> PodAnswer.Content {
        if let problem = answer.problem { return .nothing(problem: problem) }
        switch target.service {
        case .db:
            if let error = answer.last?.errorText { return .nothing(problem: error) }
            guard let text = answer.last?.text else { return .nothing(problem: "INFO is not answered by a text") }
            return PodProbe.replication(text)
        case .sentinel:
            // An error says that the quorum is not there, or that it monitors nothing of this name.
            let hasQuorum = answer.replies.first.map { !$0.isError } ?? false
            let address = answer.last?.elements ?? []
            guard address.count == 2, let host = address[0].text, let port = address[1].text.flatMap({ Int($0) }) else {
                return .sentinel(hasQuorum: hasQuorum, primary: nil)
            }
            let named = targets.first { other in
                other.service == .db
                    && (other.address == PeerAddress(host, port)
                        || other.address?.port == port
                            && PeerAddress(other.dnsName, port) == PeerAddress(host, port))
            }
            return .sentinel(hasQuorum: hasQuorum, primary: named?.name)
        }
    }

    /// - Spec: Redis documentation, INFO, section "Replication".
    static func replication(_ text: String) -> PodAnswer.Content {
        var fields: [Substring: Substring] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            if let colon = line.firstIndex(of: ":") { fields[line[..<colon]] = line[line.index(after: colon)...] }
        }
        switch fields["role"] {
        case "master":
            guard let offset = fields["master_repl_offset"].flatMap({ Int64($0) }) else { break }
            return .primary(offset: offset)
        case "slave":
            guard let offset = fields["slave_repl_offset"].flatMap({ Int64($0) }) else { break }
            return .replica(
                isLinked: fields["master_link_status"] == "up", isSyncing: fields["master_sync_in_progress"] == "1",
                offset: offset)
        default: break
        }
        return .nothing(problem: "INFO does not tell role and offset")
    }
}

extension CertificateFacts {
    init(fingerprint: String, _ summary: CertificateSummary) {
        self.init(
            fingerprint: fingerprint, notBefore: Date(timeIntervalSince1970: Double(summary.notBefore)),
            notAfter: Date(timeIntervalSince1970: Double(summary.notAfter)))
    }
}
