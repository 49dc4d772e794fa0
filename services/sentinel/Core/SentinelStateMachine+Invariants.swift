extension SentinelStateMachine {
    /// Checks what must hold between turns and returns what does not. Tests and the simulator call it after every event.
    public func checkInvariants() -> [String] {
        var problems: [String] = []
        func check(_ condition: Bool, _ problem: @autoclosure () -> String) {
            if !condition { problems.append(problem()) }
        }
        check(actions.isEmpty, "actions are left from a turn")
        check(durableVersion <= version, "more is durable than there is")
        check(gated.allSatisfy { $0.version > durableVersion }, "a durable answer is held back")
        check(gated.isEmpty || persisting != nil || retryPersistenceAt > now, "answers wait, but nothing is written")
        for (id, owner) in links {
            let slot = owner.kind == .command ? owner.instance.command : owner.instance.pubSub
            check(slot.link?.id == id, "link \(id.rawValue) is not its instance's")
        }
        var linkCount = 0
        for group in groups {
            let everyone = group.everyone
            for instance in everyone {
                if instance.command.link != nil { linkCount += 1 }
                if instance.pubSub.link != nil { linkCount += 1 }
                check(
                    instance.command.pendingCount <= timing.maximumPendingRequests
                        && instance.pubSub.pendingCount <= timing.maximumPendingRequests,
                    "\(instance.endpoint) has too many pending requests")
            }
            check(Set(everyone.map(ObjectIdentifier.init)).count == everyone.count, "an instance is listed twice")
            check(
                Set(group.databases.map(\.endpoint)).count == group.databases.count, "two dbs have one endpoint")
            let runIDs = group.sentinels.compactMap(\.runID)
            check(Set(runIDs).count == runIDs.count, "two sentinels have one run id")
            check(!runIDs.contains(myID), "this sentinel watches itself")
            check(group.primary.kind == .primary, "the primary is of another kind")
            check(group.replicas.allSatisfy { $0.kind == .replica }, "a replica is of another kind")
            check(group.leaderEpoch <= currentEpoch, "a vote is ahead of the epoch")
            check(group.leader == nil || group.leaderEpoch > 0, "a vote without an epoch")
            if let failover = group.failover {
                check(failover.epoch <= currentEpoch, "a failover is ahead of the epoch")
                if let promoted = group.promoted {
                    check(group.replicas.contains { $0 === promoted }, "the promoted replica is not a replica")
                }
                if case .waitStart = failover.phase {
                } else if !failover.isBeyondReturn {
                    check(
                        group.leader == myID && group.leaderEpoch == failover.epoch,
                        "leads a failover in an epoch in which it has voted for another")
                }
            }
        }
        check(linkCount == links.count, "links belong to nobody")
        return problems
    }
}
