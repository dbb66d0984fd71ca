/// Which SQL a database speaks, and the few words in which the two differ.
public enum Dialect: Sendable, Hashable, CaseIterable {
    /// SQLite 3.40 or later.
    case sqlite
    /// MariaDB 10.11 or later.
    case mariadb

    /// The column type of a `UniqueID`.
    public var id: String { fixedBytes(16) }

    /// The column type of exactly `count` bytes: a digest, a key's hash.
    public func fixedBytes(_ count: Int) -> String { self == .sqlite ? "BLOB" : "BINARY(\(count))" }

    /// The column type of bytes of any length.
    public var bytes: String { self == .sqlite ? "BLOB" : "LONGBLOB" }

    /// The column type of text of up to `count` characters that is compared byte by byte: names, external ids.
    /// SQLite does not enforce the length: check it before.
    public func text(_ count: Int) -> String {
        self == .sqlite ? "TEXT" : "VARCHAR(\(count)) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    }

    /// The column type of long text that is never compared.
    public var longText: String {
        self == .sqlite ? "TEXT" : "MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    }

    /// The column type of every integer: counters, sequence numbers, microseconds.
    public var integer: String { self == .sqlite ? "INTEGER" : "BIGINT" }

    /// `ALTER TABLE table ADD COLUMN …`, idempotent as a migration's statement must be: SQLite does a whole migration in
    /// one transaction, MariaDB commits at each statement.
    public func addColumn(_ column: String, to table: String) -> String {
        "ALTER TABLE \(table) ADD COLUMN \(self == .sqlite ? "" : "IF NOT EXISTS ")\(column)"
    }

    /// `DROP INDEX`, idempotent.
    public func dropIndex(_ index: String, of table: String) -> String {
        "DROP INDEX IF EXISTS \(index)" + (self == .sqlite ? "" : " ON \(table)")
    }

    /// Locks the selected rows until the transaction ends. A SQLite transaction that writes excludes all others anyway.
    public var forUpdate: String { self == .sqlite ? "" : "FOR UPDATE" }

    /// The end of `CREATE TABLE` for a table of small rows that is read by its primary key.
    public var clustered: String { self == .sqlite ? "WITHOUT ROWID" : "ENGINE=InnoDB" }

    /// The end of `CREATE TABLE` for a table of big rows (SQLite is slower without a rowid there: measured: 2.5 x slower writes).
    public var bigRows: String { self == .sqlite ? "" : "ENGINE=InnoDB" }

    /// What stands between an `INSERT` and the assignments that are made instead where a row with this primary key exists.
    public func orUpdate(_ primaryKey: String) -> String {
        self == .sqlite ? "ON CONFLICT (\(primaryKey)) DO UPDATE SET" : "ON DUPLICATE KEY UPDATE"
    }

    /// The end of an `INSERT` that leaves an existing row as it is. A row that was inserted counts as affected, one
    /// that existed does not.
    ///
    /// - Parameter column: Any column of the table's primary key.
    public func orIgnore(_ column: String) -> String {
        self == .sqlite ? "ON CONFLICT DO NOTHING" : "ON DUPLICATE KEY UPDATE \(column) = \(column)"
    }
}
