// Words of ASCII letters, which most of a text is, are read eight bytes at a time.

extension ScalarReader {
    private static var everyByte: UInt64 { 0x0101_0101_0101_0101 }
    private static var highBits: UInt64 { 0x8080_8080_8080_8080 }
    private static var caseBits: UInt64 { 0x2020_2020_2020_2020 }

    /// Where the run of `a` to `z` that begins at `offset` ends.
    @inline(__always) func lowerASCII(from offset: Int) -> Int { asciiLetters(from: offset, lowered: 0) }

    /// Where the run of `A` to `Z` that begins at `offset` ends.
    @inline(__always) func upperASCII(from offset: Int) -> Int {
        asciiLetters(from: offset, lowered: 0, flipped: Self.caseBits)
    }

    /// Where the run of `a` to `z` and `A` to `Z` that begins at `offset` ends.
    @inline(__always) func letterASCII(from offset: Int) -> Int { asciiLetters(from: offset, lowered: Self.caseBits) }

    @inline(__always) private func asciiLetters(from start: Int, lowered bits: UInt64, flipped: UInt64 = 0) -> Int {
        var offset = start
        while offset &+ 8 <= count {
            let word = UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let letters = Self.lowerLetters((UInt64(littleEndian: word) | bits) ^ flipped)
            guard letters == Self.highBits else {
                return offset &+ (letters ^ Self.highBits).trailingZeroBitCount >> 3
            }
            offset &+= 8
        }
        while offset < count, Self.lowerLetters((UInt64(bytes[offset]) | bits) ^ flipped) & 0x80 != 0 { offset &+= 1 }
        return offset
    }

    /// The high bit of each byte that is one of `a` to `z`. No sum reaches the next byte.
    @inline(__always) private static func lowerLetters(_ word: UInt64) -> UInt64 {
        let low = word & ~highBits
        let isNotBefore = low &+ everyByte &* UInt64(0x80 - UInt8(ascii: "a"))
        let isBehind = low &+ everyByte &* UInt64(0x80 - UInt8(ascii: "z") - 1)
        return isNotBefore & ~isBehind & ~word & highBits
    }

    /// Whether the byte at `offset` is ASCII, or the text ends there.
    @inline(__always) func isASCII(_ offset: Int) -> Bool { byte(offset) < 0x80 }
}
