package import Persistence
package import TurnpikeKit

/// A key that is to be made.
package struct KeyRequest: Sendable {
    package var userID: UniqueID
    /// Unique among the user's live keys, so that it can be named again after it was revoked or has expired.
    package var name: String
    package var scopes: Scopes
    /// `nil` never.
    package var expires: Timestamp?
    /// What the messages of its requests are, where neither the request nor its session says; `nil` as configured.
    package var historyMode: HistoryMode?

    package init(
        userID: UniqueID, name: String, scopes: Scopes = .chat, expires: Timestamp? = nil,
        historyMode: HistoryMode? = nil
    ) {
        self.userID = userID
        self.name = name
        self.scopes = scopes
        self.expires = expires
        self.historyMode = historyMode
    }
}

extension KeyStore {
    /// Makes a key. Its secret is in the result and nowhere else.
    package func createKey(_ request: KeyRequest) async throws -> NewKey {
        let (key, hash) = try make(request, with: await loadHashKeys())
        try await database.write { connection in
            try Self.lock(request.userID, connection)
            guard try !Self.hasLiveKey(of: request.userID, named: key.info.name, at: key.info.created, connection)
            else {
                throw KeyStoreError.keyNameTaken
            }
            try connection.execute(Self.insertion(key.info, hash: hash))
            try Self.announceChange(connection)
        }
        return key
    }

    /// The user's keys, revoked and expired ones too, oldest first.
    package func listKeys(of userID: UniqueID) async throws -> [KeyInfo] {
        try await database.read { connection in
            try connection.rows(
                Self.selection(of: userID, "TRUE") + " ORDER BY key_id", Self.key)
        }
    }

    /// Ends a key at once and for good. A key that was revoked before stays as it is.
    @discardableResult
    package func revokeKey(_ keyID: UniqueID, of userID: UniqueID) async throws -> KeyInfo {
        try await revoke("key_id = \(keyID)", of: userID)
    }

    /// Ends the user's live key of that name at once and for good; one that it has replaced, too.
    @discardableResult
    package func revokeKey(named name: String, of userID: UniqueID) async throws -> KeyInfo {
        try await revoke("name = \(name) AND revoked_us IS NULL", of: userID)
    }

    /// Changes how the user's live key of that name has histories treated, `nil` as configured; one that it has replaced,
    /// too.
    @discardableResult
    package func setHistoryMode(_ mode: HistoryMode?, ofKeyNamed name: String, of userID: UniqueID) async throws
        -> KeyInfo
    {
        let now = now
        return try await database.write { connection in
            try Self.lock(userID, connection)
            let found = try connection.rows(
                Self.selection(of: userID, "name = \(name) AND revoked_us IS NULL") + " ORDER BY key_id DESC", Self.key)
            guard var newest = found.first(where: { $0.isLive(at: now) }) else { throw KeyStoreError.keyNotFound }
            for key in found {
                try connection.execute(
                    """
                    UPDATE api_keys SET history_mode = \(mode?.rawValue) \
                    WHERE user_id = \(userID) AND key_id = \(key.id)
                    """)
            }
            newest.historyMode = mode
            try Self.announceChange(connection)
            return newest
        }
    }

    private func revoke(_ which: SQL, of userID: UniqueID) async throws -> KeyInfo {
        let now = now
        return try await database.write { connection in
            try Self.lock(userID, connection)
            let found = try connection.rows(Self.selection(of: userID, which) + " ORDER BY key_id DESC", Self.key)
            guard var newest = found.first else { throw KeyStoreError.keyNotFound }
            for key in found where key.revoked == nil {
                try connection.execute(
                    """
                    UPDATE api_keys SET revoked_us = \(now) \
                    WHERE user_id = \(userID) AND key_id = \(key.id) AND revoked_us IS NULL
                    """)
            }
            try Self.announceChange(connection)
            newest.revoked = newest.revoked ?? now
            return newest
        }
    }

    private func make(_ request: KeyRequest, with hashKeys: HashKeys) throws -> (key: NewKey, hash: SQLValue) {
        let drawn = try DrawnKey(hashKeys, expires: request.expires, at: now)
        let info = KeyInfo(
            id: drawn.id, userID: request.userID, name: try StoredName.checked(request.name), prefix: drawn.prefix,
            scopes: request.scopes, historyMode: request.historyMode, hashKeyID: drawn.hashKeyID,
            created: drawn.created, expires: drawn.expires)
        return (NewKey(secret: drawn.secret, info: info), drawn.hash)
    }
}

// MARK: Statements. The owner stands in every one of them.

extension KeyStore {
    /// One change of a user's keys at a time, so that two of them cannot take the same name.
    static func lock(_ userID: UniqueID, _ connection: any Connection) throws {
        let query: SQL =
            "SELECT user_id FROM users WHERE user_id = \(userID) \(raw: connection.dialect.forUpdate)"
        guard try connection.first(query, { try $0.value(0, as: UniqueID.self) }) != nil else {
            throw KeyStoreError.userNotFound
        }
    }

    private static func hasLiveKey(
        of userID: UniqueID, named name: String, at now: Timestamp, _ connection: any Connection
    ) throws -> Bool {
        let query = selection(
            of: userID,
            """
            name = \(name) AND revoked_us IS NULL AND replaced_by IS NULL \
            AND (expires_us IS NULL OR expires_us > \(now))
            """)
        return try connection.first(query, key) != nil
    }

    static func key(_ keyID: UniqueID, of userID: UniqueID, _ connection: any Connection) throws -> KeyInfo? {
        try connection.first(selection(of: userID, "key_id = \(keyID)"), key)
    }

    static func selection(of userID: UniqueID, _ condition: SQL) -> SQL {
        """
        SELECT key_id, user_id, name, prefix, scopes, hash_key_id, created_us, expires_us, revoked_us, replaced_by, \
        history_mode FROM api_keys WHERE user_id = \(userID) AND \(sql: condition)
        """
    }

    static func key(_ row: borrowing Row) throws -> KeyInfo {
        KeyInfo(
            id: try row.value(0), userID: try row.value(1), name: try row.value(2), prefix: try row.value(3),
            scopes: Scopes(rawValue: try row.value(4)), historyMode: try HistoryMode(stored: row, 10),
            hashKeyID: try row.value(5), created: try row.value(6),
            expires: try row.optional(7), revoked: try row.optional(8), replacedBy: try row.optional(9))
    }

    private static func insertion(_ key: KeyInfo, hash: SQLValue) -> SQL {
        """
        INSERT INTO api_keys (key_hash, hash_key_id, key_id, user_id, name, prefix, scopes, created_us, expires_us, \
        history_mode) VALUES (\(hash), \(key.hashKeyID), \(key.id), \(key.userID), \(key.name), \(key.prefix), \
        \(key.scopes.rawValue), \(key.created), \(key.expires), \
        \(key.historyMode?.rawValue))
        """
    }
}

extension HistoryMode {
    /// As it is stored; nil where none is, or one that a later release knows.
    init?(stored row: borrowing Row, _ column: Int) throws {
        guard let name: String = try row.optional(column), let mode = HistoryMode(rawValue: name) else { return nil }
        self = mode
    }
}
