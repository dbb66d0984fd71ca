import Persistence
import Synchronization
import TurnpikeKit

/// Messages that exchanges under way are going to store: limits count them beside what is stored, so that exchanges that
/// begin at once do not pass together. It knows those of this process.
package final class MessageHolds: Sendable {
    private struct Counts {
        var users: [UniqueID: Int] = [:]
        var sessions: [SessionKey: Int] = [:]
    }

    private let counts = Mutex(Counts())

    init() {}

    /// Counts messages of a session from now on, and gives what is held of it and of its user with them.
    func take(_ count: Int, of key: SessionKey) -> (hold: MessageHold, session: Int, user: Int) {
        let (session, user) = add(count, key)
        return (MessageHold(self, count, key), session, user)
    }

    /// What exchanges hold of a session and of its user.
    func held(of key: SessionKey) -> (session: Int, user: Int) {
        counts.withLock { ($0.sessions[key] ?? 0, $0.users[key.owner] ?? 0) }
    }

    /// What exchanges hold of all sessions of a user.
    func held(of owner: UniqueID) -> Int { counts.withLock { $0.users[owner] ?? 0 } }

    @discardableResult
    fileprivate func add(_ count: Int, _ key: SessionKey) -> (session: Int, user: Int) {
        counts.withLock { counts in
            counts.users[key.owner] = Self.sum(counts.users[key.owner], count)
            counts.sessions[key] = Self.sum(counts.sessions[key], count)
            return (counts.sessions[key] ?? 0, counts.users[key.owner] ?? 0)
        }
    }

    /// Nil for nothing, so that only those who hold something are remembered.
    private static func sum(_ held: Int?, _ change: Int) -> Int? {
        let sum = (held ?? 0) + change
        return sum == 0 ? nil : sum
    }
}

/// What one exchange holds. It is to be released when its turn is stored, or will not be.
package final class MessageHold: Sendable {
    private let holds: MessageHolds
    private let count: Int
    private let key: SessionKey
    private let isReleased = Mutex(false)

    fileprivate init(_ holds: MessageHolds, _ count: Int, _ key: SessionKey) {
        self.holds = holds
        self.count = count
        self.key = key
    }

    /// Counts the messages no more. Idempotent.
    package func release() {
        let isFirst = isReleased.withLock { isReleased in
            defer { isReleased = true }
            return !isReleased
        }
        if isFirst { holds.add(-count, key) }
    }
}

/// Left in an exchange whose user has limits.
package enum MessageHoldKey: ExchangeKey { package typealias Value = MessageHold }

extension ConversationStore {
    /// Counts messages that an exchange is going to store against the limits, before it costs anything.
    ///
    /// What memory knows of the session is enough for its own limit. That of the user takes the database's sums: while it
    /// does not answer nobody is refused by them.
    /// - Throws: `ConversationError.tooManyMessages`: then nothing is held.
    package func hold(_ count: Int, of key: SessionKey, within limits: MessageLimits) async throws -> MessageHold {
        let (hold, ofSession, ofUser) = holds.take(count, of: key)
        do {
            // Read after it is held: what others have released by then is stored and seen here.
            let session = try await sessionOfExchange(SessionReference(key.session), of: key.owner)
            try limits.check(session: session.map { Int($0.nextSeq) - 1 } ?? 0, adding: ofSession)
            guard limits.perUser != nil else { return hold }
            let stored = try await storedMessages(of: key.owner)
            if let stored { try limits.check(user: Int(stored), adding: ofUser) }
            return hold
        } catch {
            hold.release()
            throw error
        }
    }

    /// Nil while the database does not answer.
    private func storedMessages(of owner: UniqueID) async throws -> Int64? {
        do {
            return try await readPromptly { try $0.storedMessages(of: owner) }
        } catch let error as DatabaseError where error.isAbsence && durability != nil {
            return nil
        }
    }
}
