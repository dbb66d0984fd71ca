import Persistence
import TurnpikeKit

/// What an exchange took a session to be without asking the database: the version that memory had.
///
/// Checked under the session's lock when the turn is stored: a turn that was planned on what another process had changed is
/// not stored. Not seen is a change of others for which one that this process makes at that moment may be taken, and a turn
/// that is spooled is not checked.
package struct Premise: Sendable, Equatable {
    var version: Int64
    /// When the session expires without this turn.
    var expiresAt: Timestamp?
    /// By the cache's clock.
    var since: UInt64
}

/// The session of an exchange, where it was taken from memory unasked.
enum PremiseKey: ExchangeKey { typealias Value = Premise }

/// What a process knows of its own changes to a session. Times are of the cache's clock.
///
/// Each change raises the version by one. So of what lies between a premise and what is found, as much is its own as it
/// has made changes since: where the version has risen by more, somebody else changed the session too.
struct OwnChanges {
    /// Most runs of versions, and most times, that are remembered.
    private static let remembered = 16

    /// The newest change.
    var last: UInt64 = 0
    /// When changes were made of which the version is not known, oldest first.
    private var unknown: [UInt64] = []
    /// The versions that it made, in runs without a gap, oldest first.
    private var versions: [ClosedRange<Int64>] = []
    /// What lies up to here is too old to be remembered, and taken for its own.
    private var forgottenVersion = Int64.min
    private var forgottenTime: UInt64 = 0

    /// - Parameter version: that the newest change made; nil: not known.
    mutating func note(_ version: Int64?) {
        if let version { note(version) } else { noteUnknown() }
    }

    private mutating func note(_ version: Int64) {
        guard let newest = versions.last else { return versions.append(version...version) }
        if newest.upperBound == version - 1 {
            versions[versions.count - 1] = newest.lowerBound...version
        } else if newest.upperBound < version {
            versions.append(version...version)
        } else if !newest.contains(version) {
            // Older than what it knows: the tables are not those they were.
            versions = [version...version]
        }
        if versions.count > Self.remembered { forgottenVersion = versions.removeFirst().upperBound }
    }

    private mutating func noteUnknown() {
        unknown.append(last)
        if unknown.count > Self.remembered { forgottenTime = unknown.removeFirst() }
    }

    /// Whether all that lies between a premise and the version that was found may be its own changes.
    ///
    /// - Parameters:
    ///   - found: nil: there is no such session any more.
    ///   - underWay: How many changes of its own may be in the database, or not.
    func explain(_ premise: Premise, _ found: Int64?, underWay: Int = 0) -> Bool {
        if forgottenTime > premise.since { return true }
        let unnumbered = Int64(underWay + unknown.count(where: { $0 > premise.since }))
        guard let found else { return unnumbered > 0 }
        guard found > premise.version else { return false }
        let start = max(premise.version, min(found, forgottenVersion))
        let numbered = versions.reduce(Int64(0)) { count, run in
            count + max(0, min(run.upperBound, found) - max(run.lowerBound - 1, start))
        }
        return found - start <= numbered + unnumbered
    }
}
