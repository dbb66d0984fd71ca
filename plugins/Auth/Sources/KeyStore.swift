package import Persistence
package import TurnpikeKit

/// Users and their keys, as they are stored.
///
/// Every change raises the generation that all processes poll, in the same transaction, so it reaches them within two
/// seconds. Methods throw a ``KeyStoreError`` for what the caller can mend, else `DatabaseError`.
package struct KeyStore: Sendable {
    let database: any Database
    let hashKeys: HashKeySource
    let clock: GatewayClock

    package init(database: any Database, hashKeys: HashKeySource, clock: GatewayClock = .system) {
        self.database = database
        self.hashKeys = hashKeys
        self.clock = clock
    }

    var now: Timestamp { Timestamp(microseconds: clock.wallMicroseconds()) }

    /// The hash keys. A missing file of the current one is made, if no live key is stored under it.
    ///
    /// Otherwise the former file has been lost or not been mounted, and a new one would have every key refused without a
    /// word: it throws a ``HashKeyError`` then. `DatabaseError` if the database has to be asked and does not answer.
    package func loadHashKeys() async throws -> HashKeys {
        if let keys = try hashKeys.loadUnlessMissing() { return keys }
        let stored = try await liveKeysUnderTheCurrentHashKey()
        guard stored == 0 else {
            let keys = stored == 1 ? "1 key is" : "\(stored) keys are"
            throw hashKeys.missing(
                "put it back, since \(keys) stored under it. If it is lost, revoke every such key first")
        }
        return try hashKeys.create()
    }

    private func liveKeysUnderTheCurrentHashKey() async throws -> Int64 {
        let count: SQL = """
            SELECT COUNT(*) FROM api_keys WHERE hash_key_id = \(hashKeys.currentID) AND revoked_us IS NULL \
            AND (expires_us IS NULL OR expires_us > \(now))
            """
        return try await database.read { try $0.first(count) { try $0.integer(0) } } ?? 0
    }

    /// Makes every process look again. The last statement of a transaction, because all changes meet at this row.
    static func announceChange(_ connection: any Connection) throws {
        try connection.execute("UPDATE changes SET generation = generation + 1 WHERE change_id = 1")
    }
}

/// A user, who owns sessions, keys and activity.
package struct UserInfo: Sendable, Equatable {
    package let id: UniqueID
    package let name: String
    package let created: Timestamp
}

/// What may be shown of a key: everything but the key.
package struct KeyInfo: Sendable, Equatable {
    package let id: UniqueID
    package let userID: UniqueID
    package let name: String
    /// The key's first characters, to recognise it by.
    package let prefix: String
    package let scopes: Scopes
    /// nil: as configured.
    package var historyMode: HistoryMode?
    /// Which hash key it is stored with: that one must stay configured.
    package let hashKeyID: String
    package let created: Timestamp
    /// `nil` never.
    package var expires: Timestamp?
    package var revoked: Timestamp?
    /// The key that was made to take its place.
    package var replacedBy: UniqueID?

    /// Whether it lets anybody in at `moment`.
    package func isLive(at moment: Timestamp) -> Bool { revoked == nil && expires.map { $0 > moment } ?? true }
}

/// A key that was just made: the only time that it can be read.
package struct NewKey: Sendable {
    package let secret: Secret
    package let info: KeyInfo
}

/// What a caller of ``KeyStore`` can mend.
package enum KeyStoreError: Error, Sendable, Equatable, CustomStringConvertible {
    case invalidName
    case userExists
    case userNotFound
    /// Another live key of the user has the name.
    case keyNameTaken
    case keyNotFound
    case keyRevoked
    case keyExpired
    /// Another one has its place already; it goes on for its period of grace at most.
    case keyReplaced(by: UniqueID)
    case expiryInThePast

    package var description: String {
        switch self {
        case .invalidName:
            "a name has 1 to \(StoredName.maximumLength) printable characters and no space at its ends"
        case .userExists: "there is already a user of that name"
        case .userNotFound: "there is no such user"
        case .keyNameTaken: "the user already has a key of that name; revoke it first or choose another name"
        case .keyNotFound: "the user has no such key"
        case .keyRevoked: "the key was revoked; create another one"
        case .keyExpired: "the key has expired; create another one"
        case .keyReplaced(let id): "the key was replaced already, by the key \(id)"
        case .expiryInThePast: "the key would have expired already"
        }
    }
}
