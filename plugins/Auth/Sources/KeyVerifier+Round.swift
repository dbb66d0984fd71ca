import Persistence
import TurnpikeKit

extension KeyVerifier.State {
    /// Verified keys that a change has put in doubt and that are looked up again, many in one query.
    struct Round: Sendable {
        typealias Doubt = (fingerprint: Fingerprint, keyID: UniqueID)

        /// Keys in one query.
        static let batch = 256
        /// Keys in one round: what more there are waits for the next poll, or for its own use.
        static let limit = 16_384

        let epoch: UInt64
        let doubts: [Doubt]
        /// Whether these were as many as a round may have, so that there may be more.
        let isFull: Bool

        var batches: [ArraySlice<Doubt>] {
            stride(from: 0, to: doubts.count, by: Self.batch).map { doubts[$0..<min($0 + Self.batch, doubts.count)] }
        }
    }

    /// Whether there are verified keys in doubt, and whether somebody looks them up.
    ///
    /// `none → some → underWay → none`, back to `some` if a round failed, did not reach all, or a change came meanwhile.
    enum Doubts {
        case none
        case some
        case underWay
        /// And a change has come since the round began.
        case underWayAndMore

        mutating func arise() {
            switch self {
            case .none, .some: self = .some
            case .underWay, .underWayAndMore: self = .underWayAndMore
            }
        }
    }

    /// What to look up again now; nil if there is nothing, or another round is under way, which takes its time when the
    /// database hangs. Must be followed by ``endRound(_:reachedAll:)``.
    ///
    /// - Parameter limit: keys in the round, for tests.
    mutating func beginRound(limit: Int = Round.limit) -> Round? {
        guard case .some = doubts else { return nil }
        let found = verified.first(limit) { $0.epoch != epoch }
        doubts = .underWay
        return Round(
            epoch: epoch, doubts: found.map { ($0.fingerprint, $0.value.key.principal.keyID) },
            isFull: found.count == limit)
    }

    /// Believes those of a batch that were found, and forgets the others. False if a change has come meanwhile: then
    /// what was read may be older than it, and changes nothing.
    mutating func settle(_ batch: ArraySlice<Round.Doubt>, of round: Round, _ found: [UniqueID: VerifiedKey]) -> Bool {
        guard round.epoch == epoch else { return false }
        for (fingerprint, keyID) in batch {
            guard let key = found[keyID] else {
                verified.remove(fingerprint)
                continue
            }
            // One that was used meanwhile has been looked up on its own.
            verified.update(fingerprint) { if $0.epoch != epoch { $0 = Remembered(key: key, epoch: epoch) } }
        }
        return true
    }

    /// The round is over. `reachedAll`: every batch of it was settled.
    mutating func endRound(_ round: Round, reachedAll: Bool) {
        let isLast = reachedAll && !round.isFull
        switch doubts {
        case .underWay: doubts = isLast ? .none : .some
        case .underWayAndMore: doubts = .some
        case .none, .some: preconditionFailure("A round ends once.")
        }
    }
}
