import NIOCore
public import OpenAIWire
public import Persistence

import struct Crypto.SHA256

/// The digest of a message or of a request: 32 bytes that somebody else computed; here they are stored and compared.
public struct StoredDigest: Hashable, Sendable {
    // Four words and not an array: histories hold thousands of them. Not a SIMD vector either: that wants to lie at a
    // multiple of 32 bytes, and Swift 6.3's frames of async functions do not: a value with such a one inside them was
    // written over its neighbour, in release builds as in debug ones.
    private let first: UInt64
    private let second: UInt64
    private let third: UInt64
    private let fourth: UInt64

    /// - Returns: nil if there are not exactly 32 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        if let made = bytes.withContiguousStorageIfAvailable({ StoredDigest(UnsafeRawBufferPointer($0)) }) {
            self = made
        } else {
            self = Array(bytes).withUnsafeBytes { StoredDigest($0) }
        }
    }

    public init(_ digest: MessageDigest) { self = digest.withUnsafeBytes { StoredDigest($0) } }

    init(_ digest: SHA256.Digest) { self = digest.withUnsafeBytes { StoredDigest($0) } }

    /// - Parameter bytes: 32 of them.
    private init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == 32, "A digest has 32 bytes.")
        func word(_ offset: Int) -> UInt64 {
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        (first, second, third, fourth) = (word(0), word(8), word(16), word(24))
    }

    /// A part of the digest is hash enough.
    public func hash(into hasher: inout Hasher) { hasher.combine(first) }

    /// Adds the digest's bytes to a hash.
    func update(_ hash: inout SHA256) {
        let words = (first.bigEndian, second.bigEndian, third.bigEndian, fourth.bigEndian)
        withUnsafeBytes(of: words) { hash.update(bufferPointer: $0) }
    }

    public var bytes: [UInt8] {
        Array(unsafeUninitializedCapacity: 32) { target, count in
            count = Self.byteCount
            if let start = target.baseAddress { write(to: start) }
        }
    }

    /// How many bytes a digest has.
    static let byteCount = 32

    /// Writes them where there is room for so many.
    func write(to place: UnsafeMutableRawPointer) {
        place.storeBytes(of: first.bigEndian, toByteOffset: 0, as: UInt64.self)
        place.storeBytes(of: second.bigEndian, toByteOffset: 8, as: UInt64.self)
        place.storeBytes(of: third.bigEndian, toByteOffset: 16, as: UInt64.self)
        place.storeBytes(of: fourth.bigEndian, toByteOffset: 24, as: UInt64.self)
    }
}

extension StoredDigest: SQLBindable, ColumnValue {
    public var sqlValue: SQLValue {
        var buffer = ByteBufferAllocator().buffer(capacity: 32)
        for word in [first, second, third, fourth] { buffer.writeInteger(word) }
        return .blob(buffer)
    }

    public init(_ row: borrowing Row, _ column: Int) throws {
        let digest = try row.withBytes(column) { StoredDigest(bytes: $0) }
        guard let digest else { throw row.mismatch(column, "a digest of 32 bytes") }
        self = digest
    }
}

extension BulkRows {
    /// The next value.
    func append(_ digest: StoredDigest) { digest.write(to: append(blobOf: StoredDigest.byteCount)) }

    /// The next value, or NULL.
    func append(_ digest: StoredDigest?) { if let digest { append(digest) } else { appendNull() } }
}
