/// How long a caller waits for a database.
public enum Waiting: Sendable {
    /// As long as a client may be kept waiting: the patience of the database (`spool.commit_deadline`, at least 2 s) if in
    /// that time it answers nobody, and five times that if it is only this access that takes long, because a table is
    /// locked or much has to be looked at.
    case promptly
    /// Until there is an answer, or the connection is given up: for work in the background, which has time.
    case patiently

    /// How many times the patience.
    static let longest = 5
}
