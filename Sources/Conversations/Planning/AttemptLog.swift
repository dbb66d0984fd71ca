package import Persistence
import Synchronization

import struct Crypto.SHA256

/// Remembers the base of recent requests, so that one that is sent again can be told from one that only looks like it.
///
/// A client whose "continue" was refused sends it again, marked as a retry. If the turn before was a "continue" too,
/// messages alone cannot tell whether that turn is the one being repeated. The base of the first attempt can: it lies
/// behind the turn. An attempt that was refused before it was planned has no base, and nothing that is stored is its
/// outcome. What was seen by another process is not known here; the plan then goes by messages.
///
/// Holds the newest `capacity` requests of sessions, about 250 bytes each.
package final class AttemptLog: Sendable {
    /// What makes two requests of a session the same to their client.
    package struct Key: Hashable, Sendable {
        let owner: UniqueID
        /// What the request calls its session: an attempt may be refused before anybody knows which one that is.
        let session: String
        /// Of the messages, and of the header `Idempotency-Key` if the client sent it: it may be as long as a head.
        let request: StoredDigest

        package init(_ owner: UniqueID, _ session: String, _ turn: IncomingTurn, idempotencyKey: String? = nil) {
            self.owner = owner
            self.session = session
            request = idempotencyKey.map { Self.digest(of: turn, under: $0) } ?? turn.digest
        }

        private static func digest(of turn: IncomingTurn, under idempotencyKey: String) -> StoredDigest {
            var hash = SHA256()
            turn.digest.update(&hash)
            hash.update(data: Array(idempotencyKey.utf8))
            return StoredDigest(hash.finalize())
        }
    }

    private struct State {
        var bases: [Key: Int64] = [:]
        var order: [Key] = []
        var oldest = 0
    }

    private let capacity: Int
    private let state = Mutex(State())

    package init(capacity: Int = 4096) {
        precondition(capacity > 0, "A log that holds nothing tells nothing.")
        self.capacity = capacity
    }

    /// The base of the last request with this key, if it is remembered.
    package subscript(key: Key) -> Int64? { state.withLock { $0.bases[key] } }

    /// Remembers that a request was refused, and is the base of no turn.
    package func noteRefusal(_ key: Key) { note(key, base: .max) }

    /// Remembers that a request was planned on `base`; the oldest one is forgotten for it.
    package func note(_ key: Key, base: Int64) {
        state.withLock { state in
            if state.bases.updateValue(base, forKey: key) != nil { return }
            guard state.order.count == capacity else { return state.order.append(key) }
            state.bases[state.order[state.oldest]] = nil
            state.order[state.oldest] = key
            state.oldest = (state.oldest + 1) % capacity
        }
    }
}
