import NIOCore

/// Reads the size of an image from the first bytes of its file, as it stands in a data URL. Nothing else is decoded: of
/// a picture of megabytes some dozen bytes are looked at.
enum ImageHeader {
    /// The size of the image in a base64 data URL; nil for another URL or a format that is not PNG, JPEG, WebP or GIF.
    static func size(dataURL: UnsafeRawBufferPointer) -> ImageSize? {
        let prefix = "data:".utf8
        guard dataURL.count > prefix.count, dataURL.prefix(prefix.count).elementsEqual(prefix) else { return nil }
        guard let comma = dataURL.prefix(256).firstIndex(of: UInt8(ascii: ",")) else { return nil }
        let file = Base64Bytes(UnsafeRawBufferPointer(rebasing: dataURL[(comma + 1)...]))
        return png(file) ?? gif(file) ?? webP(file) ?? jpeg(file)
    }

    /// W3C PNG, 11.2.2: the header chunk comes first.
    private static func png(_ file: Base64Bytes) -> ImageSize? {
        guard file.matches("\u{89}PNG", at: 0), file.matches("IHDR", at: 12) else { return nil }
        return size(file.bigEndian(16, bytes: 4), file.bigEndian(20, bytes: 4))
    }

    /// GIF 89a, section 18.
    private static func gif(_ file: Base64Bytes) -> ImageSize? {
        guard file.matches("GIF8", at: 0) else { return nil }
        return size(file.littleEndian(6, bytes: 2), file.littleEndian(8, bytes: 2))
    }

    /// RFC 9649, section 2: lossy, lossless and extended.
    private static func webP(_ file: Base64Bytes) -> ImageSize? {
        guard file.matches("RIFF", at: 0), file.matches("WEBP", at: 8) else { return nil }
        if file.matches("VP8 ", at: 12) {
            return size(
                file.littleEndian(26, bytes: 2).map { $0 & 0x3FFF }, file.littleEndian(28, bytes: 2).map { $0 & 0x3FFF }
            )
        }
        if file.matches("VP8L", at: 12) {
            let bits = file.littleEndian(21, bytes: 4)
            return size(bits.map { ($0 & 0x3FFF) + 1 }, bits.map { ($0 >> 14 & 0x3FFF) + 1 })
        }
        guard file.matches("VP8X", at: 12) else { return nil }
        return size(file.littleEndian(24, bytes: 3).map { $0 + 1 }, file.littleEndian(27, bytes: 3).map { $0 + 1 })
    }

    /// ITU T.81, B.1: segments up to the one that begins a frame. A file has a few dozen; each is passed in one step.
    private static func jpeg(_ file: Base64Bytes) -> ImageSize? {
        guard file.bigEndian(0, bytes: 2) == 0xFFD8 else { return nil }
        var offset = 2
        for _ in 0..<1_000 {
            guard file[offset] == 0xFF, let marker = file[offset + 1] else { return nil }
            if marker == 0xFF {
                offset += 1
            } else if marker >= 0xC0, marker <= 0xCF, marker != 0xC4, marker != 0xC8, marker != 0xCC {
                return size(file.bigEndian(offset + 7, bytes: 2), file.bigEndian(offset + 5, bytes: 2))
            } else {
                guard let length = file.bigEndian(offset + 2, bytes: 2), length >= 2 else { return nil }
                offset += 2 + length
            }
        }
        return nil
    }

    private static func size(_ width: Int?, _ height: Int?) -> ImageSize? {
        guard let width, let height, width > 0, height > 0 else { return nil }
        return ImageSize(width: width, height: height)
    }
}

/// The bytes that base64 text stands for, each found on its own. Text with line breaks has none: nobody sends that.
struct Base64Bytes {
    private let text: UnsafeRawBufferPointer

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    /// The byte at `offset`; nil beyond the end, and where the text is no base64.
    subscript(_ offset: Int) -> UInt8? {
        let place = offset / 3 * 4 + offset % 3
        guard place + 1 < text.count, let high = Self.digit(text[place]), let low = Self.digit(text[place + 1]) else {
            return nil
        }
        // Of the twelve bits of two digits: the first eight, those behind the second, or the last eight.
        return UInt8(truncatingIfNeeded: (high << 6 | low) >> UInt32(4 - offset % 3 * 2))
    }

    func matches(_ tag: String, at offset: Int) -> Bool {
        tag.unicodeScalars.enumerated().allSatisfy { self[offset + $0.offset].map(UInt32.init) == $0.element.value }
    }

    func bigEndian(_ offset: Int, bytes: Int) -> Int? { number((0..<bytes).map { offset + $0 }) }

    func littleEndian(_ offset: Int, bytes: Int) -> Int? { number((0..<bytes).reversed().map { offset + $0 }) }

    private func number(_ offsets: [Int]) -> Int? {
        offsets.reduce(Int?.some(0)) { sum, offset in
            guard let sum, let byte = self[offset] else { return nil }
            return sum << 8 | Int(byte)
        }
    }

    private static func digit(_ letter: UInt8) -> UInt32? {
        switch letter {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - 65)
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - 71)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter + 4)
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
