package import Persistence

/// Which key of a user is meant.
package enum KeyChoice: Sendable, Equatable {
    /// This one.
    case id(UniqueID)
    /// The live one of that name that no other has replaced. There is one at most.
    case name(String)
}

/// A key and the one that takes its place.
package struct KeyRotation: Sendable {
    package let new: NewKey
    /// The former key as it is now: it lets in until it `expires`.
    package let old: KeyInfo
}

extension KeyStore {
    /// How long a key that was replaced may go on.
    package static let longestGrace: Duration = .seconds(366 * 86_400)

    /// Makes a key that takes the place of another: same user, name, scopes and history mode, same expiry unless the old
    /// one's is given up with `expires`. The old one goes on for `grace`, at most ``longestGrace``, so that every
    /// application can be given the new one meanwhile; its own expiry stays if that comes first.
    ///
    /// All of it is one transaction under the user's lock. Of two rotations of one key at once the first one wins, and
    /// the other is told so. Throws ``KeyStoreError/keyRevoked``, `keyExpired` or `keyReplaced` for a key that is at its
    /// end, `keyNotFound` if the user has none such.
    package func replaceKey(_ which: KeyChoice, of userID: UniqueID, grace: Duration, expires: Timestamp? = nil)
        async throws -> KeyRotation
    {
        precondition((.zero...Self.longestGrace).contains(grace), "A period of grace lasts a year at most.")
        let drawn = try DrawnKey(await loadHashKeys(), expires: expires, at: now)
        return try await database.write { connection in
            try Self.lock(userID, connection)
            let old = try Self.replaceable(which, of: userID, at: drawn.created, connection)
            let new = old.successor(drawn)
            let replaced = old.replaced(by: new, grace: grace)
            try connection.execute(Self.end(of: replaced))
            try connection.execute(Self.insertion(new, hash: drawn.hash, copying: replaced))
            try Self.announceChange(connection)
            return KeyRotation(new: NewKey(secret: drawn.secret, info: new), old: replaced)
        }
    }

    private static func replaceable(
        _ which: KeyChoice, of userID: UniqueID, at now: Timestamp, _ connection: any Connection
    ) throws -> KeyInfo {
        let found: [KeyInfo]
        switch which {
        case .id(let id): found = try key(id, of: userID, connection).map { [$0] } ?? []
        case .name(let name):
            found = try connection.rows(
                selection(of: userID, "name = \(name)") + " ORDER BY key_id DESC", key)
        }
        if let old = found.first(where: { $0.isLive(at: now) && $0.replacedBy == nil }) { return old }
        throw found.first?.whyNotReplaceable ?? .keyNotFound
    }

    private static func end(of old: KeyInfo) -> SQL {
        """
        UPDATE api_keys SET expires_us = \(old.expires), replaced_by = \(old.replacedBy) \
        WHERE user_id = \(old.userID) AND key_id = \(old.id)
        """
    }

    /// Copied by the database, so that a setting which only a later release knows goes over too.
    private static func insertion(_ new: KeyInfo, hash: SQLValue, copying old: KeyInfo) -> SQL {
        """
        INSERT INTO api_keys (key_hash, hash_key_id, key_id, user_id, name, prefix, scopes, created_us, expires_us, \
        history_mode) SELECT \(hash), \(new.hashKeyID), \(new.id), user_id, name, \(new.prefix), scopes, \
        \(new.created), \(new.expires), history_mode \
        FROM api_keys WHERE user_id = \(old.userID) AND key_id = \(old.id)
        """
    }
}

extension KeyInfo {
    /// Of a key that is at its end.
    fileprivate var whyNotReplaceable: KeyStoreError {
        if revoked != nil { return .keyRevoked }
        return replacedBy.map { .keyReplaced(by: $0) } ?? .keyExpired
    }

    /// As it is once another one has its place.
    fileprivate func replaced(by new: KeyInfo, grace: Duration) -> KeyInfo {
        let end = new.created.advanced(by: grace)
        var key = self
        key.expires = expires.map { min($0, end) } ?? end
        key.replacedBy = new.id
        return key
    }

    /// The one that takes its place.
    fileprivate func successor(_ new: DrawnKey) -> KeyInfo {
        KeyInfo(
            id: new.id, userID: userID, name: name, prefix: new.prefix, scopes: scopes, historyMode: historyMode,
            hashKeyID: new.hashKeyID, created: new.created, expires: new.expires ?? expires)
    }
}
