package import NIOCore
package import OpenAIWire

/// What a message says about its sources: `citations`, or annotations that are `url_citation`s.
package enum Citations {
    /// A JSON array, as it came; nil where the message names no source.
    package static func of(_ message: JSONObject) -> ByteBuffer? {
        if let list = message.nonNull("citations"), list.kind == .array { return copy(list.bytes) }
        guard let annotations = message.nonNull("annotations"), let elements = (try? annotations.array()) ?? nil else {
            return nil
        }
        let citations = elements.filter { element in
            ((try? element.object()) ?? nil)?["type"]?.string == "url_citation"
        }
        return citations.isEmpty ? nil : JSONArray.joining(citations.map(\.bytes))
    }

    package static func of(_ message: ByteBuffer) -> ByteBuffer? {
        guard MessageMembers.mayNameSources(message) else { return nil }
        return (try? JSONObject(scanning: message)).flatMap { of($0) }
    }

    /// A span would keep the whole text that it lies in.
    private static func copy(_ span: ByteBuffer) -> ByteBuffer { ByteBuffer(bytes: Array(span.readableBytesView)) }
}
