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
        if first < 0x80 { return (classes[UInt32(first)], offset &+ 1) }
        let (scalar, length) = decode(offset, first)
        return (classes[scalar], offset &+ length)
    }

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

/// Some of the classes, one bit each.
struct ClassSet {
    let bits: UInt8

    init(_ classes: UInt8...) { bits = classes.reduce(0) { $0 | 1 << $1 } }

    @inline(__always) func contains(_ scalarClass: UInt8) -> Bool { bits >> scalarClass & 1 != 0 }

    /// `\p{L}`
    static let letters = ClassSet(ScalarClass.upper, ScalarClass.lower, ScalarClass.caseless)
    /// `[^\s\p{L}\p{N}]`
    static let symbols = ClassSet(ScalarClass.other, ScalarClass.mark)
    /// `\s`
    static let whitespace = ClassSet(ScalarClass.newline, ScalarClass.space)
    /// `[\r\n]`
    static let newlines = ClassSet(ScalarClass.newline)
    /// `[^\r\n\p{L}\p{N}]`: what one of may stand before the letters of a word.
    static let prefixes = ClassSet(ScalarClass.other, ScalarClass.mark, ScalarClass.space)
    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
    static let heads = ClassSet(ScalarClass.upper, ScalarClass.caseless, ScalarClass.mark)
    /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
    static let tails = ClassSet(ScalarClass.lower, ScalarClass.caseless, ScalarClass.mark)
}
