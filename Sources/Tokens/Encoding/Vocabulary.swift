import CTokenTables

/// The tokens of an encoding as a trie over bytes, in the form that scripts/pack-tokens writes and describes.
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
    private static let headerCount = 16

    /// No token of either vocabulary is longer.
    static let longestToken = 128

    private let cells: UnsafePointer<UInt32>
    private let leftLengths: UnsafePointer<UInt8>

    init(_ encoding: TokenEncoding) {
        let table =
            switch encoding {
            case .cl100k: token_table_cl100k()
            case .o200k: token_table_o200k()
            }
        guard let bytes = table.bytes, table.count > Self.headerCount else { preconditionFailure(Self.damaged) }
        let header = bytes.assumingMemoryBound(to: UInt32.self)
        let (cellCount, rankCount) = (Int(header[2]), Int(header[3]))
        precondition(
            header[0] == 0x4B54_5054 && header[1] == 1 && table.count == Self.headerCount + cellCount * 4 + rankCount,
            Self.damaged)
        cells = (bytes + Self.headerCount).assumingMemoryBound(to: UInt32.self)
        leftLengths = (bytes + Self.headerCount + cellCount * 4).assumingMemoryBound(to: UInt8.self)
    }

    private static let damaged = "The tables are those that scripts/pack-tokens has written for this version."

    /// Where `byte` leads from `node`, which is no leaf; nil where no token goes on like that.
    @inline(__always) func step(_ node: Node, _ byte: UInt8) -> Node? {
        let cell = cells[node.payload &+ Int(byte)]
        return cell & Self.symbolMask == UInt32(byte) ? Node(cell: cell) : nil
    }

    /// The rank of the token that ends at `node`, which is its id.
    @inline(__always) func rank(_ node: Node) -> Int {
        if node.isLeaf { return node.payload }
        return Int(cells[node.payload &+ Self.endSymbol] >> Self.payloadShift)
    }

    /// How many bytes of that token its left half has; 0 for a single byte.
    @inline(__always) func leftLength(_ rank: Int) -> Int { Int(leftLengths[rank]) }
}
