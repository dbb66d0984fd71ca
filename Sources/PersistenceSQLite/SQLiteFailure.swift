import GRDB
import GRDBSQLite
import Persistence

/// What SQLite's result codes mean for a caller.
enum SQLiteFailure {
    /// The error for a code. SQLite's own message is left out: it may quote values.
    static func error(code: Int32) -> Persistence.DatabaseError {
        let failure: Persistence.DatabaseError.Failure =
            switch code & 0xFF {
            case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_INTERRUPT, SQLITE_SCHEMA: .retryTransaction
            case SQLITE_CONSTRAINT, SQLITE_TOOBIG, SQLITE_MISMATCH, SQLITE_RANGE: .data
            case SQLITE_FULL, SQLITE_IOERR, SQLITE_NOMEM, SQLITE_NOLFS: .unavailable
            default: .refuse
            }
        return Persistence.DatabaseError(
            failure, String(cString: sqlite3_errstr(code)), code: Int(code), cause: code == SQLITE_TOOBIG ? .size : nil)
    }

    /// The error of a COMMIT: after a failed write or fsync nobody knows whether the transaction will be there.
    static func atCommit(_ error: Persistence.DatabaseError) -> Persistence.DatabaseError {
        guard error.code & 0xFF == Int(SQLITE_IOERR) else { return error }
        return Persistence.DatabaseError(.unknownAtCommit, error.reason, code: error.code)
    }

    /// GRDB's errors in our terms; every other error passes.
    static func translated(_ error: any Error) -> any Error {
        guard let error = error as? GRDB.DatabaseError else { return error }
        if error.resultCode == .SQLITE_MISUSE {
            return Persistence.DatabaseError(.unavailable, "the database is closed")
        }
        // There is one code for all that can be wrong with a statement.
        if error.resultCode == .SQLITE_ERROR, let message = error.message, isOfSchema(message) {
            return Persistence.DatabaseError(
                .refuse, "a table or a column is missing: turnpike migrate", code: Int(SQLITE_ERROR), cause: .setup)
        }
        return Self.error(code: error.extendedResultCode.rawValue)
    }

    private static func isOfSchema(_ message: String) -> Bool {
        ["no such table", "no such column", "has no column"].contains { message.contains($0) }
    }
}
