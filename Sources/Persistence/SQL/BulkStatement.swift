/// One statement that is run for many rows of values, made once and kept: `INSERT`, or `UPDATE` by key.
///
/// It is the fast way to write a batch: SQLite steps one prepared statement, MariaDB gets all rows at once. Keep it in a
/// `static let`; the text has one `?` per column.
public struct BulkStatement: Sendable {
    /// What each row of values does to the table.
    public enum Effect: Sendable {
        /// It inserts one row, or really changes one. A server that says otherwise has not done all, and the write fails.
        case one
        /// It may do nothing, or more.
        case any
    }

    /// The text.
    public let text: String
    /// How many values one row has.
    public let width: Int
    /// What each row of values does to the table.
    public let effect: Effect

    /// Makes a statement whose text the caller vouches for.
    ///
    /// - Parameters:
    ///   - text: Nothing in it may come from outside of the program. It contains no `?` except as a place.
    ///   - effect: `one` for an `UPDATE` that finds and changes a row with all values that it is run for, or else is to fail:
    ///     one on a condition that may not hold is such a write too. Many rows are then sent to MariaDB in one piece, and
    ///     where too few were changed the transaction is done again. SQLite does not count them.
    public init(_ text: String, effect: Effect = .any) {
        precondition(text.hasPrefix("INSERT ") || text.hasPrefix("UPDATE "), "it is known what is done with its rows")
        self.text = text
        self.effect = effect
        width = text.utf8.count { $0 == UInt8(ascii: "?") }
    }

    /// `INSERT INTO table (columns) VALUES (?, …)`.
    public init(insertInto table: String, _ columns: [String]) {
        self.init(
            "INSERT INTO \(table) (\(columns.joined(separator: ", "))) VALUES (\(SQL.placeholders(columns.count)))",
            effect: .one)
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
