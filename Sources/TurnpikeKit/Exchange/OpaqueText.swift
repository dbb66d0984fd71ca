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
        if let text = String(validating: bytes, as: UTF8.self), !bytes.contains(lead) { return text }
        return escaped(bytes)
    }

    /// A string in which every byte above 127 is a character of its own.
    private static func escaped(_ bytes: UnsafeRawBufferPointer) -> String {
        var text = String.UnicodeScalarView()
        for byte in bytes { text.append(scalar(byte)) }
        return String(text)
    }

    private static func scalar(_ byte: UInt8) -> Unicode.Scalar {
        guard byte > 127, let scalar = Unicode.Scalar(plane + UInt32(byte)) else { return Unicode.Scalar(byte) }
        return scalar
    }

    /// The bytes that a value stands for, where they are others than its UTF-8.
    package static func bytes(of value: String) -> [UInt8]? {
        guard mayBeOpaque(value) else { return nil }
        var bytes: [UInt8] = []
        for scalar in value.unicodeScalars {
            if scalar.value > plane + 127 {
                bytes.append(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                bytes.append(contentsOf: UTF8.encode(scalar).unsafelyUnwrapped)
            }
        }
        return bytes
    }

    /// Over the bytes where they lie: nearly every value of every request and answer is asked.
    private static func mayBeOpaque(_ value: String) -> Bool {
        value.utf8.withContiguousStorageIfAvailable { $0.contains(lead) } ?? value.utf8.contains(lead)
    }
}
