/// Cuts text into the pieces that byte-pair encoding works in, as tiktoken's regular expressions do, without an
/// engine for them: every piece is found in one pass over its characters and at most one behind it.
struct Splitter {
    private let text: ScalarReader
    private let encoding: TokenEncoding

    init(_ text: ScalarReader, _ encoding: TokenEncoding) {
        self.text = text
        self.encoding = encoding
    }

    /// Where the piece that begins at `start`, which is before the end, ends.
    @inline(__always) func end(of start: Int) -> Int {
        switch encoding {
        case .cl100k: plainLetters(start) ?? cl100k(start)
        case .o200k: plainWord(start) ?? o200k(start)
        }
    }
}

// MARK: - The most frequent pieces

extension Splitter {
    /// cl100k_base: ASCII letters behind at most one other character, which no other character than ASCII follows; nil for
    /// anything else.
    @inline(__always) private func plainLetters(_ start: Int) -> Int? {
        let letters = isPlainPrefix(start) && text.bytes[start] != UInt8(ascii: "'") ? start &+ 1 : start
        let end = text.letterASCII(from: letters)
        return end > letters && text.isASCII(end) ? end : nil
    }

    /// o200k_base: the same, capitals before small letters.
    @inline(__always) private func plainWord(_ start: Int) -> Int? {
        let letters = isPlainPrefix(start) ? start &+ 1 : start
        let small = text.byte(letters) &- UInt8(ascii: "A") < 26 ? text.upperASCII(from: letters) : letters
        let end = text.lowerASCII(from: small)
        guard end > letters, text.isASCII(end) else { return nil }
        return text.byte(end) == UInt8(ascii: "'") ? contraction(end) ?? end : end
    }
}

extension Splitter {
    /// Whether an ASCII character is here that may stand before the letters of a word.
    @inline(__always) private func isPlainPrefix(_ offset: Int) -> Bool {
        let byte = text.bytes[offset]
        return byte == UInt8(ascii: " ") || byte < 0x80 && ClassSet.prefixes.contains(text.ascii(byte))
    }
}

// MARK: - What both share

extension Splitter {
    /// `\p{N}{1,3}`, whose first character has been seen.
    private func numbers(from second: Int) -> Int {
        var end = second
        for _ in 0..<2 {
            guard end < text.count else { break }
            let (scalarClass, next) = text.character(end)
            guard scalarClass == ScalarClass.number else { break }
            end = next
        }
        return end
    }

    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)` at `offset`: where it ends, or nil. Without regard to case means that the long s,
    /// U+017F, is an s.
    private func contraction(_ offset: Int) -> Int? {
        guard text.byte(offset) == UInt8(ascii: "'") else { return nil }
        let (first, second) = (text.byte(offset + 1), text.byte(offset + 2))
        switch first | 0x20 {
        case UInt8(ascii: "s"), UInt8(ascii: "d"), UInt8(ascii: "m"), UInt8(ascii: "t"): return offset + 2
        case UInt8(ascii: "l"): return second | 0x20 == UInt8(ascii: "l") ? offset + 3 : nil
        case UInt8(ascii: "v"), UInt8(ascii: "r"): return second | 0x20 == UInt8(ascii: "e") ? offset + 3 : nil
        default: return first == 0xC5 && second == 0xBF ? offset + 3 : nil
        }
    }

    /// The end of white space at `start` that stands before no letter and no symbol, and of what is behind its run.
    /// `endsText` tells what a run at the end of the text is cut by first: nothing, or its last line break.
    private func whitespace(_ start: Int, endsText: WhitespaceAtEnd) -> Int {
        var (end, beforeLast, afterNewline) = (start, start, start)
        while end < text.count {
            let (scalarClass, next) = text.character(end)
            guard ClassSet.whitespace.contains(scalarClass) else { break }
            if scalarClass == ScalarClass.newline { afterNewline = next }
            (beforeLast, end) = (end, next)
        }
        if end == text.count, endsText == .isOnePiece { return end }
        if afterNewline > start { return afterNewline }
        if end == text.count { return end }
        // The last one belongs to what follows, unless it is alone.
        return beforeLast > start ? beforeLast : end
    }

    private enum WhitespaceAtEnd { case isOnePiece, isCutAfterNewline }
}

// MARK: - cl100k_base

extension Splitter {
    /// `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|`
    /// `\s+(?!\S)|\s`
    private func cl100k(_ start: Int) -> Int {
        let (first, second) = text.character(start)
        if ClassSet.letters.contains(first) { return text.run(.letters, from: second) }
        if first == ScalarClass.number { return numbers(from: second) }
        if let end = contraction(start) { return end }
        let next = text.scalarClass(second)
        if first != ScalarClass.newline, ClassSet.letters.contains(next) { return text.run(.letters, from: second) }
        if ClassSet.symbols.contains(first) { return symbolsAndNewlines(from: second) }
        if text.bytes[start] == UInt8(ascii: " "), second < text.count, ClassSet.symbols.contains(next) {
            return symbolsAndNewlines(from: second)
        }
        return whitespace(start, endsText: .isOnePiece)
    }

    /// `[^\s\p{L}\p{N}]++[\r\n]*+`, whose first character has been seen.
    private func symbolsAndNewlines(from offset: Int) -> Int {
        text.run(.newlines, from: text.run(.symbols, from: offset))
    }
}

// MARK: - o200k_base

extension Splitter {
    /// In this order, where X is `[^\r\n\p{L}\p{N}]`, H is `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, T is
    /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]` and C is a contraction:
    /// `X?H*T+C?|X?H+T*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
    private func o200k(_ start: Int) -> Int {
        let (first, second) = text.character(start)
        if first == ScalarClass.number { return numbers(from: second) }
        if first != ScalarClass.newline, let end = word(start, first, second) { return contraction(end) ?? end }
        if ClassSet.symbols.contains(first) { return symbolsAndSlashes(from: second) }
        if text.bytes[start] == UInt8(ascii: " "), second < text.count,
            ClassSet.symbols.contains(text.character(second).class)
        {
            return symbolsAndSlashes(from: second)
        }
        return whitespace(start, endsText: .isCutAfterNewline)
    }

    /// `X?H*T+|X?H+T*`, for what begins with a letter or with X. The first alternative is tried with X and without it before the second one is.
    private func word(_ start: Int, _ first: UInt8, _ second: Int) -> Int? {
        guard ClassSet.prefixes.contains(first) else { return lowered(from: start) ?? text.run(.heads, from: start) }
        guard second < text.count else { return first == ScalarClass.mark ? second : nil }
        if let end = lowered(from: second) { return end }
        if first == ScalarClass.mark { return second }
        let end = text.run(.heads, from: second)
        return end > second ? end : nil
    }

    /// `H*T+`: the run of H, as far as something that is T is left for the rest.
    private func lowered(from start: Int) -> Int? {
        var (end, afterShared) = (start, start)
        while end < text.count {
            let (scalarClass, next) = text.character(end)
            if scalarClass == ScalarClass.lower { return text.run(.tails, from: next) }
            guard ClassSet.heads.contains(scalarClass) else { break }
            if scalarClass != ScalarClass.upper { afterShared = next }
            end = next
        }
        return afterShared > start ? afterShared : nil
    }

    /// `[^\s\p{L}\p{N}]+[\r\n/]*`, whose first character has been seen.
    private func symbolsAndSlashes(from offset: Int) -> Int {
        var end = text.run(.symbols, from: offset)
        while text.byte(end) == 0x0A || text.byte(end) == 0x0D || text.byte(end) == UInt8(ascii: "/") { end += 1 }
        return end
    }
}
