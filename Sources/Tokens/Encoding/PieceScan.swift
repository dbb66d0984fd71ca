/// Counts the tokens of a piece that looks like no language: random letters, keys, base64.
///
/// `PieceSearch` guesses the longest token and is usually right about words. Here it would be wrong half of the time, and a
/// processor with it. So this one goes on by a byte at a time, and encodes every prefix of the piece without a branch that
/// depends on the text. The last token of a prefix is the only token there that merging leaves beside the last one of the
/// prefix before it, so the tokens of two and three bytes that end at an offset are decided by themselves, and if it is
/// neither, it is a single byte.
///
/// Merging joins two neighbours if a token reaches over their boundary whose halves meet there, and which has a lower rank than
/// what takes either half away. Of tokens of at most three bytes three can do that: the pair of bytes, and a triple that is
/// cut behind its second byte or behind its first. What longer tokens do is found by `PairTable` where the triples say
/// that one may begin. That is rare in such pieces; where it is not, the scan gives up before it has taken notable time.
struct PieceScan {
    /// Shorter pieces are for `ShortTokens`.
    static let shortest = 4
    /// As many as the longest token has bytes, and a power of two.
    static let ring = 128
    /// Stands in `lengths` for: a longer token's halves meet here.
    private static let meetingPlace: UInt8 = 0x80

    private let vocabulary: Vocabulary
    private let bytes: UnsafePointer<UInt8>
    private let count: Int
    private let readable: Int
    /// By offset modulo `ring`, from the current one on: the length of the last token of the prefix that ends there, less one,
    /// as far as it is known; and `meetingPlace`.
    private let lengths: UnsafeMutablePointer<UInt8>
    /// By offset modulo `ring`, up to the current one: how many tokens the prefix that ends there has.
    private let counts: UnsafeMutablePointer<Int>

    /// The piece is the first `count` of `readable` bytes, at least `shortest`. `lengths` and `counts` have place for
    /// `ring` numbers each and may hold anything.
    init(
        _ vocabulary: Vocabulary, _ bytes: UnsafePointer<UInt8>, count: Int, readable: Int,
        lengths: UnsafeMutablePointer<UInt8>, counts: UnsafeMutablePointer<Int>
    ) {
        self.vocabulary = vocabulary
        self.bytes = bytes
        self.count = count
        self.readable = readable
        self.lengths = lengths
        self.counts = counts
        lengths.initialize(repeating: 0, count: Self.ring)
        counts[Self.ring - 1] = -1
    }

    /// How many tokens the piece has; nil if longer tokens are frequent in it.
    func run() -> Int? {
        var before = Before()
        var effort = Effort()
        var offset = 0
        // What is read behind the piece decides about tokens that would end there: about none.
        let whole = min(count, readable &- 3)
        while offset < whole {
            guard step(offset, load(offset), &before, &effort) else { return nil }
            offset &+= 1
        }
        while offset < count {
            let last = readable &- 4
            guard step(offset, load(last) >> UInt32((offset &- last) &* 8), &before, &effort) else { return nil }
            offset &+= 1
        }
        return tokens(offset, lengths[offset & (Self.ring &- 1)])
    }

    @inline(__always) private func load(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// How many tokens the prefix up to `offset` has, whose last one has `length` bytes more than one.
    @inline(__always) private func tokens(_ offset: Int, _ length: UInt8) -> Int {
        // What is no length in it is a multiple of the ring.
        counts[(offset &- Int(length) &- 1) & (Self.ring &- 1)] &+ 1
    }
}

// MARK: - One byte

extension PieceScan {
    /// What decides which tokens may follow a prefix. Ranks are `ShortTokens.never` where there is no such token; what is all
    /// bits or none is true or false.
    fileprivate struct Before {
        /// The rank of the merge that takes the last byte of the last token: `never` if the token is that byte. 0 if there is
        /// no token, as lower ranks than that are none.
        var byteTaken: Int32 = 0
        /// The rank of the merge that takes the last two bytes of the last token; `never` if the token is these two, 0
        /// if they are not merged on the way to it.
        var pairTaken: Int32 = 0
        /// The rank of the pair that begins one byte before.
        var pair = ShortTokens.never
        /// The triples that begin one and two bytes before, as in `ShortTokens.Triple`.
        var triple: (inverseRank: Int32, isPairAndByte: Int32) = (0, 0)
        var tripleBefore: (inverseRank: Int32, isPairAndByte: Int32) = (0, 0)
        /// Whether the pair, the triple and the triple before are tokens of the encoding of the prefix that they end.
        var takesPair: Int32 = 0
        var takesTriple: Int32 = 0
        var takesTripleBefore: Int32 = 0
    }

    /// Goes from `offset`, where the four bytes of `word` stand, to the next one; false if the scan gives up.
    @inline(__always)
    private func step(_ offset: Int, _ word: UInt32, _ before: inout Before, _ effort: inout Effort) -> Bool {
        let slot = offset & (Self.ring &- 1)
        let length = lengths[slot]
        counts[slot] = tokens(offset, length)
        lengths[slot] = 0

        let entry = vocabulary.short.pair(UInt8(truncatingIfNeeded: word), UInt8(truncatingIfNeeded: word >> 8))
        let triple = vocabulary.short.triple(
            entry, UInt8(truncatingIfNeeded: word >> 16), fourth: UInt8(truncatingIfNeeded: word >> 24))
        let (pair, inverse, isPairAndByte) = (entry.rank, triple.inverseRank, triple.isPairAndByte)
        var (takesPair, takesTriple) = Self.follow(before, pair, inverse, isPairAndByte)
        if length > 2 || triple.goesOn {
            let found = Found(pair: pair, triple: ShortTokens.never ^ inverse, goesOn: triple.goesOn)
            (takesPair, takesTriple) = meetLonger(offset, length, found, (takesPair, takesTriple), &effort)
            if effort.isSpent(offset) { return false }
        }

        lengths[(slot &+ 1) & (Self.ring &- 1)] |=
            UInt8(truncatingIfNeeded: (before.takesPair & 1) | (before.takesTripleBefore & 2))
        before.goOn(pair, inverse, isPairAndByte)
        (before.takesPair, before.takesTriple) = (takesPair, takesTriple)
        return true
    }

    /// Whether the pair and the triple that begin here may follow the last token, as far as tokens of up to three bytes
    /// decide. A number is less than another one if their difference has its highest bit set; the bits are put together
    /// before they are asked, or the compiler would make branches of them.
    @inline(__always)
    private static func follow(
        _ before: Before, _ pair: Int32, _ inverse: Int32, _ isPairAndByte: Int32
    ) -> (pair: Int32, triple: Int32) {
        let never = ShortTokens.never
        // What reaches over the boundary: a triple cut behind its second byte, and one cut behind its first; and whether they come
        // before the last token's half is taken.
        let pairAndByte = never ^ (before.tripleBefore.inverseRank & before.tripleBefore.isPairAndByte)
        let byteAndPair = never ^ (before.triple.inverseRank & ~before.triple.isPairAndByte)
        let first = before.pair &- before.byteTaken
        let second = pairAndByte &- before.pairTaken
        let third = byteAndPair &- before.byteTaken
        let joinsPair = first & (before.pair &- pair &- 1) | second & (pairAndByte &- pair &- 1) | third
        // What takes the first byte of the triple, and its first two. Of equal ranks the left one is merged first, so these are
        // not before.
        let triple = never ^ inverse
        let byteTaken = (triple ^ ((triple ^ pair) & isPairAndByte)) &+ 1
        let pairTaken = (triple &+ 1) & isPairAndByte
        let joinsTriple =
            first & (before.pair &- byteTaken) | second & (pairAndByte &- byteTaken) | third
            & (byteAndPair &- pairTaken)
        return (~(joinsPair | (never &- 1 &- pair)) >> 31, ~(joinsTriple | (inverse &- 1)) >> 31)
    }
}

extension PieceScan.Before {
    /// Goes on by a byte: the last token becomes the one that ends there.
    @inline(__always) fileprivate mutating func goOn(_ pair: Int32, _ inverse: Int32, _ isPairAndByte: Int32) {
        let never = ShortTokens.never
        let rank = never ^ tripleBefore.inverseRank
        let byteTakenInTriple = self.pair ^ ((self.pair ^ rank) & tripleBefore.isPairAndByte)
        byteTaken = never ^ ((never ^ self.pair) & takesPair) ^ ((never ^ byteTakenInTriple) & takesTripleBefore)
        pairTaken = (never & takesPair) | (rank & ~tripleBefore.isPairAndByte & takesTripleBefore)
        takesTripleBefore = takesTriple
        tripleBefore = triple
        triple = (inverse, isPairAndByte)
        self.pair = pair
    }
}

// MARK: - Longer tokens

extension PieceScan {
    /// What begins at an offset: the ranks of a pair and of a triple, and whether there may be more.
    fileprivate struct Found {
        let pair: Int32
        let triple: Int32
        let goesOn: Bool
    }

    /// What longer tokens may cost: half a step of the trie for each byte, and a few before.
    fileprivate struct Effort {
        private var steps = 12

        mutating func spend(_ steps: Int) { self.steps &-= steps }

        @inline(__always) func isSpent(_ offset: Int) -> Bool { steps &+ offset >> 1 < 0 }
    }

    /// Does what is to be done at an offset where a longer token ends or its halves meet, as `length` says, or where some may
    /// begin. Returns what is true of the pair and the triple then.
    @inline(never)
    private func meetLonger(
        _ offset: Int, _ length: UInt8, _ found: Found, _ takes: (pair: Int32, triple: Int32), _ effort: inout Effort
    ) -> (pair: Int32, triple: Int32) {
        var takes = takes
        let left = offset - Int(length & ~Self.meetingPlace) - 1
        if length > 2 {
            effort.spend(1)
            let last = rank(left, offset)
            takes.pair = isLeftAlone(last, found.pair, offset) ? -1 : 0
            takes.triple = isLeftAlone(last, found.triple, offset) ? -1 : 0
        }
        guard found.goesOn else { return takes }
        let end = endOfTrie(offset)
        effort.spend(end - offset)
        if end >= offset + Self.shortest, !effort.isSpent(offset) {
            noteLonger(from: offset, to: end, last: offset > 0 ? rank(left, offset) : nil)
        }
        return takes
    }

    /// Notes each longer token that begins at `start`: where its halves meet, and where it ends if it may follow `last`.
    private func noteLonger(from start: Int, to end: Int, last: UInt32?) {
        var (offset, node) = (start, Vocabulary.Node.root)
        while offset < end, let next = vocabulary.step(node, bytes[offset]) {
            (offset, node) = (offset + 1, next)
            guard next.isToken, offset >= start + Self.shortest else { continue }
            let token = vocabulary.rank(next)
            let middle = endOfToken(vocabulary.pairs.leftHalf(token), from: start)
            lengths[middle & (Self.ring - 1)] |= Self.meetingPlace
            if last.map({ isLeftAlone($0, Int32(token), start) }) ?? true {
                lengths[offset & (Self.ring - 1)] |= UInt8(offset - start - 1)
            }
        }
    }

    private func isLeftAlone(_ last: UInt32, _ token: Int32, _ offset: Int) -> Bool {
        token != ShortTokens.never
            && vocabulary.pairs.leavesAlone(
                PairTable.Neighbours(
                    left: last, last: bytes[offset - 1], right: UInt32(token), first: bytes[offset], mayBeOne: true))
    }

    /// Where the longest beginning of a token that stands at `start` ends.
    private func endOfTrie(_ start: Int) -> Int {
        var (offset, node) = (start, Vocabulary.Node.root)
        while offset < count, !node.isLeaf, let next = vocabulary.step(node, bytes[offset]) {
            (offset, node) = (offset + 1, next)
        }
        return offset
    }

    /// Where the token of that rank, which stands at `start`, ends.
    private func endOfToken(_ rank: UInt32, from start: Int) -> Int {
        var (offset, node) = (start, Vocabulary.Node.root)
        repeat {
            guard let next = vocabulary.step(node, bytes[offset]) else { preconditionFailure("The token is there.") }
            (offset, node) = (offset + 1, next)
        } while !node.isToken || vocabulary.rank(node) != rank
        return offset
    }

    private func rank(_ start: Int, _ end: Int) -> UInt32 {
        vocabulary.rank(bytes + start, count: end - start)
    }
}
