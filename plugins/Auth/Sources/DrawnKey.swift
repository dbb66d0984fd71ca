import Persistence
import TurnpikeKit

/// A key that was drawn and is not stored yet: what there is of it before anybody says whose it is.
struct DrawnKey: Sendable {
    let id: UniqueID
    let secret: Secret
    let prefix: String
    /// What is stored of it, made with the hash key of this id.
    let hash: SQLValue
    let hashKeyID: String
    let created: Timestamp
    /// `nil` never.
    let expires: Timestamp?

    /// Draws one. Throws ``KeyStoreError/expiryInThePast``.
    init(_ keys: HashKeys, expires: Timestamp?, at now: Timestamp) throws {
        if let expires, expires <= now { throw KeyStoreError.expiryInThePast }
        (secret, prefix) = APIKey.generate()
        var text = secret.reveal()
        hash = .blob(text.withUTF8 { keys.hash(UnsafeRawBufferPointer($0)) })
        hashKeyID = keys.currentID
        id = .generate()
        created = now
        self.expires = expires
    }
}
