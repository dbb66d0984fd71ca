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

    /// How many tokens the piece has. Afterwards `lengths` leads back from the end to the beginning.
    func run() -> Int {
        var (position, tokens) = (0, 0)
        var candidate = longest(at: 0, below: count + 1)
        while position < count {
            let end = position + candidate
            if candidate > 0 {
                if lengths[end] != Self.deadEnd, position == 0 || fits(candidate, at: position) {
                    lengths[end] = UInt8(candidate)
                    tokens += 1
                    position = end
                    candidate = longest(at: position, below: count + 1)
                } else {
                    candidate = longest(at: position, below: candidate)
                }
            } else {
                precondition(position > 0, "Every byte is a token, so every text has an encoding.")
                candidate = Int(lengths[position])
                lengths[position] = Self.deadEnd
                position -= candidate
                tokens -= 1
                candidate = longest(at: position, below: candidate)
            }
        }
        return tokens
    }

    /// The length of the longest token at `start` that is shorter than `limit`; 0 for none.
    @inline(__always) private func longest(at start: Int, below limit: Int) -> Int {
        let end = min(count, start &+ limit &- 1)
        var (length, offset, node) = (0, start, Vocabulary.Node.root)
        while offset < end, let next = vocabulary.step(node, bytes[offset]) {
            offset &+= 1
            if next.isToken {
                length = offset &- start
                if next.isLeaf { break }
            }
            node = next
        }
        return length
    }
}

// MARK: - Neighbours

extension PieceSearch {
    /// Whether merging leaves the token of `length` bytes at `boundary` and the one before it alone.
    ///
    /// Merges happen in the order of their ranks. Of the left token, the parts that ever end at the boundary are itself,
    /// its right half, the right half of that, and so on; likewise on the other side. A pair of such parts is merged across
    /// the boundary if together they are a token that ranks before what either of them is part of next. Of equal ranks
    /// the one further left comes first.
    @inline(__always) private func fits(_ length: Int, at boundary: Int) -> Bool {
        var start = boundary &- Int(lengths[boundary])
        var consumer = Int.max
        while true {
            var (offset, node) = (start, Vocabulary.Node.root)
            while offset < boundary {
                guard let next = vocabulary.step(node, bytes[offset]) else { preconditionFailure("It is a token.") }
                (offset, node) = (offset &+ 1, next)
            }
            if !node.isLeaf, merges(node, below: consumer, length, at: boundary) { return false }
            if boundary &- start == 1 { return true }
            consumer = vocabulary.rank(node)
            start &+= vocabulary.leftLength(consumer)
        }
    }

    /// Whether a token that begins with the part at `node` goes on across the boundary and is merged before
    /// `consumer`, and before what takes the part on the right.
    @inline(__always) private func merges(
        _ node: Vocabulary.Node, below consumer: Int, _ length: Int, at boundary: Int
    ) -> Bool {
        var (offset, node) = (boundary, node)
        let end = boundary &+ length
        while offset < end, let next = vocabulary.step(node, bytes[offset]) {
            offset &+= 1
            if next.isToken {
                let rank = vocabulary.rank(next)
                if rank < consumer, let other = self.consumer(of: offset &- boundary, in: length, at: boundary),
                    rank <= other
                {
                    return true
                }
                if next.isLeaf { return false }
            }
            node = next
        }
        return false
    }

    /// The rank of what takes the left part of `part` bytes in the token of `length` bytes at `start`: nil where merging
    /// never makes that part, the greatest number where it is the whole token.
    private func consumer(of part: Int, in length: Int, at start: Int) -> Int? {
        var (length, rank) = (length, Int.max)
        while length > part {
            rank = self.rank(at: start, length)
            length = vocabulary.leftLength(rank)
        }
        return length == part ? rank : nil
    }

    private func rank(at start: Int, _ length: Int) -> Int {
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
            result.append(rank(at: end - length, length))
            end -= length
        }
        return result.reversed()
    }
}
