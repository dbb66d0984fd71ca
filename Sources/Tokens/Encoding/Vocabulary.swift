import CTokenTables

/// The tokens of an encoding, in the form that scripts/pack-tokens writes and describes: a trie over their bytes, the
/// merges that make them, and the most frequent ones once more.
///
/// It is a view of the program's read-only data: making one reads a header, nothing is parsed or copied, and a page
/// becomes resident when a text first touches it. Any number of threads may use it.
struct Vocabulary: @unchecked Sendable {  // Its pointers lead to constants of the program.
    /// A place in the trie: what a cell says about the bytes that led to it.
    struct Node {
        let cell: UInt32

        static let root = Node(cell: 0)

        /// A token ends here.
        @inline(__always) var isToken: Bool { cell & (leafBit | innerBit) != 0 }
        /// A token ends here, and no longer one begins like it.
        @inline(__always) var isLeaf: Bool { cell & leafBit != 0 }
        @inline(__always) fileprivate var payload: Int { Int(truncatingIfNeeded: cell >> payloadShift) }
    }

    private static let leafBit: UInt32 = 1 << 9
    private static let innerBit: UInt32 = 1 << 10
    private static let payloadShift: UInt32 = 11
    private static let symbolMask: UInt32 = 0x1FF
    private static let endSymbol = 256

    private let cells: UnsafePointer<UInt32>
    /// The merges.
    let pairs: PairTable
    /// The tokens of two and three bytes once more.
    let short: ShortTokens
    /// What most pieces of a text are.
    let frequent: FrequentWords

    private init(_ file: token_table) {
        var table = PackedTable(file.bytes, count: file.count, counts: 6)
        let counts = table.counts
        cells = table.section(UInt32.self, count: counts[0])
        let origins = table.section(TokenOrigin.self, count: counts[1])
        let displacements = table.section(UInt16.self, count: counts[2])
        let slots = table.section(UInt32.self, count: counts[3])
        precondition(counts[4] == 1 << FrequentWords.bits, "As many buckets as a hash can name.")
        frequent = FrequentWords(table.section(UInt64.self, count: counts[4] * FrequentWords.bucket))
        let bytePairs = table.section(UInt32.self, count: 1 << 16)
        short = ShortTokens(pairs: bytePairs, triples: table.section(UInt64.self, count: counts[5]))
        pairs = PairTable(
            origins: origins, short: short,
            hash: PairHash(
                displacements: displacements, displacementCount: counts[2], slots: slots, slotCount: counts[3]))
    }

    private static let cl100k = Vocabulary(token_table_cl100k())
    private static let o200k = Vocabulary(token_table_o200k())

    /// The vocabulary of `encoding`.
    static func of(_ encoding: TokenEncoding) -> Vocabulary {
        switch encoding {
        case .cl100k: cl100k
        case .o200k: o200k
        }
    }

    /// Where `byte` leads from `node`, which is no leaf; nil where no token goes on like that.
    @inline(__always) func step(_ node: Node, _ byte: UInt8) -> Node? {
        let cell = cells[node.payload &+ Int(byte)]
        return cell & Self.symbolMask == UInt32(byte) ? Node(cell: cell) : nil
    }

    /// The rank of the token that the first `count` bytes are.
    func rank(_ bytes: UnsafePointer<UInt8>, count: Int) -> UInt32 {
        var node = Node.root
        for offset in 0..<count {
            guard let next = step(node, bytes[offset]) else { preconditionFailure("It is a token.") }
            node = next
        }
        return rank(node)
    }

    /// The rank of the token that ends at `node`, which is its id.
    @inline(__always) func rank(_ node: Node) -> UInt32 {
        node.isLeaf ? node.cell >> Self.payloadShift : cells[node.payload &+ Self.endSymbol] >> Self.payloadShift
    }
}
