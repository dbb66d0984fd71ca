import Persistence
import TurnpikeKit

/// What an exchange took a session to be without asking the database: the version that memory had.
///
/// Checked under the session's lock when the turn is stored: a turn that was planned on what another process had changed is
/// not stored. One that is spooled is not checked: it was said, and is kept. Nor is one during whose exchange this process has
/// changed more sessions than ``OwnChanges`` remembers: what it did itself is then not told from what others did.
package struct Premise: Sendable, Equatable {
    var version: Int64
    /// When the session expires without this turn.
    var expiresAt: Timestamp?
    /// By the cache's clock.
    var since: UInt64
}

/// The session of an exchange, where it was taken from memory unasked.
enum PremiseKey: ExchangeKey { typealias Value = Premise }
