public import NIOCore

/// Where a JSON text holds inline media: the insides of long strings that are data URLs or base64.
public enum InlineMedia {
    /// Shorter strings stay where they are: moving them would cost more than it saves.
    public static let minimumBytes = 16 << 10

    /// The byte ranges between the quotes of such strings, in order, relative to the readable bytes. Empty for a text
    /// that is no JSON.
    ///
    /// Which member they belong to does not matter: what is taken out is put back at the same place.
    public static func spans(in json: ByteBuffer, atLeast minimum: Int = minimumBytes) -> [Range<Int>] {
        guard json.readableBytes >= minimum else { return [] }
        return json.withUnsafeReadableBytes { text in
            var spans: [Range<Int>] = []
            var scanner = JSONScanner(text)
            while let quote = text.first(ASCII.quote, from: scanner.position) {
                scanner.position = quote
                guard let inside = try? scanner.skipString() else { return [] }
                if inside.count >= minimum, isMedia(text.slice(inside)) { spans.append(inside) }
            }
            return spans
        }
    }

    /// Whether a string of the text names a kind of part that is no text; false is certain, true is not.
    public static func mayHaveParts(_ json: ByteBuffer) -> Bool {
        json.withUnsafeReadableBytes { text in
            var position = 0
            while let quote = text.first(ASCII.quote, from: position) {
                position = quote + 1
                if isPart("image_url\"", text, position) || isPart("input_audio\"", text, position)
                    || isPart("file\"", text, position)
                {
                    return true
                }
            }
            return false
        }
    }

    private static func isPart(_ name: StaticString, _ text: UnsafeRawBufferPointer, _ start: Int) -> Bool {
        let end = start + name.utf8CodeUnitCount
        return end <= text.count && text.equals(name, in: start..<end)
    }

    private static func isMedia(_ text: UnsafeRawBufferPointer) -> Bool {
        if text.prefix(5).elementsEqual("data:".utf8, by: { $0 | 0x20 == $1 | 0x20 }) { return true }
        return text.allSatisfy { isBase64[Int($0)] }
    }

    /// Both alphabets, padding, and the backslash, which may stand before a slash.
    private static let isBase64: [Bool] = {
        var table = [Bool](repeating: false, count: 256)
        for byte in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\\".utf8 {
            table[Int(byte)] = true
        }
        return table
    }()
}
