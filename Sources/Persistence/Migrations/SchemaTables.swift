/// The two tables of the migrator itself: which migrations were applied, and who may apply one now.
package enum SchemaTables {
    package static func create(on database: any Database) async throws {
        try await database.write(.patiently) { connection in
            for statement in statements(connection.dialect) { try connection.execute(SQL(raw: statement)) }
            try connection.execute(
                """
                INSERT INTO schema_lease (lease_id, holder, expires_us) VALUES (1, NULL, 0) \
                \(raw: connection.dialect.orIgnore("lease_id"))
                """)
        }
    }

    private static func statements(_ dialect: Dialect) -> [String] {
        [
            """
            CREATE TABLE IF NOT EXISTS schema_versions (
                component \(dialect.text(64)) NOT NULL, version \(dialect.integer) NOT NULL,
                name \(dialect.text(200)) NOT NULL, applied_us \(dialect.integer) NOT NULL,
                PRIMARY KEY (component, version)) \(dialect.clustered)
            """,
            """
            CREATE TABLE IF NOT EXISTS schema_lease (
                lease_id \(dialect.integer) NOT NULL PRIMARY KEY, holder \(dialect.id) NULL,
                expires_us \(dialect.integer) NOT NULL) \(dialect.clustered)
            """,
        ]
    }

    /// Whether the versions were ever written down.
    static func exist(_ connection: any Connection) throws -> Bool {
        let count: SQL =
            switch connection.dialect {
            case .sqlite: "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_versions'"
            case .mariadb:
                """
                SELECT COUNT(*) FROM information_schema.tables
                WHERE table_schema = DATABASE() AND table_name = 'schema_versions'
                """
            }
        return try connection.first(count) { try $0.integer(0) } != 0
    }

    /// The newest version of each component.
    static func versions(_ connection: any Connection) throws -> [String: Int] {
        var versions: [String: Int] = [:]
        try connection.forEach("SELECT component, version FROM schema_versions") { row in
            let component: String = try row.value(0)
            versions[component] = max(versions[component] ?? 0, try row.value(1))
            return .next
        }
        return versions
    }

    static func record(_ migration: Migration, _ connection: any Connection) throws {
        try connection.execute(
            """
            INSERT INTO schema_versions (component, version, name, applied_us) VALUES \
            (\(migration.component), \(migration.number), \(migration.name), \(Timestamp.now())) \
            \(raw: connection.dialect.orIgnore("component"))
            """)
    }
}
