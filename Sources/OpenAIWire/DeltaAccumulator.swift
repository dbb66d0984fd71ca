public import NIOCore

/// Builds the final messages of a streamed chat completion from its chunks.
///
/// Feed it the data of each event but `[DONE]`. Each chunk is validated and merged in time linear in its own length;
/// what is kept never exceeds the limit. `null` deltas never become text. Fields that it does not know are kept: texts
/// joined, lists appended to, the rest as last seen.
public struct DeltaAccumulator: Sendable {
    /// What one chunk brought.
    public struct ChunkFacts: Sendable, Hashable {
        /// The chunk carries a finish reason, and now every expected choice has one: clients stop here.
        public var finishes = false
        /// The chunk reports usage.
        public var hasUsage = false
        /// The chunk reports usage and has no choices: the extra one of `include_usage`.
        public var isUsageOnly = false
        /// The chunk brought text, a part of a tool call, or audio.
        public var hasOutput = false
        /// The chunk is an error of the upstream; see `error`.
        public var hasError = false

        /// A chunk that brings none of it.
        public init() {}
    }

    struct Choice {
        let index: Int
        let message: MergedValues.Reference
        var logprobs: MergedValues.Reference?
        var finishReason: String?
    }

    private static let maximumChoices = 128

    private let expectedChoices: Int
    private let keepsLogprobs: Bool
    private var failure: WireError?
    var values: MergedValues
    var choices: [Choice] = []

    /// The id that the upstream gave the completion.
    public private(set) var id: String?
    /// The model that answered, as the upstream names it.
    public private(set) var model: String?
    /// The configuration that the upstream says it ran with.
    public private(set) var systemFingerprint: String?
    /// What the upstream reported last.
    public private(set) var usage: Usage?
    /// The `usage` object as it came.
    public private(set) var usageJSON: ByteBuffer?
    /// The sources that some providers name beside their answers: a JSON array, at most `maximumCitations` bytes.
    public private(set) var citations: ByteBuffer?
    /// The error that the upstream sent in the stream.
    public private(set) var error: ErrorEnvelope?
    /// Whether any text, part of a tool call, or audio has come.
    public private(set) var hasOutput = false

    /// Bytes that are kept now, by the same count as the limit.
    public var keptBytes: Int { values.keptBytes }
    /// Larger lists of sources are not kept.
    private static let maximumCitations = 1 << 18

    /// - Parameters:
    ///   - limit: the most bytes to keep for all choices together, a fixed cost for each value included.
    ///   - expectedChoices: the request's `n`.
    ///   - keepsLogprobs: whether log probabilities are wanted too; they are many times the text.
    public init(limit: Int, expectedChoices: Int = 1, keepsLogprobs: Bool = false) {
        self.expectedChoices = expectedChoices
        self.keepsLogprobs = keepsLogprobs
        values = MergedValues(limit: limit)
    }

    /// Takes one chunk. One that is no JSON object throws and changes nothing. One that exceeds a limit, or has choices
    /// without a usable index, throws, and so does every later one: the messages are incomplete then.
    public mutating func add(_ data: ByteBuffer) throws(WireError) -> ChunkFacts {
        if let failure { throw failure }
        var chunk = ChunkFields()
        try data.withUnsafeReadableBytes { (bytes) throws(WireError) in
            try JSON.validate(bytes)
            try chunk.read(bytes)
        }
        do throws(WireError) {
            return try add(chunk, data)
        } catch {
            failure = error
            throw error
        }
    }

    private mutating func add(_ chunk: ChunkFields, _ data: ByteBuffer) throws(WireError) -> ChunkFacts {
        var facts = ChunkFacts()
        noteIdentity(chunk, data)
        values.forgetGrowth()
        var hasChoices = false
        if let list = chunk.choices {
            let hasFinish = try data.withUnsafeReadableBytes { (bytes) throws(WireError) in
                try addChoices(JSONScanner(bytes, at: list), &hasChoices)
            }
            facts.finishes = hasFinish && isFinished
        }
        facts.hasOutput = values.grew
        hasOutput = hasOutput || values.grew
        if let range = chunk.citations, (3...Self.maximumCitations).contains(range.count) {
            citations = ByteBuffer(bytes: data.span(range).readableBytesView)
        }
        if let range = chunk.usage {
            noteUsage(data.span(range))
            facts.hasUsage = true
            facts.isUsageOnly = !hasChoices
        }
        if chunk.hasError {
            error = ErrorEnvelope(parsing: data)
            facts.hasError = error != nil
        }
        return facts
    }

    private mutating func noteIdentity(_ chunk: ChunkFields, _ data: ByteBuffer) {
        func string(_ range: Range<Int>?) -> String? {
            range.flatMap { range in data.withUnsafeReadableBytes { JSONText.string($0.slice(range)) } }
        }
        if id == nil { id = string(chunk.id) }
        if model == nil { model = string(chunk.model) }
        if systemFingerprint == nil { systemFingerprint = string(chunk.systemFingerprint) }
    }

    /// Copied, because a slice would keep the memory of all that was read with it.
    private mutating func noteUsage(_ bytes: ByteBuffer) {
        usageJSON = ByteBuffer(bytes: bytes.readableBytesView)
        usage = Usage(JSONValue(kind: .object, bytes: bytes))
    }
}

// MARK: - Choices

extension DeltaAccumulator {
    /// Whether every choice that was asked for, or has begun, has its finish reason.
    public var isFinished: Bool {
        let finished = choices.count { $0.finishReason != nil }
        return finished == choices.count && finished >= expectedChoices
    }

    /// Merges each choice; true if one of them carries a finish reason.
    private mutating func addChoices(_ list: JSONScanner, _ hasChoices: inout Bool) throws(WireError) -> Bool {
        var scanner = list
        var isFirst = true
        var position = 0
        var hasFinish = false
        try scanner.enterArray()
        while try scanner.nextElement(&isFirst) {
            hasChoices = true
            guard scanner.current == ASCII.openBrace else {
                try scanner.skipValue()
                continue
            }
            let fields = try ChoiceFields(&scanner)
            try add(fields, scanner.bytes, defaultIndex: position)
            hasFinish = hasFinish || fields.finishReason != nil
            position += 1
        }
        return hasFinish
    }

    private mutating func add(
        _ fields: ChoiceFields, _ bytes: UnsafeRawBufferPointer, defaultIndex: Int
    ) throws(WireError) {
        let position = try choice(fields.index ?? defaultIndex)
        if let delta = fields.delta {
            var scanner = JSONScanner(bytes, at: delta)
            try values.merge(&scanner, into: choices[position].message)
        }
        if keepsLogprobs, let logprobs = fields.logprobs {
            let grew = values.grew
            if choices[position].logprobs == nil { choices[position].logprobs = try values.makeNode() }
            var scanner = JSONScanner(bytes, at: logprobs)
            if let node = choices[position].logprobs { try values.merge(&scanner, into: node) }
            if !grew { values.forgetGrowth() }
        }
        if let reason = fields.finishReason {
            choices[position].finishReason = JSONText.string(bytes.slice(reason))
        }
    }

    /// The position of the choice with that index, begun where it is new.
    private mutating func choice(_ index: Int) throws(WireError) -> Int {
        if let found = choices.firstIndex(where: { $0.index == index }) { return found }
        guard choices.count < Self.maximumChoices else { throw .tooLarge("choices", limit: Self.maximumChoices) }
        choices.append(Choice(index: index, message: try values.makeNode()))
        return choices.count - 1
    }
}
