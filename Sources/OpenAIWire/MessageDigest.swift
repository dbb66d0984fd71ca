public import NIOCore

import struct Crypto.SHA256

/// What two messages have in common if they mean the same: the digest by which histories are compared.
///
/// A client sends back what a model answered in its own spelling: keys in another order, `content` left out where it
/// was null, a string where there were parts. Such messages have equal digests; any difference in role, text, image,
/// file, audio, tool call, `tool_call_id` or `name` makes them differ. Every other field is ignored.
///
/// The rules have a version, which is part of what is hashed and which is stored beside the digest: digests of
/// different versions never match, and are computed anew from the stored message.
public struct MessageDigest: Sendable, Hashable {
    /// The version of the rules below.
    public static let version: UInt8 = 1
    /// Bytes in a digest.
    public static let byteCount = 32

    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// The digest of `message`, whose bytes should have been validated.
    public init(_ message: ChatMessage) throws(WireError) {
        try self.init(messageJSON: message.bytes)
    }

    /// The digest of the message whose JSON is `bytes`.
    public init(messageJSON bytes: ByteBuffer) throws(WireError) {
        var canonical = CanonicalMessage(capacity: bytes.readableBytes)
        try canonical.encode(bytes)
        let digest = SHA256.hash(data: canonical.bytes)
        words = digest.withUnsafeBytes { $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self) }
    }

    /// A stored digest; nil unless it is 32 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        words = Array(bytes).withUnsafeBytes { $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self) }
    }

    /// The digest's bytes where they are.
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        Swift.withUnsafeBytes(of: words, body)
    }

    /// The digest's bytes, for storing.
    public var bytes: [UInt8] {
        withUnsafeBytes { Array($0) }
    }

    /// Whether the messages mean the same.
    public static func == (one: MessageDigest, other: MessageDigest) -> Bool {
        one.words == other.words
    }

    /// A part of the digest is hash enough.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
    }
}
