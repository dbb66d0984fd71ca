public import NIOCore
public import OpenAIWire

/// Counts what a request for a chat completion will take of a model's context.
///
/// Text is exact where the model's encoding is known. Around it stands what OpenAI publishes ("How to count tokens with
/// tiktoken", OpenAI Cookbook): three tokens for each message, one for a name, three that begin the answer. Tool
/// definitions, images, audio and files have no exact rule; their counts have a margin.
public struct TokenCounter: Sendable {
    /// How text is counted.
    public enum Method: Sendable, Hashable {
        /// As the model's own tokeniser does.
        case exact(TokenEncoding)
        /// From the characters, corrected by what the model's upstream has reported.
        case estimated(TokenEstimator)
    }

    public let method: Method
    let images: ImageRule

    /// Once for each message.
    public static let messageOverhead = 3
    /// Once for each request.
    public static let replyPriming = 3
    static let nameOverhead = 1

    /// For a model of which `facts` are known; `estimator` serves where they name no encoding.
    public init(_ facts: ModelFacts?, estimator: TokenEstimator = TokenEstimator()) {
        self.init(facts?.encoding.map(Method.exact) ?? .estimated(estimator), images: facts?.images ?? .standard)
    }

    public init(_ method: Method, images: ImageRule = .standard) {
        self.method = method
        self.images = images
    }

    /// The tokens of text.
    public func count(text: ByteBuffer) -> TokenCount {
        text.withUnsafeReadableBytes { bytes in
            switch method {
            case .exact(let encoding):
                return TokenCount(Tokenizer(encoding).count(utf8: bytes))
            case .estimated(let estimator):
                var census = ScriptCensus()
                census.add(bytes)
                return estimator.count(census)
            }
        }
    }

    /// The tokens of text.
    public func count(text: String) -> TokenCount { count(text: ByteBuffer(string: text)) }

    /// The tokens of a message, given as its JSON, with its overhead. What is no object counts as text.
    public func count(message: ByteBuffer) -> TokenCount {
        if let (role, content) = MessageMembers.plainText(message) {
            return TokenCount(Self.messageOverhead) + count(text: role) + count(text: content)
        }
        guard let object = try? JSONObject(scanning: message) else {
            return TokenCount(Self.messageOverhead) + count(text: message)
        }
        return MessageTokens(counter: self).count(object)
    }

    /// The tokens of the definitions in `tools` (or of the older `functions`).
    public func count(tools: JSONValue) -> TokenCount {
        ToolTokens(counter: self).count(tools)
    }

    /// The tokens of a `response_format`: those of a schema, nothing otherwise.
    public func count(responseFormat: JSONValue) -> TokenCount {
        guard let format = try? responseFormat.object(), let schema = format.nonNull("json_schema") else {
            return .zero
        }
        let text = count(text: schema.bytes)
        return TokenCount(text.tokens, margin: text.margin + Self.schemaMargin)
    }

    /// What introduces a schema to the model; not published.
    private static let schemaMargin = 32

    /// The parts of a request.
    public func count(_ request: ChatRequest) throws(WireError) -> RequestTokens {
        var tokens = RequestTokens()
        var isLeading = true
        for message in try request.messages() {
            isLeading = isLeading && message.role.isInstruction
            let count = count(message: message.bytes)
            if isLeading { tokens.system += count } else { tokens.messages.append(count) }
        }
        countParameters(request.object, into: &tokens)
        return tokens
    }

    /// What a request counts beside its messages.
    public func countWithoutMessages(_ request: ChatRequest) -> RequestTokens {
        var tokens = RequestTokens()
        countParameters(request.object, into: &tokens)
        return tokens
    }

    private func countParameters(_ request: JSONObject, into tokens: inout RequestTokens) {
        tokens.priming = TokenCount(Self.replyPriming)
        if let tools = request.nonNull("tools") { tokens.tools += count(tools: tools) }
        if let functions = request.nonNull("functions") { tokens.tools += count(tools: functions) }
        if let format = request.nonNull("response_format") { tokens.responseFormat = count(responseFormat: format) }
    }
}
