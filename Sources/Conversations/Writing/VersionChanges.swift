import Persistence

/// Reads what a transaction does to the versions of sessions.
struct VersionChanges {
    private let keys: [SessionKey]
    private let connection: any Connection

    /// - Parameter keys: in the order in which rows are locked.
    init(_ keys: [SessionKey], _ connection: any Connection) {
        self.keys = keys
        self.connection = connection
    }

    /// Of those sessions that there are.
    func versions(isLocking: Bool) throws -> [SessionKey: Int64] {
        var versions: [SessionKey: Int64] = [:]
        for chunk in keys.chunks(ConversationSQL.lookupSize(connection.dialect)) {
            let query =
                isLocking
                ? ConversationSQL.lockVersions(of: chunk, connection.dialect) : ConversationSQL.versions(of: chunk)
            try connection.forEach(query) { row in
                versions[SessionKey(owner: try row.value(0), session: try row.value(1))] = try row.value(2)
                return .next
            }
        }
        return versions
    }

    /// What has become of those that there were. One that came back from its deletion is not among them: an exchange
    /// that knew it before does not know what it is now.
    func since(_ old: [SessionKey: Int64], _ new: [SessionKey: Int64]) -> [VersionChange] {
        old.compactMap { key, version in
            new[key] == version ? nil : VersionChange(key: key, old: version, new: new[key])
        }
    }
}
