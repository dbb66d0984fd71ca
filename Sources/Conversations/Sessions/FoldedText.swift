/// A text that is looked for in others without regard to upper and lower case, in every script.
///
/// Cases are folded by the rule of Unicode (upper case, then lower case, scalar by scalar, so that ς, σ and Σ are the
/// same and ß is ss) and compared as bytes. Where letters are written with combining marks the comparison is one of
/// characters, in which é is é however it is composed. Nothing in the text is a wildcard.
public struct FoldedText: Sendable {
    private let bytes: [UInt8]
    private let characters: [Character]
    private let isASCII: Bool
    private let hasMarks: Bool

    /// The text to look for; an empty one is in every text.
    public init(_ text: String) {
        let folded = Self.fold(text)
        bytes = Array(folded.text.utf8)
        characters = Array(folded.text)
        isASCII = bytes.allSatisfy { $0 < 0x80 }
        hasMarks = folded.hasMarks
    }

    /// Whether `text` contains it.
    public func isContained(in text: String) -> Bool {
        range(in: text) != nil
    }

    /// Where it begins in `text`, roughly, as a part of the whole: for cutting out what stands around it.
    ///
    /// - Returns: 0…1; nil if it is not in it.
    public func range(in text: String) -> Double? {
        guard !bytes.isEmpty else { return 0 }
        let folded = Self.fold(text)
        if let found = folded.text.withUTF8Bytes({ Self.find(bytes, in: $0) }) {
            return Double(found) / Double(max(1, folded.text.utf8.count))
        }
        guard !isASCII, hasMarks || folded.hasMarks else { return nil }
        let others = Array(folded.text)
        guard others.count >= characters.count else { return nil }
        let start = (0...(others.count - characters.count)).first { start in
            others[start..<(start + characters.count)].elementsEqual(characters)
        }
        return start.map { Double($0) / Double(max(1, others.count)) }
    }

    private static func find(_ needle: [UInt8], in text: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let first = needle.first, text.count >= needle.count else { return nil }
        for start in 0...(text.count - needle.count) where text[start] == first {
            if text[start..<(start + needle.count)].elementsEqual(needle) { return start }
        }
        return nil
    }

    private static func fold(_ text: String) -> (text: String, hasMarks: Bool) {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return (text.lowercased(), false) }
        var hasMarks = false
        var folded = ""
        folded.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            if scalar.value < 0x80 {
                let isUpper = scalar.value >= 0x41 && scalar.value <= 0x5A
                folded.unicodeScalars.append(isUpper ? Unicode.Scalar(UInt8(scalar.value) + 32) : scalar)
                continue
            }
            let properties = scalar.properties
            hasMarks = hasMarks || scalar.isPart
            guard properties.changesWhenCaseFolded || properties.isCased else {
                folded.unicodeScalars.append(scalar)
                continue
            }
            for upper in properties.uppercaseMapping.unicodeScalars { folded += upper.properties.lowercaseMapping }
        }
        return (folded, hasMarks)
    }
}

extension Unicode.Scalar {
    /// Whether it is a combining mark or a part of a Korean syllable: what may also be written as one with its letter.
    fileprivate var isPart: Bool {
        switch value {
        case 0..<0x300, 0x3400..<0xFB00: false
        case 0x300..<0x370, 0x1100..<0x1200: true
        default: properties.canonicalCombiningClass != .notReordered
        }
    }
}

extension String {
    fileprivate func withUTF8Bytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        var copy = self
        return copy.withUTF8(body)
    }
}
