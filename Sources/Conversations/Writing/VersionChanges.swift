import Persistence

/// Reads what a transaction does to the versions of sessions.
struct VersionChanges {
    /// A session's row.
    struct State: Equatable {
        let version: Int64
        let isDeleted: Bool
    }

    private let keys: [SessionKey]
    private let connection: any Connection

    /// - Parameter keys: in the order in which rows are locked.
    init(_ keys: [SessionKey], _ connection: any Connection) {
        self.keys = keys
        self.connection = connection
    }

    /// Of those sessions that have a row: one that was deleted may come back.
    func states(isLocking: Bool) throws -> [SessionKey: State] {
        var states: [SessionKey: State] = [:]
        for chunk in keys.chunks(ConversationSQL.lookupSize(connection.dialect)) {
            let query =
                isLocking
                ? ConversationSQL.lockStates(of: chunk, connection.dialect) : ConversationSQL.states(of: chunk)
            try connection.forEach(query) { row in
                let key = SessionKey(owner: try row.value(0), session: try row.value(1))
                let deletion: Timestamp? = try row.optional(3)
                states[key] = State(version: try row.value(2), isDeleted: deletion != nil)
                return .next
            }
        }
        return states
    }

    /// What has become of those that there were.
    func since(_ old: [SessionKey: State], _ new: [SessionKey: State]) -> [VersionChange] {
        old.compactMap { key, state in
            let now = new[key] ?? State(version: state.version, isDeleted: true)
            guard now != state else { return nil }
            return VersionChange(key: key, old: state.version, new: now.version, isGone: now.isDeleted)
        }
    }
}
