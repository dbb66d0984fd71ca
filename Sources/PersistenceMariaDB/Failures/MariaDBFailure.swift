import CMariaDB
import Persistence

/// What an error number of the server or of libmariadb means for a caller.
///
/// The server's own message is left out: it quotes values. Numbers are explained in MariaDB's "Error codes"; what each
/// does to transaction and connection was measured, and is tested where it can be provoked.
struct MariaDBFailure: Equatable {
    let failure: DatabaseError.Failure
    let code: Int
    let reason: String
    /// The connection cannot be used any more, or must not: the server has left its cluster or takes no writes.
    let losesConnection: Bool

    init(_ failure: DatabaseError.Failure, _ code: Int, _ reason: String, losesConnection: Bool = false) {
        self.failure = failure
        self.code = code
        self.reason = reason
        self.losesConnection = losesConnection
    }

    var error: DatabaseError { DatabaseError(failure, reason, code: code, cause: cause) }

    private var cause: DatabaseError.Cause? {
        switch code {
        case 1_153, Int(CR_NET_PACKET_TOO_LARGE): .size
        // No right, no table, no column, a column that is not ours; no memory for locks, no space for tables; how the
        // server is set up; a password that has expired. Whoever is not let in has no statement refused.
        case 1_044, 1_045, 1_054, 1_142, 1_143, 1_146, 1_206, 1_227, 1_364, 1_370, 1_665, 1_709, 1_712, 1_812, 1_820,
            1_862, 1_877:
            .setup
        default: nil
        }
    }

    /// A failure of a statement.
    ///
    /// - Parameter state: The SQLSTATE, which decides where the number is not one of those that matter.
    static func ofStatement(_ code: Int, state: String) -> MariaDBFailure {
        ofConnection(code) ?? ofTransaction(code) ?? ofServer(code) ?? ofData(code) ?? ofSchema(code)
            ?? byState(code, state)
    }

    /// A failure of COMMIT. Only these say for certain that nothing was committed: conflicts, which roll back, and a
    /// connection that was gone before COMMIT could be sent.
    static func ofCommit(_ code: Int, state: String) -> MariaDBFailure {
        let failure = ofStatement(code, state: state)
        switch code {
        case 1_213, 1_205, 1_020, Int(CR_SERVER_GONE_ERROR):
            return MariaDBFailure(
                .retryTransaction, code, failure.reason, losesConnection: failure.losesConnection)
        default:
            return MariaDBFailure(
                .unknownAtCommit, code, "the answer to COMMIT was lost", losesConnection: true)
        }
    }

    private static func ofConnection(_ code: Int) -> MariaDBFailure? {
        switch code {
        case Int(CR_SERVER_GONE_ERROR):
            MariaDBFailure(.resend, code, "the connection was closed", losesConnection: true)
        // Lost, malformed, out of step; killed, server is going down, aborted, network, closed because it was idle.
        case Int(CR_SERVER_LOST), Int(CR_SERVER_LOST_EXTENDED), Int(CR_MALFORMED_PACKET),
            Int(CR_COMMANDS_OUT_OF_SYNC), Int(CR_ERR_NET_READ), Int(CR_ERR_NET_WRITE), 1_927, 1_053, 1_152,
            1_158...1_161, 1_184, 4_031:
            MariaDBFailure(.retryTransaction, code, "the connection was lost", losesConnection: true)
        case 1_047, 1_180:
            MariaDBFailure(
                .retryTransaction, code, "the server is not a member of its cluster", losesConnection: true)
        case 1_290, 1_792, 1_836:
            MariaDBFailure(.retryTransaction, code, "the server takes no writes", losesConnection: true)
        default: nil
        }
    }

    private static func ofTransaction(_ code: Int) -> MariaDBFailure? {
        switch code {
        case 1_213: MariaDBFailure(.retryTransaction, code, "another transaction was in the way")
        case 1_205: MariaDBFailure(.retryTransaction, code, "a lock was held for too long")
        case 1_020: MariaDBFailure(.retryTransaction, code, "a row has changed since it was read")
        case 1_317: MariaDBFailure(.retryTransaction, code, "the statement was interrupted")
        default: nil
        }
    }

    private static func ofServer(_ code: Int) -> MariaDBFailure? {
        switch code {
        case 1_969, 3_024: MariaDBFailure(.unavailable, code, "the statement took longer than it may")
        case 3, 1_021, 1_026, 1_030, 1_114: MariaDBFailure(.unavailable, code, "the server cannot write to its disk")
        case 1_037, 1_038, 1_041: MariaDBFailure(.unavailable, code, "the server has no memory")
        case Int(CR_OUT_OF_MEMORY):
            MariaDBFailure(.unavailable, code, "there is no memory", losesConnection: true)
        case 1_040, 1_203, 1_226: MariaDBFailure(.unavailable, code, "the server has too many connections")
        // No turn is at fault: the same happens to all of them.
        case 1_364: MariaDBFailure(.refuse, code, "the table has a column without a default that is not ours")
        case 1_461: MariaDBFailure(.unavailable, code, "the server has too many statements", losesConnection: true)
        default: nil
        }
    }

    private static func ofData(_ code: Int) -> MariaDBFailure? {
        switch code {
        case 1_153, Int(CR_NET_PACKET_TOO_LARGE):
            MariaDBFailure(.data, code, "the values are larger than max_allowed_packet", losesConnection: true)
        case 1_062, 1_586: MariaDBFailure(.data, code, "the key exists")
        case 1_406: MariaDBFailure(.data, code, "a value is too long for its column")
        // NULL in a column without, out of range, not of the column's type, checks, foreign keys, rows
        // that are too long, too many values; 1105 is what a value in pieces gets that is too long in all.
        case 1_048, 1_105, 1_118, 1_216, 1_217, 1_264, 1_265, 1_292, 1_300, 1_366, 1_390, 1_451, 1_452, 4_025:
            MariaDBFailure(.data, code, "a value was refused")
        default: nil
        }
    }

    /// What an operator must mend before anything is stored.
    private static func ofSchema(_ code: Int) -> MariaDBFailure? {
        switch code {
        case 1_044, 1_142, 1_143, 1_370: MariaDBFailure(.refuse, code, "a right is missing: GRANT in docs/database.md")
        case 1_146: MariaDBFailure(.refuse, code, "a table is missing: turnpike migrate")
        case 1_665:
            MariaDBFailure(.refuse, code, "binlog_format is STATEMENT: set it to ROW or MIXED")
        case 1_709:
            MariaDBFailure(.refuse, code, "innodb_default_row_format is not dynamic: set it so, and migrate again")
        case 1_820, 1_862: MariaDBFailure(.refuse, code, "the user's password has expired")
        default: nil
        }
    }

    private static func byState(_ code: Int, _ state: String) -> MariaDBFailure {
        switch state.prefix(2) {
        case "22", "23": MariaDBFailure(.data, code, "a value was refused")
        case "40": MariaDBFailure(.retryTransaction, code, "the transaction was rolled back")
        case "08": MariaDBFailure(.retryTransaction, code, "the connection was lost", losesConnection: true)
        default: MariaDBFailure(.refuse, code, "the server refused the statement (SQLSTATE \(state))")
        }
    }
}

extension MariaDBFailure {
    /// A failure of connecting. What the operator must mend is `refuse`, what passes by itself `unavailable`.
    ///
    /// - Parameters:
    ///   - detail: What libmariadb itself, not the server, says about TLS.
    ///   - tls: As the address has it.
    static func ofConnecting(_ code: Int, detail: String, tls: ServerAddress.TLS) -> MariaDBFailure {
        switch code {
        case Int(CR_CONNECTION_ERROR), Int(CR_CONN_HOST_ERROR):
            MariaDBFailure(.unavailable, code, "the server cannot be reached")
        case Int(CR_UNKNOWN_HOST): MariaDBFailure(.unavailable, code, "the host is unknown")
        case Int(CR_SERVER_LOST), Int(CR_SERVER_LOST_EXTENDED):
            MariaDBFailure(.unavailable, code, "the server accepts the connection and says nothing")
        case Int(CR_SSL_CONNECTION_ERROR):
            MariaDBFailure(.refuse, code, "no TLS connection: \(printable(detail))\(authorityAdvice(detail))")
        case 1_044:
            MariaDBFailure(.refuse, code, "the user has no rights on this database, or there is none of that name")
        case 1_045, 1_698:
            MariaDBFailure(
                .refuse, code,
                "the server refuses the user or the password" + (tls == .off ? ", or it wants TLS (tls=verify)" : ""))
        case 1_049: MariaDBFailure(.refuse, code, "the server has no such database")
        case 1_130: MariaDBFailure(.refuse, code, "the server refuses connections from this host")
        case 4_151: MariaDBFailure(.refuse, code, "the user's account is locked")
        case 1_820, 1_862: MariaDBFailure(.refuse, code, "the user's password has expired")
        case 1_251, 1_524, Int(CR_AUTH_PLUGIN_CANNOT_LOAD), Int(CR_AUTH_PLUGIN_ERR):
            MariaDBFailure(.refuse, code, "the user's authentication plugin is not supported")
        // Too many connections, no memory.
        default: MariaDBFailure(.unavailable, code, ofServer(code)?.reason ?? "the server does not let us in")
        }
    }

    /// What OpenSSL calls a certificate whose authority it was not given.
    private static func authorityAdvice(_ detail: String) -> String {
        let isUnknown = ["self-signed", "self signed", "local issuer"].contains { detail.contains($0) }
        if isUnknown { return ": name its authority with ca=FILE" }
        return detail.contains("certificate failed") ? ": is it for the host's name, as the address has it?" : ""
    }

    private static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(200).map { (" "..."~").contains($0) ? $0 : "?" }))
    }
}
