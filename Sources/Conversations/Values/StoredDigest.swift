import NIOCore
public import OpenAIWire
public import Persistence

/// The digest of a message or of a request: 32 bytes that somebody else computed; here they are stored and compared.
public struct StoredDigest: Hashable, Sendable {
    // Four words and not an array: histories hold thousands of them.
    private let words: SIMD4<UInt64>

    /// - Returns: nil if there are not exactly 32 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        var words = SIMD4<UInt64>()
        for (index, byte) in bytes.enumerated() { words[index / 8] = words[index / 8] << 8 | UInt64(byte) }
        self.words = words
    }

    public init(_ digest: MessageDigest) {
        var words = SIMD4<UInt64>()
        for (index, byte) in digest.bytes.enumerated() { words[index / 8] = words[index / 8] << 8 | UInt64(byte) }
        self.words = words
    }

    public var bytes: [UInt8] {
        (0..<32).map { UInt8(truncatingIfNeeded: words[$0 / 8] >> UInt64(56 - ($0 & 7) * 8)) }
    }
}

extension StoredDigest: SQLBindable, ColumnValue {
    public var sqlValue: SQLValue { .blob(ByteBuffer(bytes: bytes)) }

    public init(_ row: borrowing Row, _ column: Int) throws {
        let digest = try row.withBytes(column) { StoredDigest(bytes: $0) }
        guard let digest else { throw row.mismatch(column, "a digest of 32 bytes") }
        self = digest
    }
}
