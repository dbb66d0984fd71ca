/// Reads the counts of a `usage` object in one pass. Every answer has one, and to take it apart into members first cost
/// more than all else that is looked at in an answer that nobody parses.
struct UsageScanner {
    private(set) var prompt = 0
    private(set) var completion = 0
    private(set) var total: Int?
    private(set) var cachedPrompt = 0
    private(set) var reasoning = 0

    /// Reads the object that is the whole of `text`. Of a key that stands twice the last one counts.
    init(_ text: UnsafeRawBufferPointer) throws(WireError) {
        try JSONScanner.forEachMember(of: text) { (scanner, key, value, kind) in
            func count() -> Int { kind == .number ? Self.number(scanner.bytes, value) ?? 0 : 0 }
            func detail(_ name: StaticString) -> Int {
                kind == .object ? Self.count(name, in: scanner.bytes.slice(value)) : 0
            }
            if scanner.key(key, is: "prompt_tokens") {
                prompt = count()
            } else if scanner.key(key, is: "completion_tokens") {
                completion = count()
            } else if scanner.key(key, is: "total_tokens") {
                total = kind == .number ? Self.number(scanner.bytes, value) : nil
            } else if scanner.key(key, is: "prompt_tokens_details") {
                cachedPrompt = detail("cached_tokens")
            } else if scanner.key(key, is: "completion_tokens_details") {
                reasoning = detail("reasoning_tokens")
            }
        }
    }

    /// The count called `name` of an object; 0 where it is missing or the object cannot be read.
    private static func count(_ name: StaticString, in text: UnsafeRawBufferPointer) -> Int {
        var found = 0
        do throws(WireError) {
            try JSONScanner.forEachMember(of: text) { (scanner, key, value, kind) in
                guard scanner.key(key, is: name) else { return }
                found = kind == .number ? number(scanner.bytes, value) ?? 0 : 0
            }
        } catch {
            return 0
        }
        return found
    }

    /// A number without a fraction that fits. Up to eighteen digits, as all counts have, are read as they lie there.
    private static func number(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int? {
        guard range.count <= 18, text[range].allSatisfy(ASCII.isDigit) else {
            let digits = String(decoding: text.slice(range), as: UTF8.self)
            return Int(digits) ?? Double(digits).flatMap(Int.init(exactly:))
        }
        return text[range].reduce(0) { $0 &* 10 &+ Int($1 &- ASCII.zero) }
    }
}

extension Usage {
    /// Reads the `usage` object that is the whole of `text`, as `init(_:)` reads one.
    public init?(scanning text: UnsafeRawBufferPointer) {
        guard let read = try? UsageScanner(text) else { return nil }
        self.init(
            prompt: Self.bounded(read.prompt), completion: Self.bounded(read.completion),
            total: read.total.map(Self.bounded), cachedPrompt: Self.bounded(read.cachedPrompt),
            reasoning: Self.bounded(read.reasoning))
    }
}
