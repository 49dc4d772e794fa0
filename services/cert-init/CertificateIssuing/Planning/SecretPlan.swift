import TLS

/// One write of a Secret: it is created if it is not there.
public struct SecretWrite: Equatable, Sendable {
    public let reference: SecretReference
    /// To be set; other items stay, except those of `removedItems`.
    public var items: [String: [UInt8]] = [:]
    public var removedItems: [String] = []
    /// To be set, or removed where nil; others stay.
    public var annotations: [String: String?] = [:]
    public var note: SecretNote

    init(_ reference: SecretReference, _ note: SecretNote) {
        self.reference = reference
        self.note = note
    }

    /// The Secret as it is after this write.
    public func applied(to secret: SecretState?) -> SecretState {
        var result = secret ?? SecretState(items: [:])
        for (name, bytes) in items { result.items[name] = bytes }
        for name in removedItems { result.items[name] = nil }
        for (name, value) in annotations { result.annotations[name] = value }
        return result
    }
}

/// Why something is done, for the log and for an Event.
public struct SecretNote: Equatable, Sendable {
    /// One word in CamelCase.
    public let event: String
    public let reasons: [String]

    public init(_ event: String, _ reasons: [String]) {
        self.event = event
        self.reasons = reasons
    }
}

/// New material to be made and put into the renewal Secret.
public struct IssueOrder: Sendable {
    public let reasons: [String]
    /// The present authority signs; nil: a new one is made.
    public let signer: IssuedPair?
    /// Certificates of authorities that stay trusted during the change.
    public let trusted: [Certificate]
    /// Present parameters that can stay.
    public let dhParameters: [UInt8]?
    /// Of an earlier change of the authority that is still in its overlap.
    public let trustUntil: String?
}

public enum PlannedAction: Sendable {
    case issue(IssueOrder)
    /// Make parameters and put them into the installation's Secret.
    case makeDHParameters(SecretNote)
    case write(SecretWrite)
    case delete(SecretReference, SecretNote)
}

/// What is wrong with a Secret that is not ours to mend.
public struct SecretProblem: Equatable, Sendable {
    public let reference: SecretReference
    public let texts: [String]
    /// Links cannot be made with it; else it only should be looked at.
    public let isFatal: Bool
}

public struct SecretPlan: Sendable {
    /// In order. After them one looks again: the next stage may follow.
    public var actions: [PlannedAction] = []
    public var problems: [SecretProblem] = []
    /// What deserves mention but no action.
    public var remarks: [String] = []
    /// A stage has to last until then, in seconds since 1970.
    public var waitUntil: Int64?

    public init() {}
}
