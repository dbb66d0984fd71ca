public import NIOCore

/// Counts the tokens of text exactly as tiktoken's `encode_ordinary` does.
///
/// Text that looks like a special token (`<|endoftext|>`) is ordinary text, as it is for the models when it stands in a
/// message. What is not valid UTF-8 is counted with U+FFFD in its place, as Python's `decode(errors="replace")` and
/// Swift's `String` write it. The time is linear in the length of the text, whatever it is; beside the text, a piece
/// that the splitting rules leave whole, such as a megabyte of one letter, takes as many bytes for the time of the call.
public struct Tokenizer: Sendable {
    /// The encoding that it counts in.
    public let encoding: TokenEncoding
    private let vocabulary: Vocabulary

    /// Costs nothing worth keeping: the tables are part of the program.
    public init(_ encoding: TokenEncoding) {
        self.encoding = encoding
        vocabulary = .of(encoding)
    }

    /// How many tokens `text` has.
    public func count(_ text: String) -> Int {
        var text = text
        return text.withUTF8 { countValid($0) }
    }

    /// How many tokens the readable bytes of `text` have.
    public func count(_ text: ByteBuffer) -> Int {
        text.withUnsafeReadableBytes { count(utf8: $0) }
    }

    /// How many tokens `bytes` have.
    public func count(utf8 bytes: UnsafeRawBufferPointer) -> Int {
        bytes.withMemoryRebound(to: UInt8.self) { bytes in
            if UTF8Validation.isValid(bytes) { return countValid(bytes) }
            return count(String(decoding: bytes, as: UTF8.self))
        }
    }

    /// The ids of the tokens of `text`: for comparing with other implementations.
    public func ids(_ text: String) -> [Int] {
        var (text, ids) = (text, [Int]())
        text.withUTF8 { bytes in
            guard let base = bytes.baseAddress else { return }
            forEachPiece(bytes) { ids += self.ids(base + $0, count: $1 - $0) }
        }
        return ids
    }
}

// MARK: - Pieces

extension Tokenizer {
    private func countValid(_ text: UnsafeBufferPointer<UInt8>) -> Int {
        guard let base = text.baseAddress else { return 0 }
        var tokens = 0
        forEachPiece(text) { start, end in
            let length = end &- start
            if length <= FrequentWords.longest, start &+ 8 <= text.count {
                let word = UnsafeRawPointer(base).loadUnaligned(fromByteOffset: start, as: UInt64.self)
                if vocabulary.frequent.contains(UInt64(littleEndian: word), count: length) {
                    tokens &+= 1
                    return
                }
            }
            tokens &+= countRare(base + start, count: length, readable: text.count &- start)
        }
        return tokens
    }

    /// The piece is the first `count` of `readable` bytes.
    @inline(never) private func countRare(_ bytes: UnsafePointer<UInt8>, count: Int, readable: Int) -> Int {
        if count < PieceScan.shortest { return vocabulary.short.count(bytes, count) }
        // Words, and what consists of them, begin with a longer token. A long piece is tried in any case.
        let beginning = vocabulary.short.triple(vocabulary.short.pair(bytes[0], bytes[1]), bytes[2], fourth: bytes[3])
        if beginning.goesOn {
            let (node, length) = walk(bytes, count: count)
            if length == count, node.isToken { return 1 }
            let limit = length < Self.wordlike ? Self.longWord : Self.longPiece
            if count < limit { return searched(bytes, count: count) }
        }
        if count > PieceScan.longest { return searched(bytes, count: count) }
        return scanned(bytes, count: count, readable: readable) ?? searched(bytes, count: count)
    }

    /// Follows the beginnings of tokens as far as the piece does: the last one, and its length.
    @inline(__always)
    private func walk(_ bytes: UnsafePointer<UInt8>, count: Int) -> (node: Vocabulary.Node, length: Int) {
        var (node, length) = (Vocabulary.Node.root, 0)
        while length < count, !node.isLeaf, let next = vocabulary.step(node, bytes[length]) {
            (node, length) = (next, length &+ 1)
        }
        return (node, length)
    }

    /// Bytes that most words have in common with a token, and few random letters.
    private static let wordlike = 5
    /// Bytes from which on a piece is scanned that has less than that in common with any: about none of prose, and half of the
    /// words of random letters that begin like a word.
    private static let longWord = 12
    /// Bytes from which on a piece is scanned whatever it begins with.
    private static let longPiece = 64

    @inline(__always)
    private func forEachPiece(_ text: UnsafeBufferPointer<UInt8>, _ body: (_ start: Int, _ end: Int) -> Void) {
        guard let base = text.baseAddress else { return }
        let splitter = Splitter(ScalarReader(base, count: text.count), encoding)
        var start = 0
        while start < text.count {
            let end = splitter.end(of: start)
            body(start, end)
            start = end
        }
    }

    private func searched(_ bytes: UnsafePointer<UInt8>, count: Int) -> Int {
        withSearch(bytes, count: count) { $0.run() }
    }

    private func ids(_ bytes: UnsafePointer<UInt8>, count: Int) -> [Int] {
        withSearch(bytes, count: count) { search in
            _ = search.run()
            return search.ranks()
        }
    }

    private func scanned(_ bytes: UnsafePointer<UInt8>, count: Int, readable: Int) -> Int? {
        withUnsafeTemporaryAllocation(byteCount: PieceScan.Ring.size, alignment: 8) { memory in
            // It has an address, as it is not empty.
            PieceScan(vocabulary, bytes, count: count, readable: readable, memory: memory.baseAddress!).run()
        }
    }

    /// Short pieces find their memory on the stack.
    @inline(__always) private func withSearch<Result>(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ body: (PieceSearch) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(of: PieceSearch.Candidate.self, capacity: PieceSearch.longestToken) {
            candidates in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count + 1) { lengths in
                // Neither is empty, so both have an address.
                body(
                    PieceSearch(
                        vocabulary, bytes, count: count, lengths: lengths.baseAddress!,
                        candidates: candidates.baseAddress!))
            }
        }
    }
}
