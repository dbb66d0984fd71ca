import NIOCore
import OpenAIWire

/// What the echo provider reads of a request, and what it answers to it.
struct EchoRequest {
    /// The answer: a text, or the call of a tool.
    enum Answer {
        case text(String)
        case toolCall(name: String, arguments: String)
    }

    let model: String
    let isStreamed: Bool
    let includesUsage: Bool
    let answer: Answer
    let usage: Usage

    init(_ body: ByteBuffer) throws {
        let object = try JSONObject(scanning: body)
        model = object["model"]?.string ?? EchoProvider.model
        isStreamed = object["stream"]?.bool ?? false
        includesUsage = (try? object.nonNull("stream_options")?.object())?["include_usage"]?.bool ?? false
        let values = try object["messages"]?.array() ?? []
        let messages = try values.compactMap { try $0.object().map(EchoMessage.init) }
        guard let last = messages.last else { throw WireError.missing("messages") }
        let tool = try EchoTool.called(by: object, last: last)
        answer = tool.map { .toolCall(name: $0.name, arguments: $0.arguments) } ?? .text(Self.text(messages))
        // Four bytes a token: near enough for something without a vocabulary, and larger when history was injected.
        let prompt = messages.reduce(3) { (sum: Int, message) in sum + 4 + message.text.utf8.count / 4 }
        let completion = max(1, answer.text.utf8.count / 4)
        usage = Usage(prompt: prompt, completion: completion, total: prompt + completion)
    }

    /// Repeats what the user said, never what it answered itself: an echo of echoes would double with each turn.
    private static func text(_ messages: [EchoMessage]) -> String {
        var said = messages.filter { $0.role == "user" }.map { "“\($0.text.prefix(400))”" }
        let count = "\(messages.count) message\(messages.count == 1 ? "" : "s")"
        if let last = messages.last, last.role == "tool" {
            return "I received \(count). The tool answered “\(last.text.prefix(400))”."
        }
        guard let latest = said.popLast() else { return "I received \(count), none of them from a user." }
        let before =
            said.isEmpty ? "You had said nothing before." : "Before that you said \(said.joined(separator: ", "))."
        return "I received \(count). You said \(latest). \(before)"
    }
}

extension EchoRequest.Answer {
    var text: String {
        switch self {
        case .text(let text): text
        case .toolCall(_, let arguments): arguments
        }
    }
}

/// Role and text of a message.
struct EchoMessage {
    let role: String
    let text: String

    init(_ object: JSONObject) throws {
        role = object["role"]?.string ?? ""
        if let text = object.nonNull("content")?.string {
            self.text = text
        } else {
            let parts = (try? object.nonNull("content")?.array()) ?? []
            text = parts.compactMap { (try? $0.object())?["text"]?.string }.joined(separator: " ")
        }
    }
}

/// The tool that a request asks to be called.
struct EchoTool {
    let name: String
    let arguments: String

    /// Called when `tool_choice` names it or requires one, or when the user's message names it; never on a tool's result.
    static func called(by request: JSONObject, last: EchoMessage) throws -> EchoTool? {
        let tools = try request.nonNull("tools")?.array() ?? []
        let functions = try tools.compactMap { try $0.object()?.nonNull("function")?.object() }
        let choice = request.nonNull("tool_choice")
        let forced = (try? choice?.object()?.nonNull("function")?.object())?["name"]?.string
        let wanted = functions.first { function in
            guard let name = function["name"]?.string else { return false }
            if let forced { return name == forced }
            return choice?.string == "required"
                || (last.role == "user" && choice?.string != "none" && last.text.contains(name))
        }
        guard let wanted, let name = wanted["name"]?.string, last.role != "tool" else { return nil }
        return EchoTool(name: name, arguments: try arguments(wanted, text: last.text))
    }

    /// Every required property with a value of its type; strings repeat what the user said.
    private static func arguments(_ function: JSONObject, text: String) throws -> String {
        let schema = try function.nonNull("parameters")?.object()
        let properties = try schema?.nonNull("properties")?.object()
        let required = try schema?.nonNull("required")?.array()?.compactMap { $0.string } ?? []
        let json = JSONWriter.object { json in
            for name in required {
                switch (try? properties?[name]?.object())?["type"]?.string {
                case "integer", "number": json.member(name, 1)
                case "boolean": json.member(name, true)
                case "array": json.array(name) { _ in }
                case "object": json.object(name) { _ in }
                default: json.member(name, String(text.prefix(200)))
                }
            }
        }
        return String(buffer: json)
    }
}
