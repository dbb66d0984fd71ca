import Journal

/// Room in the spool for the turn of an exchange, kept until the exchange is over: released, or out of use.
package final class TurnRoom: Sendable {
    let reservation: JournalReservation?

    init(_ reservation: JournalReservation?) { self.reservation = reservation }

    /// Gives it back. Idempotent.
    package func release() { reservation?.release() }
}

/// Why there is no room for a turn.
package enum TurnRoomError: Error, Sendable, Equatable {
    /// Not now.
    case full
    /// A turn of this size can never be spooled.
    case tooLarge(limit: Int)
}
