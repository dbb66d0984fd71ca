/// Why a database could not do what it was asked, and what may be done about it.
///
/// Neither description contains values, message content or credentials: a back end passes on numbers and names of
/// its own, never the text of a server's message, because those quote values ("Duplicate entry '…'").
public struct DatabaseError: Error, Sendable, Hashable {
    /// What follows from a failure.
    public enum Failure: String, Sendable, Hashable, CaseIterable {
        /// Nothing was sent: sending it again is safe.
        case resend
        /// The transaction is gone (conflict, deadlock, lock held too long): doing it again from its start is safe.
        case retryTransaction
        /// The answer to COMMIT was lost: it may have happened. Only what finds its own traces may be done again.
        case unknownAtCommit
        /// The values were refused, or a column holds something else: doing it again changes nothing.
        case data
        /// The database is not usable as it is: wrong credentials, newer schema, no permission, corrupt file. So is
        /// every error that is not known: it may be the statement's own, but nothing says that the values are wrong, and
        /// what must not be lost is kept until it is mended.
        case refuse
        /// It does not answer now: server down, disk full, closed.
        case unavailable
        /// The queue in front of it is full: nothing was tried.
        case overloaded
    }

    /// What is the matter, where callers tell it apart from all else in its class.
    public enum Cause: Sendable, Hashable {
        /// The values of a row are larger than the database takes.
        case size
        /// Rights, tables or columns are missing, or the server has run out of something: no value is at fault, and
        /// what needs less may be taken meanwhile.
        case setup
    }

    /// What follows from it.
    public let failure: Failure
    /// The number that the engine gave, or 0.
    public let code: Int
    /// What happened, in words that contain no values.
    public let reason: String
    /// Nil: nothing that anybody tells apart.
    public let cause: Cause?

    package init(_ failure: Failure, _ reason: String, code: Int = 0, cause: Cause? = nil) {
        self.failure = failure
        self.code = code
        self.reason = reason
        self.cause = cause
    }

    /// Whether the same transaction may be tried again if it can recognise itself after an unknown commit.
    package var isRetryable: Bool {
        switch failure {
        case .resend, .retryTransaction, .unknownAtCommit: true
        case .data, .refuse, .unavailable, .overloaded: false
        }
    }
}

extension DatabaseError: CustomStringConvertible, CustomDebugStringConvertible {
    /// What a client may be told.
    public var description: String {
        switch failure {
        case .resend, .retryTransaction, .unknownAtCommit, .unavailable: "the database is not available"
        case .overloaded: "the database is overloaded"
        case .data: "the database refused the data"
        case .refuse: "the database cannot be used"
        }
    }

    /// Everything that is known, for the log.
    public var debugDescription: String { "\(failure.rawValue): \(diagnosis)" }

    /// What happened, with the engine's number: for operators, to whom our own class of it says nothing.
    package var diagnosis: String { code == 0 ? reason : "\(reason) (\(code))" }
}
