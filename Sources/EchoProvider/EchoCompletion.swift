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
        var chunks = [
            chunk {
                $0.member("role", "assistant"); $0.member("content", "")
            }
        ]
        switch answer {
        case .text(let text):
            chunks += Self.pieces(text).map { piece in chunk { $0.member("content", piece) } }
        case .toolCall(let name, let arguments):
            chunks.append(chunk { toolCalls(&$0, id: "call_\(id.suffix(24))", name: name, arguments: "") })
            chunks += Self.pieces(arguments).map { piece in
                chunk { toolCalls(&$0, id: nil, name: nil, arguments: piece) }
            }
        }
        chunks.append(chunk(finish: finishReason) { _ in })
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
            toolCalls(&json, id: "call_\(id.suffix(24))", name: name, arguments: arguments)
        }
        json.null("refusal")
    }

    private func toolCalls(_ json: inout JSONWriter, id: String?, name: String?, arguments: String) {
        json.array("tool_calls") { calls in
            calls.element(object: { call in
                call.member("index", 0)
                if let id { call.member("id", id); call.member("type", "function") }
                call.object("function") { function in
                    if let name { function.member("name", name) }
                    function.member("arguments", arguments)
                }
            })
        }
    }

    private func chunk(finish: String? = nil, _ delta: (inout JSONWriter) -> Void) -> ByteBuffer {
        JSONWriter.object { json in
            head(&json, object: "chat.completion.chunk")
            json.array("choices") { choices in
                choices.element(object: { choice in
                    choice.member("index", 0)
                    choice.object("delta") { delta(&$0) }
                    choice.member("finish_reason", finish)
                })
            }
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
