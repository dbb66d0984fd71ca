import Crypto

/// The SHA-256 of a key as it was presented: what caches and lookups in flight are keyed by, so that no key lies in
/// memory for longer than its request. It lives in this process only; what is stored is an HMAC (see ``HashKeys``).
struct Fingerprint: Hashable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    init(of bytes: UnsafeRawBufferPointer) {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        words = hash.finalize().withUnsafeBytes { digest in
            (
                digest.loadUnaligned(as: UInt64.self), digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                digest.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                digest.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
            )
        }
    }

    static func == (left: Fingerprint, right: Fingerprint) -> Bool { left.words == right.words }

    /// One word is enough to spread by: a digest's bits are as random as they get.
    func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}
