/// How a token comes about, and what becomes of it, in the words that scripts/pack-tokens writes. Where there is no rank for
/// something, its number is greater than every rank.
struct TokenOrigin: BitwiseCopyable {
    private let low: UInt64
    private let high: UInt64

    /// The ranks that are merged into it. A single byte has none.
    @inline(__always) var left: UInt32 { Self.number(low) }
    @inline(__always) var right: UInt32 { Self.number(low >> 18) }
    /// The rank of the merge that takes its first byte, and of the one that takes its last.
    @inline(__always) var firstTaken: UInt32 { Self.number(low >> 36) }
    @inline(__always) var lastTaken: UInt32 { Self.number(high) }
    /// The lowest rank that it is merged into as the left half, and as the right one.
    @inline(__always) var leastAsLeft: UInt32 { Self.number(high >> 18) }
    @inline(__always) var leastAsRight: UInt32 { Self.number(high >> 36) }

    @inline(__always) func isMerged(from left: UInt32, _ right: UInt32) -> Bool {
        (low ^ (UInt64(right) << 18 | UInt64(left))) & 0xF_FFFF_FFFF == 0
    }

    @inline(__always) private static func number(_ word: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: word) & 0x3_FFFF
    }
}
