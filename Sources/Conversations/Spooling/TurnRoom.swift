import Journal

/// Room in the spool for the turn of an exchange, kept until the exchange is over: released, or out of use.
///
/// It begins with the request and a first part of the answer, and grows while the answer does, always ahead of what was
/// relayed: what was relayed can be spooled.
package final class TurnRoom: Sendable {
    /// How far the room is ahead of the answer.
    private static let step = 256 << 10

    /// For how many messages room is reserved before it is known how many of the request are new.
    static let usualMessages = 16

    let reservation: JournalReservation?
    /// What the request takes.
    private let request: Int
    private let writes: DatabaseHealth?

    /// Room without bounds.
    init() { (reservation, request, writes) = (nil, 0, nil) }

    /// - Parameter writes: whether the database takes turns.
    init(_ reservation: JournalReservation, request: Int, writes: DatabaseHealth) {
        self.reservation = reservation
        self.request = request
        self.writes = writes
    }

    /// What a request of `count` bytes takes in the spool without its messages' own overhead.
    static func size(ofRequest count: Int) -> Int { count + count / 4 + 4_096 }

    /// What an answer of `count` bytes takes in a turn of so many messages, beside the request.
    static func size(ofAnswer count: Int, messages: Int) -> Int { messages * 256 + count + count / 4 }

    /// Makes sure that there is room for the turn with `count` bytes of its answer, and for some more where the spool has
    /// it.
    ///
    /// While the database takes turns there need not be: the turn will most likely be committed, and if it is not, the
    /// answer's end is withheld.
    ///
    /// - Parameters:
    ///   - messages: how many the turn has; each takes some bytes beside its own.
    ///   - isWhole: whether nothing more of the answer comes.
    /// - Returns: With how many bytes of the answer to ask again.
    /// - Throws: `full`, while the database takes no turns: the answer is not worth going on with.
    package func cover(answer count: Int, messages: Int, isWhole: Bool = false) throws(TurnRoomError) -> Int {
        guard let reservation, let writes else { return .max }
        let ahead = count + Self.step
        if !isWhole, reservation.grow(to: request + Self.size(ofAnswer: ahead, messages: messages)) { return ahead }
        if reservation.grow(to: request + Self.size(ofAnswer: count, messages: messages)) { return count }
        guard writes.isAnswering else { throw .full }
        return ahead
    }

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
