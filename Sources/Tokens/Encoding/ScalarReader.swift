/// Valid UTF-8 with the classes of its characters.
///
/// The memory is the caller's and outlives the reader. Offsets lie at the beginnings of characters or at the end.
struct ScalarReader {
    let bytes: UnsafePointer<UInt8>
    let count: Int
    private let classes = ScalarClasses.shared

    /// `text` is valid UTF-8.
    init(_ bytes: UnsafePointer<UInt8>, count: Int) {
        self.bytes = bytes
        self.count = count
    }

    /// The class of the character at `offset`, and where the next one begins.
    @inline(__always) func character(_ offset: Int) -> (class: UInt8, end: Int) {
        let first = bytes[offset]
        if first < 0x80 { return (classes.ascii(first), offset &+ 1) }
        let (scalar, length) = decode(offset, first)
        return (classes[scalar], offset &+ length)
    }

    /// The class of an ASCII character.
    @inline(__always) func ascii(_ character: UInt8) -> UInt8 { classes.ascii(character) }

    /// The class of the character at `offset`; `other` at the end, which no rule tells from a character that stops it.
    @inline(__always) func scalarClass(_ offset: Int) -> UInt8 {
        offset < count ? character(offset).class : ScalarClass.other
    }

    @inline(__always) func byte(_ offset: Int) -> UInt8 { offset < count ? bytes[offset] : 0 }

    @inline(__always) private func decode(_ offset: Int, _ first: UInt8) -> (UInt32, Int) {
        @inline(__always) func bits(_ index: Int) -> UInt32 { UInt32(bytes[offset &+ index] & 0x3F) }
        if first < 0xE0 { return (UInt32(first & 0x1F) << 6 | bits(1), 2) }
        if first < 0xF0 { return (UInt32(first & 0x0F) << 12 | bits(1) << 6 | bits(2), 3) }
        return (UInt32(first & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), 4)
    }

    /// Where the run of characters of `set` that begins at `offset` ends.
    @inline(__always) func run(_ set: ClassSet, from offset: Int) -> Int {
        var offset = offset
        while offset < count {
            let (scalarClass, end) = character(offset)
            guard set.contains(scalarClass) else { break }
            offset = end
        }
        return offset
    }
}

/// Some of the classes, one bit each. The sets are computed, which the compiler does: a stored one is asked each time
/// whether it is there yet.
struct ClassSet {
    let bits: UInt8

    private init(_ bits: UInt8) { self.bits = bits }

    @inline(__always) func contains(_ scalarClass: UInt8) -> Bool { bits >> scalarClass & 1 != 0 }

    /// `\p{L}`
    static var letters: ClassSet {
        ClassSet(1 << ScalarClass.upper | 1 << ScalarClass.lower | 1 << ScalarClass.caseless)
    }
    /// `[^\s\p{L}\p{N}]`
    static var symbols: ClassSet { ClassSet(1 << ScalarClass.other | 1 << ScalarClass.mark) }
    /// `\s`
    static var whitespace: ClassSet { ClassSet(1 << ScalarClass.newline | 1 << ScalarClass.space) }
    /// `[\r\n]`
    static var newlines: ClassSet { ClassSet(1 << ScalarClass.newline) }
    /// `[^\r\n\p{L}\p{N}]`: what one of may stand before the letters of a word.
    static var prefixes: ClassSet { ClassSet(1 << ScalarClass.other | 1 << ScalarClass.mark | 1 << ScalarClass.space) }
    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
    static var heads: ClassSet { ClassSet(1 << ScalarClass.upper | 1 << ScalarClass.caseless | 1 << ScalarClass.mark) }
    /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
    static var tails: ClassSet { ClassSet(1 << ScalarClass.lower | 1 << ScalarClass.caseless | 1 << ScalarClass.mark) }
}
