import Conversations
import NIOCore
import OpenAIWire
import TurnpikeKit

/// Reads an export for people: what it shows becomes the JSON that an import takes.
struct MarkdownReader {
    private struct ShownSession {
        var title: String
        /// The id that a server made.
        var id: String?
        var system: [ByteBuffer] = []
        var messages: [ByteBuffer] = []
    }

    private enum Place { case outside, head, message }

    private var place = Place.outside
    private var sessions: [ShownSession] = []
    private var heading: MarkdownText.Heading?
    /// The lines of the message so far, each with its end.
    private var text: [UInt8] = []
    private var lines = 0
    /// Sessions and messages so far.
    private var elements = 0

    /// - Throws: 400 for a text that is no such export.
    static func json(of text: ByteBuffer) throws(GatewayError) -> ByteBuffer {
        let bytes = Array(text.readableBytesView)
        guard String(validating: bytes, as: UTF8.self) != nil else { throw refusal("The text is not UTF-8.") }
        var reader = MarkdownReader()
        var rest = bytes[...]
        var number = 0
        while true {
            let end = rest.firstIndex(of: UInt8(ascii: "\n"))
            number += 1
            try reader.take(rest[..<(end ?? rest.endIndex)], number)
            guard let end else { break }
            rest = rest[(end + 1)...]
        }
        reader.endMessage()
        guard !reader.sessions.isEmpty else { throw refusal("A session begins with “# ” and its title.") }
        return reader.json
    }

    private static func refusal(_ text: String) -> GatewayError { .badRequest("invalid_value", text) }

    private mutating func take(_ whole: MarkdownText.Line, _ number: Int) throws(GatewayError) {
        let line = MarkdownText.withoutReturn(whole)
        if place != .outside, MarkdownText.isSeparator(line) {
            endMessage()
            place = .outside
        } else if place != .outside, let heading = MarkdownText.Heading(line) {
            endMessage()
            try countElement()
            place = .message
            self.heading = heading
        } else if place == .message {
            lines += 1
            // What stands between a heading and its text.
            if lines > 1 || !line.isEmpty { text += MarkdownText.unescaped(whole) + [UInt8(ascii: "\n")] }
        } else if !line.isEmpty {
            try takeHead(String(decoding: line, as: UTF8.self), number)
        }
    }

    private mutating func takeHead(_ line: String, _ number: Int) throws(GatewayError) {
        if place == .outside, line.utf8.starts(with: "# ".utf8) {
            try countElement()
            sessions.append(ShownSession(title: String(decoding: line.utf8.dropFirst(2), as: UTF8.self)))
            place = .head
        } else if place == .head, line.hasPrefix(Session.idPrefix), sessions[sessions.count - 1].id == nil {
            sessions[sessions.count - 1].id = String(line.prefix { $0 != "," })
        } else {
            throw Self.refusal("Line \(number) belongs to no message.")
        }
    }

    /// As many as a list in JSON may have: each takes far more memory than its heading in the text.
    private mutating func countElement() throws(GatewayError) {
        elements += 1
        guard elements <= JSON.maximumElements else {
            throw Self.refusal("The text has more than \(JSON.maximumElements) sessions and messages.")
        }
    }

    private mutating func endMessage() {
        guard let heading else { return }
        if !text.isEmpty { text.removeLast() }
        // What stands between a text and the next heading, or at the end of the file.
        if text.last == UInt8(ascii: "\n") { text.removeLast() }
        add(heading, String(decoding: text, as: UTF8.self))
        (self.heading, text, lines) = (nil, [], 0)
    }

    private mutating func add(_ heading: MarkdownText.Heading, _ content: String) {
        switch heading.role {
        // The calls that they belong to are not shown, and a provider refuses one without the other.
        case "tool", "function", "other": return
        case "assistant" where content.isEmpty: return
        default: break
        }
        let message = JSONWriter.object { json in
            json.member("role", heading.role)
            json.member("content", content)
            if let time = heading.createdAt { json.member("created_at", time) }
        }
        let session = sessions.count - 1
        let isInstruction = heading.role == "system" || heading.role == "developer"
        if isInstruction, heading.createdAt == nil, sessions[session].messages.isEmpty {
            sessions[session].system.append(message)
        } else {
            sessions[session].messages.append(message)
        }
    }

    private var json: ByteBuffer {
        JSONWriter.object { json in
            json.array("sessions") { list in
                for session in sessions {
                    list.element { json in
                        if let id = session.id { json.member("id", id) }
                        let isTitled = session.title != SessionConfiguration.defaultTitle
                        json.member("title", isTitled ? session.title : "")
                        json.member("system", json: JSONArray.joining(session.system))
                        json.member("messages", json: JSONArray.joining(session.messages))
                    }
                }
            }
        }
    }
}
