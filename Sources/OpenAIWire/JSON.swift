public import NIOCore

/// Rules that hold for every JSON text that Turnpike reads.
public enum JSON {
    /// How deep objects and arrays may be nested. Deeper text is refused: real messages and tool schemas stay below
    /// fifty, and whoever reads them next may recurse.
    public static let maximumDepth = 512

    /// How many members an object, or elements an array, may have where they are collected: it bounds the memory
    /// that a body of many tiny members takes.
    public static let maximumElements = 1 << 18

    /// How many members a request may have at its outermost level. OpenAI's have some forty; every step of the chain
    /// looks for its own among them.
    public static let maximumRequestMembers = 4_096

    /// Checks that `bytes` are one JSON text by RFC 8259, in valid UTF-8, nested no deeper than `maximumDepth`.
    ///
    /// Scanning and editing look at the outermost level only. What will be stored, and spliced into later requests,
    /// is checked with this first. Lone surrogate escapes pass: the grammar allows them.
    public static func validate(_ bytes: ByteBuffer) throws(WireError) {
        try bytes.withUnsafeReadableBytes { (bytes) throws(WireError) in try validate(bytes) }
    }

    static func validate(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
        var validator = JSONValidator(bytes)
        try validator.validate()
    }
}
