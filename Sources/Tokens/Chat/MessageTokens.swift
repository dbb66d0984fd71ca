import NIOCore
import OpenAIWire

/// The tokens of one message.
struct MessageTokens {
    let counter: TokenCounter

    /// Around a call of a tool stand its kind, its name and its end.
    private static let callOverhead = 3
    /// Templates differ in what they write around calls and their results, ids among it.
    private static let callMargin = 12

    func count(_ message: JSONObject) -> TokenCount {
        var count = TokenCount(TokenCounter.messageOverhead)
        let (role, content) = (message["role"], message["content"])
        count += text(role)
        if let content, !content.isNull { count += self.content(content) }
        // Most messages have nothing else that would have to be looked for.
        if role != nil, content != nil, message.count == 2 { return count }
        if let name = message.nonNull("name") { count += text(name) + TokenCount(TokenCounter.nameOverhead) }
        for key in ["refusal", "reasoning_content"] {
            if let value = message.nonNull(key) { count += text(value) }
        }
        if let calls = try? message.nonNull("tool_calls")?.array() {
            for call in calls { count += self.call(call) }
        }
        if let call = message.nonNull("function_call") { count += function(call) }
        if message.nonNull("tool_call_id") != nil { count.margin += Self.callMargin }
        return count
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
