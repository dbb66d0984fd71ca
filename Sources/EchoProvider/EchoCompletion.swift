import NIOCore
import OpenAIWire

/// An answer in the two forms in which OpenAI's API gives it.
struct EchoCompletion {
    let id: String
    let created: Int64
    let model: String
    let answer: EchoRequest.Answer
    let usage: Usage

    private var finishReason: String {
        switch answer {
        case .text: "stop"
        case .toolCall: "tool_calls"
        }
    }

    /// A `chat.completion`.
    var json: ByteBuffer {
        JSONWriter.object { json in
            head(&json, object: "chat.completion")
            json.array("choices") { choices in
                choices.element(object: { choice in
                    choice.member("index", 0)
                    choice.object("message") { message(&$0) }
                    choice.null("logprobs")
                    choice.member("finish_reason", finishReason)
                })
            }
            json.object("usage") { usageMembers(&$0) }
        }
    }

    /// The events of a stream, `[DONE]` included.
    func events(includeUsage: Bool) -> [ByteBuffer] {
        let chunk = { (finish: String?, delta: (inout JSONWriter) -> Void) in
            self.chunk(includeUsage: includeUsage, finish: finish, delta)
        }
        var chunks = [
            chunk(nil) {
                $0.member("role", "assistant")
                $0.member("content", "")
            }
        ]
        switch answer {
        case .text(let text):
            chunks += Self.pieces(text).map { piece in chunk(nil) { $0.member("content", piece) } }
        case .toolCall(let name, let arguments):
            chunks.append(chunk(nil) { toolCalls(&$0, index: 0, id: callID, name: name, arguments: "") })
            chunks += Self.pieces(arguments).map { piece in
                chunk(nil) { toolCalls(&$0, index: 0, id: nil, name: nil, arguments: piece) }
            }
        }
        chunks.append(chunk(finishReason) { _ in })
        if includeUsage { chunks.append(usageChunk) }
        return chunks.map { ServerSentEvent(data: $0).raw } + [ServerSentEvent(data: ByteBuffer(string: "[DONE]")).raw]
    }

    private func head(_ json: inout JSONWriter, object: String) {
        json.member("id", id)
        json.member("object", object)
        json.member("created", Int(created))
        json.member("model", model)
    }

    private func message(_ json: inout JSONWriter) {
        json.member("role", "assistant")
        switch answer {
        case .text(let text): json.member("content", text)
        case .toolCall(let name, let arguments):
            json.null("content")
            toolCalls(&json, index: nil, id: callID, name: name, arguments: arguments)
        }
        json.null("refusal")
    }

    private var callID: String { "call_\(id.suffix(24))" }

    /// One call; `index` stands in the pieces of a stream only, id and name in the first of them.
    private func toolCalls(_ json: inout JSONWriter, index: Int?, id: String?, name: String?, arguments: String) {
        json.array("tool_calls") { calls in
            calls.element(object: { call in
                if let index { call.member("index", index) }
                if let id {
                    call.member("id", id)
                    call.member("type", "function")
                }
                call.object("function") { function in
                    if let name { function.member("name", name) }
                    function.member("arguments", arguments)
                }
            })
        }
    }

    /// One piece of a stream. With `includeUsage`, all but the last say `"usage": null`, as OpenAI's do.
    private func chunk(includeUsage: Bool, finish: String?, _ delta: (inout JSONWriter) -> Void) -> ByteBuffer {
        JSONWriter.object { json in
            head(&json, object: "chat.completion.chunk")
            json.array("choices") { choices in
                choices.element(object: { choice in
                    choice.member("index", 0)
                    choice.object("delta") { delta(&$0) }
                    choice.member("finish_reason", finish)
                })
            }
            if includeUsage { json.null("usage") }
        }
    }

    private var usageChunk: ByteBuffer {
        JSONWriter.object { json in
            head(&json, object: "chat.completion.chunk")
            json.array("choices") { _ in }
            json.object("usage") { usageMembers(&$0) }
        }
    }

    private func usageMembers(_ json: inout JSONWriter) {
        json.member("prompt_tokens", usage.prompt)
        json.member("completion_tokens", usage.completion)
        json.member("total_tokens", usage.total)
    }

    /// A text in words, each with the space before it.
    private static func pieces(_ text: String) -> [String] {
        var pieces: [String] = []
        for character in text {
            if character == " " || pieces.isEmpty { pieces.append("") }
            pieces[pieces.count - 1].append(character)
        }
        return pieces
    }
}
