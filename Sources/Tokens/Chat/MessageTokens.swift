import NIOCore
import OpenAIWire

/// The tokens of one message.
struct MessageTokens {
    let counter: TokenCounter

    /// Around a call of a tool stand its kind, its name and its end.
    private static let callOverhead = 3
    /// Templates differ in what they write around calls and their results, ids among it.
    private static let callMargin = 12
    /// Members that are counted, and such as stand beside what the model reads.
    private static let known: Set<String> = [
        "role", "content", "name", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call",
        "tool_call_id", "annotations", "citations", "metadata", "chapter", "id", "audio",
    ]

    func count(_ message: JSONObject) -> TokenCount {
        var count = TokenCount(TokenCounter.messageOverhead)
        let (role, content) = (message["role"], message["content"])
        count += text(role)
        if let content, !content.isNull { count += self.content(content) }
        // Most messages have nothing else that would have to be looked for.
        if role != nil, content != nil, message.count == 2 { return count }
        if let name = message.nonNull("name") { count += text(name) + TokenCount(TokenCounter.nameOverhead) }
        for key in ["refusal", "reasoning_content", "reasoning"] {
            if let value = message.nonNull(key) { count += text(value) }
        }
        if let calls = try? message.nonNull("tool_calls")?.array() {
            for call in calls { count += self.call(call) }
        }
        if let call = message.nonNull("function_call") { count += function(call) }
        if message.nonNull("tool_call_id") != nil { count.margin += Self.callMargin }
        if let audio = message.nonNull("audio") { count.margin += self.audio(audio) }
        // A provider may show its model what only it knows of, such as `reasoning_details`.
        for (key, value) in message.all where !value.isNull && !Self.known.contains(key) {
            count.margin += text(value).atMost
        }
        return count
    }

    /// What an assistant said, which is sent again as an id: nobody outside knows how long it was, but for its words.
    private func audio(_ audio: JSONValue) -> Int {
        guard let words = (try? audio.object())?.nonNull("transcript") else { return 0 }
        return text(words).atMost
    }

    private func content(_ content: JSONValue) -> TokenCount {
        guard let parts = try? content.array() else { return text(content) }
        return parts.reduce(.zero) { $0 + PartTokens(counter: counter).count($1) }
    }

    private func call(_ call: JSONValue) -> TokenCount {
        guard let object = try? call.object() else { return text(call) }
        if let function = object.nonNull("function") { return self.function(function) }
        return object.nonNull("custom").map(function) ?? text(call)
    }

    /// A name with `arguments`, or with the `input` of a custom tool.
    private func function(_ function: JSONValue) -> TokenCount {
        guard let object = try? function.object() else { return text(function) }
        var count = TokenCount(Self.callOverhead, margin: Self.callMargin)
        for key in ["name", "arguments", "input"] {
            if let value = object.nonNull(key) { count += text(value) }
        }
        return count
    }

    /// A string's text; another value as the JSON that it is.
    private func text(_ value: JSONValue?) -> TokenCount {
        guard let value, !value.isNull else { return .zero }
        return counter.count(text: value.text ?? value.bytes)
    }
}
