/// A connection while a closure uses it: statements, one after the other, on the thread of that closure.
///
/// It is lent: it must not leave the closure. While the rows of `forEach` are being read no other statement may run on
/// it (libmariadb answers "commands out of sync"; here it is a precondition on both back ends).
public protocol Connection: AnyObject {
    /// Which SQL it speaks.
    var dialect: Dialect { get }

    /// Runs a statement that gives no rows.
    ///
    /// - Returns: How many rows it inserted, deleted or really changed. An `UPDATE` that sets what is already there
    ///   counts 0 on MariaDB and 1 on SQLite: do not build on it.
    @discardableResult
    func execute(_ sql: SQL) throws -> Int

    /// Runs a statement once per row; all rows, or an error (the transaction is then to be given up).
    func execute(_ statement: BulkStatement, rows: BulkRows) throws

    /// Runs several bulk statements in this order, as parts of one whole: over a network they are sent together, and
    /// their answers awaited together.
    ///
    /// When one fails, those behind it may have been run all the same: the transaction is to be given up, and an error is
    /// that of the first one that failed.
    func execute(_ writes: [BulkWrite]) throws

    /// Reads the rows of a query one by one, as they arrive; nothing is collected.
    func forEach(_ sql: SQL, _ body: (borrowing Row) throws -> RowStep) throws
}

/// A connection to a server that may become read-only while it is open, because another one is the primary from then on.
package protocol ReplicatedConnection: Connection {
    /// Asks the server whether it still takes writes. Where it does not, neither this connection nor those beside it are
    /// used again: what they would read is how things were before the switch. Alone in its closure.
    func checkTakesWrites() throws
}

/// Whether a query goes on behind a row.
public enum RowStep: Sendable {
    /// Read on.
    case next
    /// That was enough: the rest of the result is dropped.
    case stop
}

extension Connection {
    /// Runs a statement once per row; all rows, or an error (the transaction is then to be given up).
    ///
    /// - Parameter values: The values of all rows, one row after the other.
    public func execute(_ statement: BulkStatement, rows values: [SQLValue]) throws {
        try execute(statement, rows: BulkRows(width: statement.width, values))
    }

    /// One after the other, up to the first that fails.
    public func execute(_ writes: [BulkWrite]) throws {
        for write in writes { try execute(write.statement, rows: write.rows) }
    }

    /// All rows of a query, each as `decode` makes it. For results that are known to be small.
    public func rows<Value>(_ sql: SQL, _ decode: (borrowing Row) throws -> Value) throws -> [Value] {
        var values: [Value] = []
        try forEach(sql) { row in
            values.append(try decode(row))
            return .next
        }
        return values
    }

    /// The first row of a query, or nil.
    public func first<Value>(_ sql: SQL, _ decode: (borrowing Row) throws -> Value) throws -> Value? {
        var value: Value?
        try forEach(sql) { row in
            value = try decode(row)
            return .stop
        }
        return value
    }
}
