package import Persistence

/// The tables of users, keys, and the number that tells every process of a change to them.
package enum AuthMigrations {
    package static let all = [
        Migration("auth", 1, "users, keys, changes") { dialect in
            [users(dialect), keys(dialect), keyIndex, ownerIndex, changes(dialect), firstGeneration(dialect)]
        },
        // The previous release makes keys without one, and reads none.
        Migration("auth", 2, "history mode of keys") { dialect in
            [dialect.addColumn("history_mode \(dialect.text(16)) NULL", to: "api_keys")]
        },
    ]

    private static func users(_ dialect: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS users (
            user_id \(dialect.id) NOT NULL PRIMARY KEY, name \(dialect.text(64)) NOT NULL,
            created_us \(dialect.integer) NOT NULL, UNIQUE (name)) \(dialect.clustered)
        """
    }

    private static func keys(_ dialect: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS api_keys (
            key_hash \(dialect.fixedBytes(32)) NOT NULL PRIMARY KEY, hash_key_id \(dialect.text(32)) NOT NULL,
            key_id \(dialect.id) NOT NULL, user_id \(dialect.id) NOT NULL, name \(dialect.text(64)) NOT NULL,
            prefix \(dialect.text(16)) NOT NULL, scopes \(dialect.integer) NOT NULL,
            created_us \(dialect.integer) NOT NULL, expires_us \(dialect.integer) NULL,
            revoked_us \(dialect.integer) NULL, replaced_by \(dialect.id) NULL) \(dialect.clustered)
        """
    }

    private static let keyIndex = "CREATE UNIQUE INDEX IF NOT EXISTS api_keys_by_id ON api_keys (key_id)"
    private static let ownerIndex = "CREATE INDEX IF NOT EXISTS api_keys_by_owner ON api_keys (user_id, key_id)"

    private static func changes(_ dialect: Dialect) -> String {
        """
        CREATE TABLE IF NOT EXISTS changes (
            change_id \(dialect.integer) NOT NULL PRIMARY KEY, generation \(dialect.integer) NOT NULL)
            \(dialect.clustered)
        """
    }

    private static func firstGeneration(_ dialect: Dialect) -> String {
        "INSERT INTO changes (change_id, generation) VALUES (1, 0) \(dialect.orIgnore("change_id"))"
    }
}
