import Persistence
import TurnpikeKit

/// What an exchange took a session to be without asking the database: the version that memory had.
///
/// Checked under the session's lock when the turn is stored: a turn that was planned on what another process had changed is
/// not stored, however that could happen.
package struct Premise: Sendable, Equatable {
    var version: Int64
    /// When the session expires without this turn.
    var expiresAt: Timestamp?
    /// By the cache's clock.
    var since: UInt64
}

/// The session of an exchange, where it was taken from memory unasked.
package enum PremiseKey: ExchangeKey { package typealias Value = Premise }

/// What a process knows of its own changes to a session. Times are of the cache's clock.
struct OwnChanges {
    /// The newest change.
    var last: UInt64 = 0
    /// The newest change of which the version is not known.
    private var lastUnknown: UInt64 = 0
    /// The newest versions that it made, one after the other.
    private var versions: ClosedRange<Int64>?

    /// - Parameter version: that the newest change made; nil: not known.
    mutating func note(_ version: Int64?) {
        guard let version else {
            lastUnknown = last
            return
        }
        let isNext = versions.map { $0.upperBound == version - 1 } ?? false
        versions = (isNext ? versions?.lowerBound ?? version : version)...version
    }

    /// Whether all that lies between a premise and the version that was found may be its own changes.
    func explain(_ premise: Premise, _ found: Int64?) -> Bool {
        if lastUnknown > premise.since { return true }
        guard let found, let versions else { return false }
        return versions.upperBound == found && versions.lowerBound <= premise.version + 1
    }
}
