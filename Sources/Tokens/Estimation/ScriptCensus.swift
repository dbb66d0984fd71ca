/// How many characters of which kind a text has, as far as they differ in tokens.
public struct ScriptCensus: Sendable, Hashable {
    /// Tokens by the average weight of each kind of character.
    public private(set) var weight: Double = 0

    public init() {}

    /// Adds the characters of `text`, which may be anything; what is no UTF-8 counts as rare.
    public mutating func add(_ text: UnsafeRawBufferPointer) {
        var counts = [Int](repeating: 0, count: Kind.allCases.count)
        var previous: UInt8 = 0x20
        for byte in text {
            counts[Kind(byte, after: previous).rawValue] += 1
            previous = byte
        }
        for kind in Kind.allCases { weight += Double(counts[kind.rawValue]) * kind.weight }
    }

    /// Kinds by the first byte of a character, so that a text is read once and nothing is decoded.
    private enum Kind: Int, CaseIterable {
        case letter, wordStart, digit, space, punctuation, latinOrCyrillic, middleEast, asian, rare, continuation

        init(_ byte: UInt8, after previous: UInt8) {
            switch byte {
            case 0x41...0x5A, 0x61...0x7A: self = previous | 0x20 >= 0x61 && previous < 0x80 ? .letter : .wordStart
            case 0x30...0x39: self = .digit
            case 0x20: self = previous == 0x20 ? .letter : .space
            case 0x00..<0x80: self = .punctuation
            case 0x80..<0xC0: self = .continuation
            case 0xC0..<0xD6: self = .latinOrCyrillic
            case 0xD6..<0xE0: self = .middleEast
            case 0xE3...0xED: self = .asian
            default: self = .rare
            }
        }

        /// Tokens for a character. A word of the usual five letters has one and a third.
        var weight: Double {
            switch self {
            case .letter: 0.09
            case .wordStart: 0.95
            case .digit: 0.6
            case .space: 0.05
            case .punctuation: 0.75
            case .latinOrCyrillic: 0.45
            case .middleEast: 0.6
            case .asian: 0.9
            case .rare: 1.4
            case .continuation: 0
            }
        }
    }
}
