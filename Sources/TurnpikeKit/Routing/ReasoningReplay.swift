package import NIOCore
import OpenAIWire

/// What of a model's own reasoning it gets back with the history.
///
/// Upstreams disagree: some answer 400 when the reasoning of a tool call is missing, others when it is there.
public enum ReasoningReplay: String, Sendable, CaseIterable {
    /// As it was said.
    case keep
    /// With messages that call tools, and no others.
    case toolCalls = "tool_calls"
    /// Never.
    case drop

    private static let fields = ["reasoning_content", "reasoning", "reasoning_details"]

    /// A stored message as it is sent again.
    package func applied(to message: ByteBuffer) -> ByteBuffer {
        guard self != .keep, let object = try? JSONObject(scanning: message),
            Self.fields.contains(where: { object[$0] != nil })
        else { return message }
        if self == .toolCalls, object.nonNull("tool_calls") != nil { return message }
        return object.edited(Self.fields.map(JSONEdit.remove))
    }
}
