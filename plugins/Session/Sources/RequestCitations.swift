import Glibc
import NIOCore
import OpenAIWire
import TurnpikeKit

/// The `citations` of a request's messages: they are kept with the session, and no provider gets to see them.
///
/// A message is compared without them, so that a client may show them again with what the session has already.
struct RequestCitations: Sendable {
    /// The messages without them; nil where none has any.
    private(set) var messages: [ByteBuffer]?
    /// The arrays, by how many messages stand behind.
    private(set) var found: [Int: ByteBuffer] = [:]

    private static let field = "citations"

    init() {}

    init(_ chat: ChatRequest) throws(GatewayError) {
        // Hardly any request has them, and every one comes by here: messages without such a name are not read.
        guard chat.object.nonNull("messages")?.bytes.holds("\"citations\"") ?? false else { return }
        let all = try GatewayError.blamingClient { () throws(WireError) in try chat.messages() }
        var isChanged = false
        var bodies: [ByteBuffer] = []
        for (index, message) in all.enumerated() {
            let object = try GatewayError.blamingClient { () throws(WireError) in
                try JSONObject(scanning: message.bytes)
            }
            guard let citations = object[Self.field] else {
                bodies.append(message.bytes)
                continue
            }
            isChanged = true
            bodies.append(object.edited([.remove(Self.field)]))
            switch citations.kind {
            case .null: break
            // A span would keep the whole request.
            case .array: found[all.count - 1 - index] = ByteBuffer(bytes: citations.bytes.readableBytesView)
            default: throw GatewayError(wire: .wrongType("messages[\(index)].citations", expected: "an array"))
            }
        }
        messages = isChanged ? bodies : nil
    }
}

extension ByteBuffer {
    /// Whether a text that begins with a quotation mark, which bodies have few of, stands anywhere in it.
    fileprivate func holds(_ text: StaticString) -> Bool {
        withUnsafeReadableBytes { all in
            var rest = all[...]
            while rest.count >= text.utf8CodeUnitCount {
                let window = UnsafeRawBufferPointer(rebasing: rest)
                guard let base = window.baseAddress, let found = memchr(base, 0x22, window.count) else { return false }
                rest = rest.dropFirst(UnsafeRawPointer(found) - base)
                guard rest.count >= text.utf8CodeUnitCount else { return false }
                if memcmp(found, text.utf8Start, text.utf8CodeUnitCount) == 0 { return true }
                rest = rest.dropFirst()
            }
            return false
        }
    }
}
