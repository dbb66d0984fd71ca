public import NIOCore

/// Looks at a message's outermost members in one pass that collects nothing: for what is asked of every message.
public enum MessageMembers {
    /// Whether a message has members in which it may name its sources, `citations` and `annotations`. False for what is
    /// no object.
    public static func mayNameSources(_ message: ByteBuffer) -> Bool {
        var isNamed = false
        let isObject = forEach(of: message) { (scanner, key, _, _) in
            isNamed = isNamed || scanner.key(key, is: "citations") || scanner.key(key, is: "annotations")
        }
        return isObject && isNamed
    }

    /// Whether a message calls tools; false for what is no object.
    public static func callsTools(_ message: ByteBuffer) -> Bool {
        var isCalling = false
        let isObject = forEach(of: message) { (scanner, key, value, kind) in
            guard scanner.key(key, is: "tool_calls") else { return }
            isCalling = kind == .array && !JSONScanner(scanner.bytes, at: value.lowerBound).isEmptyArray
        }
        return isObject && isCalling
    }

    /// The role and the content of a message that is nothing but two strings, unescaped, as most are; nil for any other.
    public static func plainText(_ message: ByteBuffer) -> (role: ByteBuffer, content: ByteBuffer)? {
        var (role, content): (JSONValue?, JSONValue?)
        var count = 0
        let isObject = forEach(of: message) { (scanner, key, value, kind) in
            count += 1
            guard count <= 2, kind == .string else { return }
            if scanner.key(key, is: "role") {
                role = JSONValue(kind: kind, bytes: message.span(value))
            } else if scanner.key(key, is: "content") {
                content = JSONValue(kind: kind, bytes: message.span(value))
            }
        }
        guard isObject, count == 2, let role = role?.text, let content = content?.text else { return nil }
        return (role, content)
    }

    /// False where `message` is no object.
    private static func forEach(
        of message: ByteBuffer, _ body: (JSONScanner, _ key: Range<Int>, _ value: Range<Int>, JSONValue.Kind) -> Void
    ) -> Bool {
        message.withUnsafeReadableBytes { text in (try? JSONScanner.forEachMember(of: text, body)) != nil }
    }
}
