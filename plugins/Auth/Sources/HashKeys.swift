import Crypto
import NIOCore
package import TurnpikeKit

/// The keys that API keys are hashed with (HMAC-SHA-256): whoever reads the database alone can neither use nor test a
/// key. New API keys are hashed with the current one; the others are for keys that were made before a rotation.
package struct HashKeys: Sendable, Equatable {
    /// The least number of bytes of a hash key.
    package static let minimumLength = 32

    private let current: (id: String, key: SymmetricKey)
    private let former: [(id: String, key: SymmetricKey)]

    /// - Parameter former: In any order; the current one must not be among them.
    package init(current: (id: String, secret: Secret), former: [(id: String, secret: Secret)] = []) {
        self.current = (current.id, Self.key(current.secret))
        self.former = former.map { ($0.id, Self.key($0.secret)) }
    }

    /// The id of the key that new hashes are made with.
    package var currentID: String { current.id }

    /// Whether every API key hashes the same under both.
    package static func == (left: HashKeys, right: HashKeys) -> Bool {
        func byID(_ keys: HashKeys) -> [String: SymmetricKey] {
            Dictionary(keys.former.map { ($0.id, $0.key) }) { first, _ in first }
        }
        return left.current == right.current && byID(left) == byID(right)
    }

    /// How an API key is stored.
    func hash(_ bytes: UnsafeRawBufferPointer) -> ByteBuffer { Self.hash(bytes, current.key) }

    /// Everything that an API key may be stored as, the current one first.
    func hashes(_ bytes: UnsafeRawBufferPointer) -> [ByteBuffer] {
        [hash(bytes)] + former.map { Self.hash(bytes, $0.key) }
    }

    private static func key(_ secret: Secret) -> SymmetricKey { SymmetricKey(data: Array(secret.reveal().utf8)) }

    private static func hash(_ bytes: UnsafeRawBufferPointer, _ key: SymmetricKey) -> ByteBuffer {
        ByteBuffer(bytes: HMAC<SHA256>.authenticationCode(for: bytes, using: key))
    }
}

extension HashKeys: CustomStringConvertible, CustomReflectable {
    package var description: String { "<hash keys>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
