// What a db says of itself in INFO.

/// The fields of an INFO reply that matter here.
///
/// - Spec: Redis documentation of INFO, sections Server and Replication.
struct Information {
    var runID: String?
    var role: Instance.Role?
    var primaryHost: String?
    var primaryPort: Int?
    var isPrimaryLinkUp = false
    var primaryLinkDownSeconds: Int64 = 0
    var priority = 100
    var replicaOffset: Int64 = 0
    var primaryOffset: Int64 = 0
    var isAnnounced = true
    var isUndecided = false
    var productVersion: String?
    var replicas: [Endpoint] = []

    init(_ text: String, maximumReplicas: Int) {
        for line in text.utf8.split(whereSeparator: { $0 == 10 || $0 == 13 }) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let value = String(Substring(line[line.index(after: colon)...]))
            read(String(Substring(line[..<colon])), value, maximumReplicas)
        }
    }

    private mutating func read(_ name: String, _ value: String, _ maximumReplicas: Int) {
        switch name {
        case "run_id": runID = isRunID(value) ? value : nil
        case "role": role = Instance.Role(rawValue: value)
        case "master_host": primaryHost = value
        case "master_port": primaryPort = Int(value)
        case "master_link_status": isPrimaryLinkUp = value == "up"
        case "master_link_down_since_seconds": primaryLinkDownSeconds = min(max(Int64(value) ?? 0, -1), 1 << 40)
        case "slave_priority": priority = Int(value) ?? 100
        case "slave_repl_offset": replicaOffset = Int64(value) ?? 0
        case "master_repl_offset": primaryOffset = Int64(value) ?? 0
        case "replica_announced": isAnnounced = value != "0"
        case "dssm_role": isUndecided = value == "undecided"
        case "dssm_version": productVersion = value
        default:
            guard name.hasPrefix("slave"), name.dropFirst(5).allSatisfy({ $0.isNumber }), name.utf8.count > 5,
                replicas.count < maximumReplicas, let endpoint = Information.replicaEndpoint(value)
            else { return }
            replicas.append(endpoint)
        }
    }

    /// A primary's own offset stands under another name than the one up to which a replica has followed.
    func offset(as role: Instance.Role) -> Int64 { role == .replica ? replicaOffset : primaryOffset }

    /// `ip=10.0.0.2,port=6379,state=online,...`
    private static func replicaEndpoint(_ value: String) -> Endpoint? {
        var host: String?
        var port: Int?
        for part in value.split(separator: ",") {
            if part.hasPrefix("ip=") { host = String(part.dropFirst(3)) }
            if part.hasPrefix("port=") { port = Int(part.dropFirst(5)) }
        }
        guard let host, let port, isPlausibleHost(host), (1...65535).contains(port) else { return nil }
        return Endpoint(host, port)
    }
}

extension SentinelStateMachine {
    func receivedInformation(_ text: String, from instance: Instance, _ group: MonitoredPrimary) {
        let information = Information(text, maximumReplicas: timing.maximumReplicas)
        // Something else answers there, or the reply is broken: no news.
        guard let role = information.role else { return }
        instance.informationText = String(decoding: text.utf8.prefix(Self.cachedInformationBytes), as: UTF8.self)
        noteRunID(information, instance, group)
        instance.productVersion = information.productVersion
        instance.primaryLinkDownTime = information.primaryLinkDownSeconds * 1000
        instance.priority = information.priority
        instance.isPrimaryLinkUp = role == .replica && information.isPrimaryLinkUp
        instance.isAnnounced = information.isAnnounced
        instance.offset = information.offset(as: role)
        if role == .replica {
            noteReportedPrimary(information, instance)
        } else {
            instance.reportedPrimary = nil
        }
        instance.informationRefreshed = now
        if role != instance.reportedRole {
            instance.reportedRole = role
            instance.reportedRoleSince = now
            if role == .replica { instance.reportedPrimarySince = now }
            let isExpected = role.rawValue == instance.kind.rawValue
            emit(
                .verbose, isExpected ? "+role-change" : "-role-change", group, instance,
                " new reported role is \(role.rawValue)")
        }
        instance.undecidedSince = information.isUndecided ? instance.undecidedSince ?? now : nil
        if role == .replica { instance.isFormerPrimary = false }
        if instance === group.primary, role == .primary { addReplicas(information.replicas, group) }
        guard tiltSince == nil else { return }
        if instance.kind == .replica {
            noteReconfiguration(group, instance)
            correct(group, instance)
        } else {
            correctPrimary(group)
        }
    }

    private func noteRunID(_ information: Information, _ instance: Instance, _ group: MonitoredPrimary) {
        guard let runID = information.runID, runID != instance.runID else { return }
        if instance.runID != nil {
            emit(.notice, "+reboot", group, instance)
            if group.rebootDownAfter > 0, instance === group.primary { instance.rebootedSince = now }
        }
        instance.runID = runID
    }

    private func noteReportedPrimary(_ information: Information, _ instance: Instance) {
        guard let host = information.primaryHost, let port = information.primaryPort, isPlausibleHost(host) else {
            instance.reportedPrimary = nil
            return
        }
        let endpoint = Endpoint(host, port)
        if endpoint != instance.reportedPrimary {
            instance.reportedPrimary = endpoint
            instance.reportedPrimarySince = now
        }
    }

    private func addReplicas(_ endpoints: [Endpoint], _ group: MonitoredPrimary) {
        for endpoint in endpoints where group.replicas.count < timing.maximumReplicas {
            guard !group.databases.contains(where: { isSame($0.endpoint, endpoint) }) else { continue }
            let replica = makeInstance(.replica, endpoint)
            group.replicas.append(replica)
            emit(.notice, "+slave", group, replica)
            markChanged()
        }
    }
}
