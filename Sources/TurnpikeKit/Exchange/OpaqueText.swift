/// Header values that are not UTF-8, in Swift strings that give their bytes back.
///
/// A field value may hold any byte above 127 (`obs-text`, RFC 9110, section 5.5), and some clients and upstreams send
/// Latin-1. A string cannot hold such bytes, so each stands in it as a character of its own: byte `b` as U+10FF00 + `b`,
/// at the end of the last private plane. A value that holds such characters itself is taken byte by byte as well:
/// whatever came goes out again as it was.
package enum OpaqueText {
    /// What every character that stands for a byte begins with in UTF-8.
    private static let lead: UInt8 = 0xF4
    private static let plane: UInt32 = 0x10FF00

    /// The string of a value's bytes.
    package static func string(_ bytes: UnsafeRawBufferPointer) -> String {
        // Validating is generic code of the standard library, and nearly all there is is ASCII.
        if isASCII(bytes) { return String(decoding: bytes, as: UTF8.self) }
        if let text = String(validating: bytes, as: UTF8.self), !bytes.contains(lead) { return text }
        var text = String.UnicodeScalarView()
        for byte in bytes { text.append(scalar(byte)) }
        return String(text)
    }

    private static func scalar(_ byte: UInt8) -> Unicode.Scalar {
        guard byte > 127, let scalar = Unicode.Scalar(plane + UInt32(byte)) else { return Unicode.Scalar(byte) }
        return scalar
    }

    /// The bytes that the UTF-8 of a value stands for, where they are others.
    package static func bytes(of value: UnsafeRawBufferPointer) -> [UInt8]? {
        guard !isASCII(value), value.contains(lead) else { return nil }
        var bytes: [UInt8] = []
        for scalar in String(decoding: value, as: UTF8.self).unicodeScalars {
            if scalar.value > plane + 127 {
                bytes.append(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                bytes.append(contentsOf: UTF8.encode(scalar).unsafelyUnwrapped)
            }
        }
        return bytes
    }

    /// Whether no byte is above 127. Eight at a time: all bytes of all heads are asked.
    @inline(__always) package static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let words = bytes.count & ~7
        var seen: UInt64 = 0
        for at in stride(from: 0, to: words, by: 8) { seen |= bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
        for at in words..<bytes.count { seen |= UInt64(bytes[at]) }
        return seen & 0x8080_8080_8080_8080 == 0
    }
}
