/// Where the members of a chat.completion.chunk lie that are looked at.
struct ChunkFields {
    var id: Range<Int>?
    var model: Range<Int>?
    var systemFingerprint: Range<Int>?
    /// The usage object.
    var usage: Range<Int>?
    /// The list of sources that some providers name beside their answers.
    var citations: Range<Int>?
    /// Where the list of choices begins.
    var choices: Int?
    var hasError = false

    /// Reads a chunk that is valid JSON.
    mutating func read(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
        var scanner = JSONScanner(bytes)
        var isFirst = true
        try scanner.enterObject()
        while let key = try scanner.nextKey(&isFirst) {
            let start = scanner.position
            let kind = try scanner.skipValue()
            switch kind {
            case .array where scanner.key(key, is: "choices"): choices = start
            case .array where scanner.key(key, is: "citations"): citations = start..<scanner.position
            case .string: noteString(key, scanner, start)
            case .object where scanner.key(key, is: "usage"): usage = start..<scanner.position
            case .null: continue
            default: if scanner.key(key, is: "error") { hasError = true }
            }
        }
    }

    private mutating func noteString(_ key: Range<Int>, _ scanner: JSONScanner, _ start: Int) {
        let inside = start + 1..<scanner.position - 1
        if scanner.key(key, is: "id") {
            id = inside
        } else if scanner.key(key, is: "model") {
            model = inside
        } else if scanner.key(key, is: "system_fingerprint") {
            systemFingerprint = inside
        } else if scanner.key(key, is: "error") {
            hasError = true
        }
    }
}

/// Where the members of one choice of a chunk lie.
struct ChoiceFields {
    var index: Int?
    /// Where the delta, an object, begins.
    var delta: Int?
    /// Where the log probabilities, an object, begin.
    var logprobs: Int?
    /// The inside of the finish reason; nil where it is null or empty, as some providers write "not yet".
    var finishReason: Range<Int>?

    /// Reads the choice, an object in valid JSON, under the scanner's position and moves behind it.
    init(_ scanner: inout JSONScanner) throws(WireError) {
        var isFirst = true
        try scanner.enterObject()
        while let key = try scanner.nextKey(&isFirst) {
            let start = scanner.position
            switch try scanner.skipValue() {
            case .object where scanner.key(key, is: "delta"): delta = start
            case .object where scanner.key(key, is: "logprobs"): logprobs = start
            case .number where scanner.key(key, is: "index"):
                guard let number = scanner.bytes.smallInteger(start..<scanner.position) else {
                    throw .wrongType("choices.index", expected: "a small integer")
                }
                index = number
            case .string where scanner.key(key, is: "finish_reason"):
                if scanner.position - start > 2 { finishReason = start + 1..<scanner.position - 1 }
            default: continue
            }
        }
    }
}
