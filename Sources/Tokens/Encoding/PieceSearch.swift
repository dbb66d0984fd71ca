/// The byte-pair encoding of a piece that is no token itself.
///
/// Merging pairs in the order of their ranks leaves one sequence of tokens, and a sequence is that one if and only if
/// merging would leave each pair of neighbours alone (van Antwerpen, Neubeck, "So many tokens, so little time", GitHub
/// 2024). So the sequence is looked for from the left, the longest tokens first, and each neighbourhood is checked.
/// What has been checked up to an offset does not depend on how it was reached, so an offset from which there is no way
/// on is never tried again, and the time is linear in the length of the piece. The vocabularies fulfil what this
/// needs: merging reaches every token, and always after its halves (scripts/pack-tokens checks both).
struct PieceSearch {
    private let vocabulary: Vocabulary
    private let bytes: UnsafePointer<UInt8>
    private let count: Int
    /// For each offset, the length of the token that ends there in the sequence so far; `deadEnd` where there is no way on.
    private let lengths: UnsafeMutablePointer<UInt8>
    /// The tokens that begin at one offset, the shortest first.
    private let candidates: UnsafeMutablePointer<Candidate>

    private static let deadEnd: UInt8 = 0xFF
    /// No token has more bytes.
    static let longestToken = 128

    /// A token that the text has at some offset.
    struct Candidate {
        fileprivate let node: Vocabulary.Node
        fileprivate let length: UInt32
    }

    /// `lengths` has place for `count + 1` bytes and `candidates` for `longestToken`; both may hold anything.
    init(
        _ vocabulary: Vocabulary, _ bytes: UnsafePointer<UInt8>, count: Int, lengths: UnsafeMutablePointer<UInt8>,
        candidates: UnsafeMutablePointer<Candidate>
    ) {
        self.vocabulary = vocabulary
        self.bytes = bytes
        self.count = count
        self.lengths = lengths
        self.candidates = candidates
        lengths.initialize(repeating: 0, count: count + 1)
    }

    /// How many tokens the piece has. Afterwards `lengths` leads back from the end to the beginning.
    func run() -> Int {
        var (position, tokens) = (0, 0)
        // The token that ends at `position`, and how far the longest one reaches that begins where it does.
        var last: (rank: UInt32, reach: Int) = (0, 0)
        var left = findCandidates(at: 0, below: count + 1)
        var reach = self.reach(0, left)
        while position < count {
            if left > 0 {
                left &-= 1
                let candidate = candidates[left]
                let end = position &+ Int(candidate.length)
                if lengths[end] == Self.deadEnd { continue }
                let rank = vocabulary.rank(candidate.node)
                if position > 0, !follows(rank, last.rank, at: position, isWithin: end <= last.reach) { continue }
                lengths[end] = UInt8(truncatingIfNeeded: candidate.length)
                tokens &+= 1
                last = (rank, reach)
                position = end
                left = findCandidates(at: position, below: count + 1)
                reach = self.reach(position, left)
            } else {
                // Back to the token before. Of the first one there is always a shorter candidate: a single byte.
                precondition(position > 0, "Every byte is a token, so every text has an encoding.")
                let length = Int(lengths[position])
                lengths[position] = Self.deadEnd
                position &-= length
                tokens &-= 1
                // How far tokens reach from there, and from the one before, is not known any more.
                (last, reach) = ((rankOfToken(endingAt: position), count), count)
                left = findCandidates(at: position, below: length)
            }
        }
        return tokens
    }

    /// Where the longest of so many candidates at `position` ends.
    @inline(__always) private func reach(_ position: Int, _ count: Int) -> Int {
        count > 0 ? position &+ Int(candidates[count &- 1].length) : position
    }

    /// Whether merging leaves a token at `position` and the one before it alone.
    @inline(__always) private func follows(_ rank: UInt32, _ last: UInt32, at position: Int, isWithin: Bool) -> Bool {
        vocabulary.pairs.leavesAlone(
            PairTable.Neighbours(
                left: last, last: bytes[position &- 1], right: rank, first: bytes[position], mayBeOne: isWithin))
    }

    /// Finds the tokens at `start` that are shorter than `limit`, and returns how many they are.
    @inline(__always) private func findCandidates(at start: Int, below limit: Int) -> Int {
        let end = min(count, start &+ limit &- 1)
        var (offset, node, found) = (start, Vocabulary.Node.root, 0)
        while offset < end, let next = vocabulary.step(node, bytes[offset]) {
            offset &+= 1
            // Written in any case, kept if it is one: cheaper than a branch.
            candidates[found] = Candidate(node: next, length: UInt32(truncatingIfNeeded: offset &- start))
            found &+= next.isToken ? 1 : 0
            if next.isLeaf { break }
            node = next
        }
        return found
    }

    /// The rank of the token of the sequence that ends at `end`; 0 at the beginning.
    private func rankOfToken(endingAt end: Int) -> UInt32 {
        guard end > 0 else { return 0 }
        let length = Int(lengths[end])
        return vocabulary.rank(bytes + (end - length), count: length)
    }
}

// MARK: - Ranks

extension PieceSearch {
    /// The ranks of the tokens that `run` has found.
    func ranks() -> [Int] {
        var (end, result) = (count, [Int]())
        while end > 0 {
            let length = Int(lengths[end])
            result.append(Int(vocabulary.rank(bytes + (end - length), count: length)))
            end -= length
        }
        return result.reversed()
    }
}
