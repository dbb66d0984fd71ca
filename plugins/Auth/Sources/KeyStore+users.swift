import Persistence

extension KeyStore {
    /// Makes a user. Throws ``KeyStoreError/userExists`` if the name is taken; names are compared byte by byte.
    package func createUser(_ name: String) async throws -> UserInfo {
        let user = UserInfo(id: .generate(), name: try StoredName.checked(name), created: now)
        try await database.write { connection in
            let inserted = try connection.execute(
                """
                INSERT INTO users (user_id, name, created_us) VALUES (\(user.id), \(user.name), \(user.created)) \
                \(raw: connection.dialect.orIgnore("user_id"))
                """)
            guard inserted == 1 else { throw KeyStoreError.userExists }
            try Self.announceChange(connection)
        }
        return user
    }

    /// The user of that name, if there is one.
    package func findUser(named name: String) async throws -> UserInfo? {
        try await database.read { connection in
            try connection.first("SELECT user_id, name, created_us FROM users WHERE name = \(name)", Self.user)
        }
    }

    /// Users by name: up to `limit` of those behind `name`.
    package func listUsers(after name: String = "", limit: Int = 1_000) async throws -> [UserInfo] {
        try await database.read { connection in
            try connection.rows(
                "SELECT user_id, name, created_us FROM users WHERE name > \(name) ORDER BY name LIMIT \(limit)",
                Self.user)
        }
    }

    private static func user(_ row: borrowing Row) throws -> UserInfo {
        UserInfo(id: try row.value(0), name: try row.value(1), created: try row.value(2))
    }
}
