import Persistence

/// Which sessions have come to their own end at a moment.
///
/// Not those of which turns wait in the spool: their rows know nothing of what was said in an outage, and whoever deletes
/// such a session loses turns of which clients have seen the end.
struct Expiry: Sendable {
    let time: Timestamp
    /// Whether turns of a session wait to be stored.
    private let waits: @Sendable (SessionKey) -> Bool

    init(at time: Timestamp, waits: @escaping @Sendable (SessionKey) -> Bool = { _ in false }) {
        self.time = time
        self.waits = waits
    }

    func hasEnded(_ session: Session) -> Bool { hasEnded(session.key, by: session.expiresAt) }

    /// - Parameter end: the session's own; nil: it has none.
    func hasEnded(_ key: SessionKey, by end: Timestamp?) -> Bool { (end.map { $0 <= time } ?? false) && !waits(key) }

    /// Of sessions whose rows say that they have ended those that have.
    func ended(_ keys: [SessionKey]) -> [SessionKey] { keys.filter { !waits($0) } }
}
