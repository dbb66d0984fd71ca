/// Which tokens are merged, and in which order.
struct PairTable: @unchecked Sendable {  // Its pointers lead to constants of the program.
    /// Ranks below are single bytes, and no others are.
    static let byteCount: UInt32 = 256

    private let origins: UnsafePointer<TokenOrigin>
    private let short: ShortTokens
    private let hash: PairHash

    init(origins: UnsafePointer<TokenOrigin>, short: ShortTokens, hash: PairHash) {
        self.origins = origins
        self.short = short
        self.hash = hash
    }

    /// The left one of the two ranks that are merged into `rank`, which is no single byte.
    func leftHalf(_ rank: UInt32) -> UInt32 { origins[Int(rank)].left }

    /// Two tokens that may stand side by side.
    struct Neighbours {
        let left: UInt32
        /// The last byte of `left`.
        let last: UInt8
        let right: UInt32
        /// The first byte of `right`.
        let first: UInt8
        /// Whether both together may be a token.
        let mayBeOne: Bool
    }

    /// Whether merging leaves neighbours alone that are both what merging makes of their own bytes.
    ///
    /// Merges happen in the order of their ranks, of equal ones from the left. So time is run backwards: the half that was made
    /// last is taken apart, and the parts that then met at the boundary would have been merged across it if together
    /// they were a token of a lower rank. The bytes at the boundary are asked first, because they tell most neighbours
    /// that are none, and from a table of which a text needs little.
    @inline(__always) func leavesAlone(_ neighbours: Neighbours) -> Bool {
        let (left, right) = (neighbours.left, neighbours.right)
        let untilTaken = min(origins[Int(left)].lastTaken, origins[Int(right)].firstTaken &+ 1)
        let pair = short.pair(neighbours.last, neighbours.first).rank
        if UInt32(bitPattern: pair) < untilTaken { return false }
        if neighbours.mayBeOne, areMerged(left, right, below: .max) { return false }
        return leavesPartsAlone(left, right)
    }

    /// The same for their parts that are no single bytes.
    @inline(__always) private func leavesPartsAlone(_ left: UInt32, _ right: UInt32) -> Bool {
        var (left, right) = (left, right)
        var newest = max(left, right)
        while newest >= Self.byteCount {
            // Chosen without a branch: which half was made last is as good as random.
            let isLeft = left > right
            let origin = origins[Int(newest)]
            let limit = isLeft ? newest : newest &+ 1
            left = isLeft ? origin.right : left
            right = isLeft ? right : origin.left
            newest = max(left, right)
            // Bytes have the lowest ranks: if the higher of two is one, both are.
            if newest >= Self.byteCount, areMerged(left, right, below: limit) { return false }
        }
        return true
    }

    /// Whether `left` and `right` are merged into a rank below `limit`.
    @inline(__always) private func areMerged(_ left: UInt32, _ right: UInt32, below limit: UInt32) -> Bool {
        // Most are merged with nothing so early.
        guard origins[Int(left)].leastAsLeft < limit, origins[Int(right)].leastAsRight < limit,
            let rank = hash.candidate(left, right), rank < limit
        else { return false }
        return origins[Int(rank)].isMerged(from: left, right)
    }
}
