import TurnpikeKit

/// The form of our keys: `tp-`, eight characters to recognise a key by, and 43 secret ones (256 bits), all in base 62.
///
/// The first eleven characters are stored and shown in lists. They are drawn apart from the secret ones, so they
/// tell nothing about them.
enum APIKey {
    static let marker = "tp-"
    private static let labelLength = 8
    private static let secretLength = 43
    static let length = 3 + labelLength + secretLength
    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// A new key and its printable beginning. The system's generator is `getrandom(2)`.
    static func generate() -> (key: Secret, prefix: String) {
        var generator = SystemRandomNumberGenerator()
        let drawn = (0..<labelLength + secretLength).map { _ in alphabet[Int.random(in: 0..<62, using: &generator)] }
        let text = marker + String(decoding: drawn, as: UTF8.self)
        return (Secret(text), String(text.prefix(marker.count + labelLength)))
    }

    /// Whether `bytes` could be one of our keys.
    static func isWellFormed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count == length, bytes.starts(with: marker.utf8) else { return false }
        return bytes[marker.utf8.count...].allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"):
                true
            default: false
            }
        }
    }
}
