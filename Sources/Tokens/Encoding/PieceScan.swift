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
    /// Longer ones might have more tokens than it can count.
    static let longest = Int(UInt32.max) - 1
    private let vocabulary: Vocabulary
    private let bytes: UnsafePointer<UInt8>
    private let count: Int
    private let readable: Int
    private let ring: Ring

    /// The piece is the first `count` of `readable` bytes, `shortest` to `longest`. `memory` is `Ring.size` bytes, aligned to
    /// eight, and may hold anything.
    init(
        _ vocabulary: Vocabulary, _ bytes: UnsafePointer<UInt8>, count: Int, readable: Int,
        memory: UnsafeMutableRawPointer
    ) {
        self.vocabulary = vocabulary
        self.bytes = bytes
        self.count = count
        self.readable = readable
        ring = Ring(memory)
    }

    /// How many tokens the piece has; nil if longer tokens are frequent in it.
    func run() -> Int? {
        var before = Before()
        var effort = Effort()
        var offset = 0
        // What is read behind the piece decides about tokens that would end there: about none.
        let whole = min(count, readable &- 3)
        while offset &+ 1 < whole {
            guard step(offset, load(offset), &before, &effort) else { return nil }
            guard step(offset &+ 1, load(offset &+ 1), &before, &effort) else { return nil }
            offset &+= 2
        }
        while offset < whole {
            guard step(offset, load(offset), &before, &effort) else { return nil }
            offset &+= 1
        }
        while offset < count {
            let last = readable &- 4
            guard step(offset, load(last) >> UInt32((offset &- last) &* 8), &before, &effort) else { return nil }
            offset &+= 1
        }
        return Int(tokens(offset, ring.length(offset)))
    }

    @inline(__always) private func load(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// How many tokens the prefix up to `offset` has, whose last one has `length` bytes more than one.
    @inline(__always) private func tokens(_ offset: Int, _ length: UInt8) -> UInt32 {
        // What is no length in it is a multiple of the ring.
        ring.count(offset &- Int(length) &- 1) &+ 1
    }
}

// MARK: - What is known of prefixes

extension PieceScan {
    /// By offset modulo the length of the longest token, of the prefix that ends there: how many tokens it has, up to the
    /// current offset; and from there on, as far as it is known, the length of its last one. One address leads to both, as the
    /// scan has more to keep than a processor has registers.
    struct Ring {
        /// As many as the longest token has bytes, and a power of two.
        private static let slots = 128
        /// Bytes of memory that it takes: few enough for the stack.
        static let size = slots * (MemoryLayout<UInt32>.stride + 1)
        /// Stands among the bits of a length for: a longer token's halves meet here.
        static let meetingPlace: UInt8 = 0x80

        private let counts: UnsafeMutableRawPointer

        fileprivate init(_ memory: UnsafeMutableRawPointer) {
            counts = memory
            (memory + Self.lengthOffset(0)).initializeMemory(as: UInt8.self, repeating: 0, count: Self.slots)
            counts.storeBytes(of: .max, toByteOffset: Self.countOffset(-1), as: UInt32.self)
        }

        /// How many tokens the prefix up to `offset` has; .max for one before an empty prefix.
        @inline(__always) fileprivate func count(_ offset: Int) -> UInt32 {
            counts.load(fromByteOffset: Self.countOffset(offset), as: UInt32.self)
        }

        /// The length, less one, of the last token of the prefix up to `offset`, and `meetingPlace`.
        @inline(__always) fileprivate func length(_ offset: Int) -> UInt8 {
            counts.load(fromByteOffset: Self.lengthOffset(offset), as: UInt8.self)
        }

        /// Sets the count of an offset, whose length has been read. Its slot is that of a later offset from then on.
        @inline(__always) fileprivate func arrive(at offset: Int, count: UInt32) {
            counts.storeBytes(of: count, toByteOffset: Self.countOffset(offset), as: UInt32.self)
            counts.storeBytes(of: 0, toByteOffset: Self.lengthOffset(offset), as: UInt8.self)
        }

        /// Adds the bits of a length, less one, or `meetingPlace`.
        @inline(__always) fileprivate func note(_ offset: Int, _ bits: UInt8) {
            let place = Self.lengthOffset(offset)
            let noted = counts.load(fromByteOffset: place, as: UInt8.self)
            counts.storeBytes(of: noted | bits, toByteOffset: place, as: UInt8.self)
        }

        @inline(__always) private static func countOffset(_ offset: Int) -> Int {
            (offset & (slots &- 1)) &* MemoryLayout<UInt32>.stride
        }

        @inline(__always) private static func lengthOffset(_ offset: Int) -> Int {
            slots &* MemoryLayout<UInt32>.stride &+ offset & (slots &- 1)
        }
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
        let length = ring.length(offset)
        ring.arrive(at: offset, count: tokens(offset, length))

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

        ring.note(
            offset &+ 1, UInt8(truncatingIfNeeded: (before.takesPair & 1) | (before.takesTripleBefore & 2)))
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
        let left = offset - Int(length & ~Ring.meetingPlace) - 1
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
            ring.note(middle, Ring.meetingPlace)
            if last.map({ isLeftAlone($0, Int32(token), start) }) ?? true {
                ring.note(offset, UInt8(offset - start - 1))
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
