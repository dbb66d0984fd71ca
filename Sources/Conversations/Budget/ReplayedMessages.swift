import NIOCore
import OpenAIWire

/// Stored messages as they are shown to a model again: byte for byte, except for what no model accepts.
///
/// A call of tools without its results is refused by every upstream, and would be in each further request: calls that
/// nobody answered are taken out of the message, and the message with them if nothing else is said in it.
enum ReplayedMessages {
    /// The bodies, each `nil` where the message is left out; nil where all are as they are stored.
    ///
    /// - Parameter next: the client's messages, which may answer the last call.
    static func bodies(
        _ stored: StoredRun, before next: [IncomingTurn.Message], replaysPartial: Bool
    ) -> [ByteBuffer?]? {
        // Memory has looked: most histories need no second look at each message.
        let isPlain = stored.withMessages { messages in
            messages.indices.allSatisfy { messages[$0].callsTools == false && !messages[$0].isPartial }
        }
        if isPlain { return nil }
        return stored.indices.map { index in
            if stored[index].isPartial, !replaysPartial { return nil }
            guard stored[index].callsTools ?? callsTools(stored[index]) else { return stored[index].body }
            return body(stored[index].body, answered: answered(behind: index, stored, next))
        }
    }

    /// Whether calls of tools stand in a message, whose results are to follow it.
    static func callsTools(_ message: StoredMessage) -> Bool {
        message.outline.role == .assistant && MessageMembers.callsTools(message.body)
    }

    /// The ids of the calls that the messages right behind `index` answer.
    private static func answered(behind index: Int, _ stored: StoredRun, _ next: [IncomingTurn.Message])
        -> Set<String>
    {
        let behind = stored[(index + 1)...].prefix { $0.outline.role == .tool }
        var bodies = behind.map(\.body)
        if index + 1 + behind.count == stored.count { bodies += next.prefix { $0.role == .tool }.map(\.body) }
        return Set(bodies.compactMap { (try? ChatMessage(scanning: $0))?.toolCallID })
    }

    private static func body(_ message: ByteBuffer, answered: Set<String>) -> ByteBuffer? {
        guard let object = try? JSONObject(scanning: message), let calls = try? object["tool_calls"]?.array()
        else { return message }
        let kept = calls.filter { call in
            (try? call.object())?["id"]?.string.map(answered.contains) ?? false
        }
        if kept.count == calls.count { return message }
        if !kept.isEmpty { return object.edited([.set("tool_calls", elements: kept.map(\.bytes))]) }
        return saysSomething(object) ? object.edited([.remove("tool_calls")]) : nil
    }

    private static func saysSomething(_ message: JSONObject) -> Bool {
        for name in ["content", "refusal", "audio"] {
            guard let value = message.nonNull(name) else { continue }
            if value.kind != .string || value.bytes.readableBytes > 2 { return true }
        }
        return false
    }
}
