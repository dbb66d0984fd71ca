/// The most frequent tokens of up to eight bytes, each in one of four words of half a cache line: most pieces of a text are
/// found here in one step. What is not here may still be a token.
struct FrequentWords: @unchecked Sendable {  // Its pointer leads to constants of the program.
    /// Longer tokens are not here.
    static let longest = 8
    /// The buckets that scripts/pack-tokens makes are as many as these bits can name.
    static let bits = 13
    /// Words in a bucket.
    static let bucket = 4

    private let words: UnsafePointer<UInt64>

    init(_ words: UnsafePointer<UInt64>) { self.words = words }

    /// Whether the first `count` bytes of `word` (1 to 8, little endian) are a frequent token.
    @inline(__always) func contains(_ word: UInt64, count: Int) -> Bool {
        // Behind the end stand bytes that no text has. Shifting by 64 leaves nothing.
        let key = word | (UInt64.max << UInt64(count &* 8))
        let bucket = Int((key &* 0x9E37_79B9_7F4A_7C15) >> UInt64(64 - Self.bits))
        let place = words + bucket &* Self.bucket
        // Every word is compared, without a branch that depends on the text.
        let differences = (place[0] ^ key, place[1] ^ key, place[2] ^ key, place[3] ^ key)
        return differences.0 == 0 || differences.1 == 0 || differences.2 == 0 || differences.3 == 0
    }
}
