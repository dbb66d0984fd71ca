import NIOHTTP1
import Synchronization
package import TurnpikeKit

import struct Crypto.SHA256

/// Remembers the base of recent requests, so that one that is sent again can be told from one that only looks like it.
///
/// A client whose "continue" was refused sends it again, marked as a retry. If the turn before was a "continue" too,
/// messages alone cannot tell whether that turn is the one being repeated. The base of the first attempt can: it lies
/// behind the turn. An attempt that was refused before it was planned has no base, and nothing that is stored is its
/// outcome; often nobody has read its body or knows its user, so it is recognised by its head. What was seen by another
/// process is not known here; the plan then goes by messages.
///
/// Holds the newest `capacity` requests of sessions and as many refusals, about 150 bytes each.
package final class AttemptLog: Sendable {
    /// What makes two requests of a session the same to their client.
    package struct Key: Hashable, Sendable {
        let session: SessionKey
        /// Of the messages, and of the header `Idempotency-Key` if the client sent it: it may be as long as a head.
        let request: StoredDigest

        package init(_ session: SessionKey, _ turn: IncomingTurn, idempotencyKey: String? = nil) {
            self.init(session, turn.digest, idempotencyKey: idempotencyKey)
        }

        /// - Parameter turn: the digest of its messages.
        init(_ session: SessionKey, _ turn: StoredDigest, idempotencyKey: String?) {
            self.session = session
            request = idempotencyKey.map { Self.digest(of: turn, under: $0) } ?? turn
        }

        private static func digest(of turn: StoredDigest, under idempotencyKey: String) -> StoredDigest {
            var hash = SHA256()
            turn.update(&hash)
            hash.update(data: Array(idempotencyKey.utf8))
            return StoredDigest(hash.finalize())
        }
    }

    private struct State {
        var attempts: NewestEntries<Key, (base: Int64, order: UInt64)>
        /// When attempts with such heads were refused.
        var refusals: NewestEntries<StoredDigest, UInt64>
        var order: UInt64 = 0

        mutating func next() -> UInt64 {
            order += 1
            return order
        }
    }

    private let state: Mutex<State>

    package init(capacity: Int = 4096) {
        state = Mutex(State(attempts: .init(capacity: capacity), refusals: .init(capacity: capacity)))
    }

    /// The base of the last request with this key, if it is remembered; one that no turn has, if that was refused.
    ///
    /// - Parameter head: of the request, if its client says that it is not the first attempt.
    package func base(of key: Key, sentAgain head: RequestHead? = nil) -> Int64? {
        let mark = head.flatMap(Self.mark)
        return state.withLock { state in
            let attempt = state.attempts[key]
            if let mark, let refusal = state.refusals[mark], refusal > attempt?.order ?? 0 { return .max }
            return attempt?.base
        }
    }

    /// Remembers that a request was planned on `base`.
    package func note(_ key: Key, base: Int64) {
        state.withLock { state in
            let order = state.next()
            state.attempts.set(key, (base, order))
        }
    }

    /// Remembers that a first attempt with this head was refused.
    package func noteRefusal(_ head: RequestHead) {
        guard let mark = Self.mark(head) else { return }
        state.withLock { state in
            let order = state.next()
            state.refusals.set(mark, order)
        }
    }

    /// What is the same in the heads of all attempts, and seldom in those of two requests: who sends it, where to, in which
    /// session, and how long its body is.
    private static func mark(_ head: RequestHead) -> StoredDigest? {
        guard let length = head.headers.first(name: "content-length") else { return nil }
        var hash = SHA256()
        for name in ["authorization", "x-session-id"] {
            hash.update(data: Array((head.headers.first(name: name) ?? "").utf8) + [0])
        }
        hash.update(data: Array(head.target.utf8) + [0] + Array(length.utf8))
        return StoredDigest(hash.finalize())
    }
}

/// Values by keys, of which the one that was added first is forgotten when there are too many.
private struct NewestEntries<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let capacity: Int
    private var values: [Key: Value] = [:]
    private var order: [Key] = []
    private var oldest = 0

    init(capacity: Int) {
        precondition(capacity > 0, "A log that holds nothing tells nothing.")
        self.capacity = capacity
    }

    subscript(key: Key) -> Value? { values[key] }

    mutating func set(_ key: Key, _ value: Value) {
        if values.updateValue(value, forKey: key) != nil { return }
        guard order.count == capacity else { return order.append(key) }
        values[order[oldest]] = nil
        order[oldest] = key
        oldest = (oldest + 1) % capacity
    }
}
