import CTokenTables

/// What the splitting rules tell apart. The numbers are those that scripts/pack-tokens writes.
enum ScalarClass {
    /// Punctuation, symbols, control and unassigned characters.
    static let other: UInt8 = 0
    /// Carriage return and line feed.
    static let newline: UInt8 = 1
    /// White space but those two.
    static let space: UInt8 = 2
    /// `\p{N}`.
    static let number: UInt8 = 3
    /// Upper and title case letters, `Lu` and `Lt`.
    static let upper: UInt8 = 4
    /// Lower case letters, `Ll`.
    static let lower: UInt8 = 5
    /// Letters without case, `Lm` and `Lo`.
    static let caseless: UInt8 = 6
    /// `\p{M}`.
    static let mark: UInt8 = 7
}

/// The class of every code point, as the regular expressions of tiktoken see it.
struct ScalarClasses: @unchecked Sendable {  // Its pointers lead to constants of the program.
    static let shared = ScalarClasses()

    private static let blockShift: UInt32 = 7
    private static let blockCount = 0x110000 >> 7

    private let asciiClasses: UnsafePointer<UInt8>
    private let index: UnsafePointer<UInt8>
    private let blocks: UnsafePointer<UInt8>

    private init() {
        guard let bytes = token_table_scalar_classes().bytes else { preconditionFailure("The table is there.") }
        asciiClasses = bytes.assumingMemoryBound(to: UInt8.self)
        index = asciiClasses + 128
        blocks = index + Self.blockCount
    }

    /// The class of `character`, which is below 128.
    @inline(__always) func ascii(_ character: UInt8) -> UInt8 { asciiClasses[Int(character)] }

    /// The class of `scalar`, which is below 0x110000.
    @inline(__always) subscript(_ scalar: UInt32) -> UInt8 {
        let block = Int(index[Int(scalar >> Self.blockShift)])
        let nibbles = blocks[block &* 64 &+ Int(scalar & 127) >> 1]
        return (nibbles >> UInt8(truncatingIfNeeded: (scalar & 1) << 2)) & 0xF
    }
}
