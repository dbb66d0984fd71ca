public import OpenAIWire

/// Whether the body asks for the usage of a stream whose client did not, and what changes that: of the targets that a request may
/// go to, some may want to be asked and others not.
public struct UsageEdits: Sendable {
    /// Whether the body asks as it is.
    let isAsked: Bool
    let asking: JSONEdit
    let restoring: JSONEdit

    /// - Parameters:
    ///   - isAsked: whether `asking` is in the body already.
    ///   - restoring: gives the body back what the client had sent in that place.
    public init(isAsked: Bool, asking: JSONEdit, restoring: JSONEdit) {
        self.isAsked = isAsked
        self.asking = asking
        self.restoring = restoring
    }

    /// What has to change in the body for `target`.
    public func edits(for target: RouteTarget) -> [JSONEdit] {
        let isWanted = target.provider.asksForUsage
        return isWanted == isAsked ? [] : [isWanted ? asking : restoring]
    }
}

/// Left by `capture` where targets differ, read by `router`.
public enum UsageEditsKey: ExchangeKey { public typealias Value = UsageEdits }
