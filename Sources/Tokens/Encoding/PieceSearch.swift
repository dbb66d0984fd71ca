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

    private static let deadEnd: UInt8 = 0xFF

    /// `lengths` has place for `count + 1` bytes and may hold anything.
    init(_ vocabulary: Vocabulary, _ bytes: UnsafePointer<UInt8>, count: Int, lengths: UnsafeMutablePointer<UInt8>) {
        self.vocabulary = vocabulary
        self.bytes = bytes
        self.count = count
        self.lengths = lengths
        lengths.initialize(repeating: 0, count: count + 1)
    }

    /// A token of the sequence.
    private struct Token {
        var length: Int
        var rank: UInt32
    }

    /// How many tokens the piece has. Afterwards `lengths` leads back from the end to the beginning.
    func run() -> Int {
        var (position, tokens) = (0, 0)
        var last: UInt32 = 0
        var candidate = longest(at: 0, below: count + 1)
        while position < count {
            let end = position &+ candidate.length
            if candidate.length > 0 {
                let isOpen = lengths[end] != Self.deadEnd
                if isOpen, position == 0 || vocabulary.pairs.areNeighbours(last, candidate.rank) {
                    lengths[end] = UInt8(truncatingIfNeeded: candidate.length)
                    tokens &+= 1
                    (position, last) = (end, candidate.rank)
                    candidate = longest(at: position, below: count + 1)
                } else {
                    candidate = longest(at: position, below: candidate.length)
                }
            } else {
                // Back to the token before. Of the first one there is always a shorter candidate: a single byte.
                precondition(position > 0, "Every byte is a token, so every text has an encoding.")
                let length = Int(lengths[position])
                lengths[position] = Self.deadEnd
                position &-= length
                tokens &-= 1
                last = rankOfToken(endingAt: position)
                candidate = longest(at: position, below: length)
            }
        }
        return tokens
    }

    /// The longest token at `start` that is shorter than `limit`; one of no length where there is none.
    @inline(__always) private func longest(at start: Int, below limit: Int) -> Token {
        let end = min(count, start &+ limit &- 1)
        var (length, offset, node, found) = (0, start, Vocabulary.Node.root, Vocabulary.Node.root)
        while offset < end, let next = vocabulary.step(node, bytes[offset]) {
            offset &+= 1
            if next.isToken {
                (length, found) = (offset &- start, next)
                if next.isLeaf { break }
            }
            node = next
        }
        return Token(length: length, rank: length > 0 ? vocabulary.rank(found) : 0)
    }

    /// The rank of the token of the sequence that ends at `end`; 0 at the beginning.
    private func rankOfToken(endingAt end: Int) -> UInt32 {
        end > 0 ? rank(at: end - Int(lengths[end]), Int(lengths[end])) : 0
    }

    private func rank(at start: Int, _ length: Int) -> UInt32 {
        var node = Vocabulary.Node.root
        for offset in start..<start + length {
            guard let next = vocabulary.step(node, bytes[offset]) else { preconditionFailure("It is a token.") }
            node = next
        }
        return vocabulary.rank(node)
    }
}

// MARK: - Ranks

extension PieceSearch {
    /// The ranks of the tokens that `run` has found.
    func ranks() -> [Int] {
        var (end, result) = (count, [Int]())
        while end > 0 {
            let length = Int(lengths[end])
            result.append(Int(rank(at: end - length, length)))
            end -= length
        }
        return result.reversed()
    }
}
