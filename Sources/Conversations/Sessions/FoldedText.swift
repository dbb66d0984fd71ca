/// A text that is looked for in others without regard to upper and lower case, in every script.
///
/// Cases are folded by the rule of Unicode (upper case, then lower case, scalar by scalar, so that ς, σ and Σ are the
/// same and ß is ss) and compared as bytes. Where letters are written with combining marks the comparison is one of
/// characters, in which é is é however it is composed. Nothing in the text is a wildcard.
public struct FoldedText: Sendable {
    private let bytes: Pattern<UInt8>
    private let characters: Pattern<Character>
    private let isASCII: Bool
    private let hasMarks: Bool

    /// The text to look for; an empty one is in every text.
    public init(_ text: String) {
        let folded = Self.fold(text)
        bytes = Pattern(folded.text.utf8)
        characters = Pattern(folded.text)
        isASCII = folded.text.utf8.allSatisfy { $0 < 0x80 }
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
        let folded = Self.fold(text)
        if let found = folded.text.withUTF8Bytes({ bytes.firstIndex(in: $0) }) {
            return Double(found) / Double(max(1, folded.text.utf8.count))
        }
        guard !isASCII, hasMarks || folded.hasMarks else { return nil }
        return characters.firstIndex(in: folded.text).map { Double($0) / Double(max(1, folded.text.count)) }
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

/// Knuth, Morris and Pratt's search: linear, however much the text looks like what is looked for.
private struct Pattern<Element: Equatable & Sendable>: Sendable {
    private let elements: [Element]
    /// For each prefix, the length of its longest proper prefix that it also ends with.
    private let borders: [Int]

    init(_ elements: some Sequence<Element>) {
        self.elements = Array(elements)
        var borders = [Int](repeating: 0, count: self.elements.count)
        var length = 0
        for index in self.elements.indices.dropFirst() {
            while length > 0, self.elements[length] != self.elements[index] { length = borders[length - 1] }
            if self.elements[length] == self.elements[index] { length += 1 }
            borders[index] = length
        }
        self.borders = borders
    }

    /// How many elements precede the first place in `text` where it stands; nil if there is none.
    func firstIndex(in text: some Sequence<Element>) -> Int? {
        guard !elements.isEmpty else { return 0 }
        var matched = 0
        var read = 0
        for element in text {
            while matched > 0, elements[matched] != element { matched = borders[matched - 1] }
            if elements[matched] == element { matched += 1 }
            read += 1
            if matched == elements.count { return read - matched }
        }
        return nil
    }
}
