/// The tokens of two and three bytes, by their bytes, in the words that scripts/pack-tokens writes.
struct ShortTokens: @unchecked Sendable {  // Its pointers lead to constants of the program.
    /// Stands for the rank of what is no token; greater than every rank.
    static let never: Int32 = (1 << 18) - 1

    /// Bytes of the pairs; the triples follow, so that one address leads to both.
    private static let pairsSize = 4 << 16

    private let pairs: UnsafeRawPointer

    init(pairs: UnsafePointer<UInt32>, triples: UnsafePointer<UInt64>) {
        self.pairs = UnsafeRawPointer(pairs)
        precondition(self.pairs + Self.pairsSize == UnsafeRawPointer(triples), "The triples follow the pairs.")
    }

    /// What is known of two bytes.
    struct Pair {
        fileprivate let word: UInt32

        /// The rank of the token that they are, or `never`.
        @inline(__always) var rank: Int32 { Int32(truncatingIfNeeded: word) & never }
    }

    /// What is known of three bytes and the one behind them.
    struct Triple {
        fileprivate let word: UInt64
        fileprivate let fourth: UInt8

        /// `never` less the rank of the token that they are: 0 where they are none.
        @inline(__always) var inverseRank: Int32 { Int32(truncatingIfNeeded: word >> 9) & never }
        /// All bits set if the halves of the token are its first two bytes and its last, none if they are its first byte
        /// and its last two.
        @inline(__always) var isPairAndByte: Int32 { Int32(truncatingIfNeeded: word << 4) >> 31 }
        /// Whether a longer token may begin with them and the fourth byte. It tells letters apart, but not their case.
        @inline(__always) var goesOn: Bool { word >> UInt64(32 | fourth & 31) & 1 != 0 }
    }

    @inline(__always) func pair(_ first: UInt8, _ second: UInt8) -> Pair {
        Pair(word: pairs.load(fromByteOffset: 4 &* (Int(first) << 8 | Int(second)), as: UInt32.self))
    }

    /// What `pair` and two more bytes are. There is no branch in it.
    @inline(__always) func triple(_ pair: Pair, _ third: UInt8, fourth: UInt8) -> Triple {
        let offset = Self.pairsSize &+ 8 &* (Int(pair.word >> 18) &* 4 &+ Int(third))
        let word = pairs.load(fromByteOffset: offset, as: UInt64.self)
        let difference = Int64(bitPattern: (word ^ UInt64(third) ^ 0x100) & 0x1FF)
        // All bits if there is none. Shifted by no more than it takes, or the compiler makes a branch of it.
        return Triple(word: word & UInt64(bitPattern: (difference &- 1) >> 9), fourth: fourth)
    }

    /// How many tokens a piece of one to three bytes has.
    @inline(__always) func count(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
        if count == 1 { return 1 }
        let first = pair(bytes[0], bytes[1])
        if count == 2 { return first.rank == Self.never ? 2 : 1 }
        // Whichever pair is merged first, nothing is left for the other one.
        let second = pair(bytes[1], bytes[2])
        let saved = first.rank & second.rank == Self.never ? 0 : 1
        return 3 &- saved &- (triple(first, bytes[2], fourth: 0).inverseRank == 0 ? 0 : 1)
    }
}
