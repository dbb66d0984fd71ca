/// Which token two others are merged into: a perfect hash of the pairs, as scripts/pack-tokens describes it. A look-up
/// reads three places at most, whatever the pair.
struct PairTable: @unchecked Sendable {  // Its pointers lead to constants of the program.
    /// Ranks below are single bytes, and no others are.
    static let byteCount: UInt32 = 256

    private static let rankMask: UInt32 = (1 << 18) - 1

    private let halves: UnsafePointer<UInt64>
    private let displacements: UnsafePointer<UInt16>
    private let displacementCount: UInt64
    private let slots: UnsafePointer<UInt32>
    private let slotCount: UInt64

    init(
        halves: UnsafePointer<UInt64>, displacements: UnsafePointer<UInt16>, displacementCount: Int,
        slots: UnsafePointer<UInt32>, slotCount: Int
    ) {
        self.halves = halves
        self.displacements = displacements
        self.displacementCount = UInt64(displacementCount)
        self.slots = slots
        self.slotCount = UInt64(slotCount)
    }

    /// The ranks that are merged into `rank`, which is no single byte.
    @inline(__always) func left(_ rank: UInt32) -> UInt32 { UInt32(truncatingIfNeeded: halves[Int(rank)]) }
    @inline(__always) func right(_ rank: UInt32) -> UInt32 { UInt32(truncatingIfNeeded: halves[Int(rank)] >> 32) }

    /// The rank that `left` and `right` are merged into; the greatest number where they are not.
    @inline(__always) func merged(_ left: UInt32, _ right: UInt32) -> UInt32 {
        var hash = (UInt64(left) << 18 | UInt64(right)) &* 0x9E37_79B9_7F4A_7C15
        hash = (hash ^ (hash >> 32)) &* 0xD6E8_FEB8_6659_FD93
        let displacement = UInt32(displacements[Int(((hash >> 32) &* displacementCount) >> 32)])
        let mixed = (UInt32(truncatingIfNeeded: hash) ^ displacement &* 0x9E37_79B1) &* 0x85EB_CA6B
        let slot = slots[Int((UInt64(mixed) &* slotCount) >> 32)]
        guard slot >> 18 == UInt32(truncatingIfNeeded: hash >> 18) & 0x3FFF else { return .max }
        let rank = slot & Self.rankMask
        return halves[Int(rank)] == UInt64(right) << 32 | UInt64(left) ? rank : .max
    }

    /// Whether merging leaves neighbours alone that are both what merging makes of their own bytes.
    ///
    /// Merges happen in the order of their ranks, of equal ones from the left. So time is run backwards: the half that was made
    /// last is taken apart, and the parts that then met at the boundary would have been merged across it if together
    /// they were a token of a lower rank.
    @inline(__always) func areNeighbours(_ left: UInt32, _ right: UInt32) -> Bool {
        var (left, right, limit) = (left, right, UInt32.max)
        while true {
            if merged(left, right) < limit { return false }
            if left > right {
                // Bytes have the lowest ranks: if the higher of two is one, both are.
                if left < Self.byteCount { return true }
                limit = left
                left = self.right(left)
            } else {
                if right < Self.byteCount { return true }
                limit = right &+ 1
                right = self.left(right)
            }
        }
    }
}
