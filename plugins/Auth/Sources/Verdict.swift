import TurnpikeKit

/// What a key turned out to be.
enum Verdict: Sendable {
    /// Stored and not revoked; whether it has expired is for the moment of its use to say.
    case verified(VerifiedKey)
    /// Stored, and revoked.
    case revoked
    /// Not stored.
    case unknown
}

/// A key that is stored. A class, so that the cache hands it out with one reference count.
final class VerifiedKey: Sendable {
    let principal: Principal
    /// Microseconds of the wall clock; `nil` never.
    let expires: Int64?

    init(principal: Principal, expires: Int64?) {
        self.principal = principal
        self.expires = expires
    }
}
