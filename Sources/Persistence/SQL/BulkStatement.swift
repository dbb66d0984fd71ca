/// One statement that is run for many rows of values, made once and kept: `INSERT`, or `UPDATE` by key.
///
/// It is the fast way to write a batch: SQLite steps one prepared statement, MariaDB gets all rows at once. Keep it in a
/// `static let`; the text has one `?` per column.
public struct BulkStatement: Sendable {
    /// The text.
    public let text: String
    /// How many values one row has.
    public let width: Int

    /// Makes a statement whose text the caller vouches for.
    ///
    /// - Parameter text: Nothing in it may come from outside of the program. It contains no `?` except as a place.
    public init(_ text: String) {
        self.text = text
        width = text.utf8.count { $0 == UInt8(ascii: "?") }
    }

    /// `INSERT INTO table (columns) VALUES (?, …)`.
    public init(insertInto table: String, _ columns: [String]) {
        self.init(
            "INSERT INTO \(table) (\(columns.joined(separator: ", "))) VALUES (\(SQL.placeholders(columns.count)))")
    }
}

/// A bulk statement and its rows.
public struct BulkWrite {
    /// What is run for each row.
    public var statement: BulkStatement
    /// The rows; none is a write that does nothing.
    public var rows: BulkRows

    /// Makes a write.
    public init(_ statement: BulkStatement, rows: BulkRows) {
        precondition(rows.width == statement.width, "every row has as many values as there are places")
        self.statement = statement
        self.rows = rows
    }

    /// Makes a write of the values of all rows, one row after the other.
    public init(_ statement: BulkStatement, rows values: [SQLValue]) {
        self.init(statement, rows: BulkRows(width: statement.width, values))
    }
}
