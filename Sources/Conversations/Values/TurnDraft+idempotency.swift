package import Persistence

import struct Crypto.SHA256

extension TurnDraft {
    /// The id of a turn that a client appends with an `Idempotency-Key`: the same again when it sends the same again, so
    /// that it is stored once.
    ///
    /// - Parameters:
    ///   - key: the header's value. It is good within one session.
    ///   - index: which of the request's turns it is. Other messages under the same key are another turn: a key that is
    ///     used twice by mistake loses nothing.
    package static func id(of messages: [NewMessage], at index: Int, idempotencyKey key: String) -> UniqueID {
        var hash = SHA256()
        hash.update(data: Array("\(key.utf8.count):\(key):\(index)".utf8))
        for message in messages { hash.update(data: message.digest.bytes) }
        guard let id = UniqueID(bytes: Array(hash.finalize().prefix(16))) else {
            preconditionFailure("An id has 16 bytes.")
        }
        return id
    }
}
