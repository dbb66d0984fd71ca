/// Base64 as clients write inline images, files and audio: either alphabet, with or without padding, line breaks
/// allowed (RFC 4648, sections 4 and 5).
enum Base64 {
    private static let invalid: UInt8 = 0xFF
    private static let skipped: UInt8 = 0xFE
    private static let padding: UInt8 = 0xFD

    private static let values: [UInt8] = {
        var values = [UInt8](repeating: invalid, count: 256)
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for (value, letter) in letters.enumerated() { values[Int(letter)] = UInt8(value) }
        values[Int(UInt8(ascii: "-"))] = 62
        values[Int(UInt8(ascii: "_"))] = 63
        values[Int(UInt8(ascii: "="))] = padding
        for space in [ASCII.space, ASCII.tab, ASCII.lineFeed, ASCII.carriageReturn] { values[Int(space)] = skipped }
        return values
    }()

    /// Decodes `text` and hands the bytes out in blocks, so that an image of megabytes is not held twice. False where
    /// the text is no base64; what was handed out until then is to be thrown away.
    static func decode(_ text: UnsafeRawBufferPointer, _ block: (UnsafeRawBufferPointer) -> Void) -> Bool {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(text.count, blockSize) + 3)
        let isComplete = values.withUnsafeBufferPointer { values in
            decode(text, values, &bytes, block)
        }
        guard isComplete else { return false }
        bytes.withUnsafeBytes(block)
        return true
    }

    private static let blockSize = 1 << 15

    private static func decode(
        _ text: UnsafeRawBufferPointer, _ values: UnsafeBufferPointer<UInt8>, _ bytes: inout [UInt8],
        _ block: (UnsafeRawBufferPointer) -> Void
    ) -> Bool {
        var (bits, digits, isPadded) = (UInt32(0), 0, false)
        for letter in text {
            let value = values[Int(letter)]
            switch value {
            case invalid: return false
            case skipped: continue
            case padding: isPadded = true
            default:
                if isPadded { return false }
                bits = bits << 6 | UInt32(value)
                digits &+= 1
                guard digits == 4 else { continue }
                bytes.append(UInt8(truncatingIfNeeded: bits >> 16))
                bytes.append(UInt8(truncatingIfNeeded: bits >> 8))
                bytes.append(UInt8(truncatingIfNeeded: bits))
                (bits, digits) = (0, 0)
                if bytes.count >= blockSize {
                    bytes.withUnsafeBytes(block)
                    bytes.removeAll(keepingCapacity: true)
                }
            }
        }
        return appendRest(bits, digits, &bytes)
    }

    /// The one or two bytes of an unfinished group of four digits.
    private static func appendRest(_ bits: UInt32, _ digits: Int, _ bytes: inout [UInt8]) -> Bool {
        switch digits {
        case 0: return true
        case 2:
            bytes.append(UInt8(truncatingIfNeeded: bits >> 4))
            return true
        case 3:
            bytes.append(UInt8(truncatingIfNeeded: bits >> 10))
            bytes.append(UInt8(truncatingIfNeeded: bits >> 2))
            return true
        default: return false
        }
    }
}
