/// Leads from a pair of ranks to the only rank that they can be merged into: a perfect hash, as scripts/pack-tokens
/// describes it. Two places are read, whatever the pair.
struct PairHash: @unchecked Sendable {  // Its pointers lead to constants of the program.
    private static let rankMask: UInt32 = (1 << 18) - 1

    private let displacements: UnsafePointer<UInt16>
    private let displacementCount: UInt64
    private let slots: UnsafePointer<UInt32>
    private let slotCount: UInt64

    init(
        displacements: UnsafePointer<UInt16>, displacementCount: Int, slots: UnsafePointer<UInt32>, slotCount: Int
    ) {
        self.displacements = displacements
        self.displacementCount = UInt64(displacementCount)
        self.slots = slots
        self.slotCount = UInt64(slotCount)
    }

    /// The rank that the pair has if it has one; nil where it surely has none.
    @inline(__always) func candidate(_ left: UInt32, _ right: UInt32) -> UInt32? {
        var hash = (UInt64(left) << 18 | UInt64(right)) &* 0x9E37_79B9_7F4A_7C15
        hash = (hash ^ (hash >> 32)) &* 0xD6E8_FEB8_6659_FD93
        let displacement = UInt32(displacements[Int(((hash >> 32) &* displacementCount) >> 32)])
        let mixed = (UInt32(truncatingIfNeeded: hash) ^ displacement &* 0x9E37_79B1) &* 0x85EB_CA6B
        let slot = slots[Int((UInt64(mixed) &* slotCount) >> 32)]
        return slot >> 18 == UInt32(truncatingIfNeeded: hash >> 18) & 0x3FFF ? slot & Self.rankMask : nil
    }
}
