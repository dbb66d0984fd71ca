import NIOCore
import NIOHTTP1
import OpenAIWire
import Synchronization
import TurnpikeKit

/// The last step of the chain: answers what it was told to, and remembers what it was sent.
final class ScriptedUpstream: Middleware {
    /// What the upstream was sent.
    struct Seen: Sendable {
        var head: RequestHead
        var body: String

        /// The JSON of the messages, each as it came.
        var messages: [String] {
            guard let request = try? ChatRequest(scanning: ByteBuffer(string: body)),
                let messages = try? request.messages()
            else { return [] }
            return messages.map { String(buffer: $0.bytes) }
        }
    }

    /// One scripted answer.
    enum Reply: Sendable {
        case json(String, status: HTTPResponseStatus = .ok)
        case events([String])
        case raw(String, headers: HTTPHeaders)
        /// A body of any bytes, and its type.
        case bytes([UInt8], String)
        case error(GatewayError)
        /// Done before the answer is given.
        case after(@Sendable () async throws -> Void, String)
    }

    private let state = Mutex<(replies: [Reply], seen: [Seen])>(([], []))

    var seen: [Seen] { state.withLock { $0.seen } }
    var last: Seen { seen[seen.count - 1] }

    /// Adds an answer to the script.
    func reply(_ reply: Reply) { state.withLock { $0.replies.append(reply) } }
    /// Adds a plain answer of the model.
    func say(_ text: String) { reply(.json(completion(text))) }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        let body = String(buffer: try await request.body.collect(upTo: 32 << 20))
        let reply = state.withLock { state -> Reply in
            state.seen.append(Seen(head: request.head, body: body))
            return state.replies.isEmpty ? .json(completion("ok")) : state.replies.removeFirst()
        }
        exchange.note {
            $0.provider = "p"
            $0.model = "m"
        }
        switch reply {
        case .json(let text, let status): return .json(ByteBuffer(string: text), status: status)
        case .raw(let text, let headers):
            return Response(status: .ok, headers: headers, body: .bytes(.init(string: text)))
        case .bytes(let bytes, let type):
            return Response(status: .ok, headers: ["Content-Type": type], body: .bytes(.init(bytes: bytes)))
        case .error(let error): throw error
        case .events(let events):
            return Response(
                status: .ok, headers: ["Content-Type": "text/event-stream; charset=utf-8"],
                body: .bytes(ByteBuffer(string: events.joined())))
        case .after(let action, let text):
            try await action()
            return .json(ByteBuffer(string: completion(text)))
        }
    }
}

/// A chat completion as one body.
func completion(_ text: String, finish: String = "stop") -> String {
    message(#"{"role":"assistant","content":"\#(text)"}"#, finish: finish)
}

func message(_ message: String, finish: String = "stop") -> String {
    #"{"id":"c1","object":"chat.completion","model":"m-1","choices":[{"index":0,"message":\#(message),"#
        + #""finish_reason":"\#(finish)"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#
}

/// A chunk of a streamed completion.
func chunk(_ delta: String, finish: String? = nil, index: Int = 0, more: String = "") -> String {
    let reason = finish.map { "\"\($0)\"" } ?? "null"
    return #"data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":\#(index),"delta":\#(delta),"#
        + #""finish_reason":\#(reason)}]\#(more)}"# + "\n\n"
}

/// A streamed completion of several words, up to and with `[DONE]`.
func stream(_ words: String..., finish: String = "stop") -> [String] {
    [chunk(#"{"role":"assistant","content":""}"#)] + words.map { chunk(#"{"content":"\#($0)"}"#) }
        + [chunk("{}", finish: finish), "data: [DONE]\n\n"]
}

func user(_ text: String) -> String { #"{"role":"user","content":"\#(text)"}"# }
func assistant(_ text: String) -> String { #"{"role":"assistant","content":"\#(text)"}"# }
func system(_ text: String) -> String { #"{"role":"system","content":"\#(text)"}"# }
