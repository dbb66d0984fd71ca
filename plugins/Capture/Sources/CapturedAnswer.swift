import Conversations
import NIOCore
import OpenAIWire

/// An answer as it is stored: its message, how it ended, and what it cost.
struct CapturedAnswer: Sendable {
    /// The assistant's message, validated JSON that has a role.
    var message: ByteBuffer
    var status: TurnStatus
    var usage: Usage?
    /// Sources that some providers name beside the message: a JSON array.
    var citations: ByteBuffer?
    /// Whether the upstream's text was no UTF-8, and U+FFFD stands for what was not.
    var isRepaired = false
}

extension CapturedAnswer {
    /// What came as one JSON body: `nil` where it holds no output, or is no chat completion.
    init?(_ completion: ChatCompletion) {
        guard completion.error == nil, let choice = completion.choice() ?? completion.choices.first, choice.hasOutput,
            let message = choice.object.map(Self.stored)
        else { return nil }
        self.init(
            message: message, status: TurnStatus(finishReason: choice.finishReason), usage: completion.usage,
            citations: completion.citations)
    }

    /// What came as a stream that has ended: `nil` where nothing of it was said.
    init?(_ answer: DeltaAccumulator, interruption: TurnStatus?) {
        let reason = answer.finishReason()
        let isWhole = reason != nil
        guard answer.hasOutput, let bytes = answer.message(partial: !isWhole),
            let message = (try? JSONObject(scanning: bytes)).map(Self.stored)
        else {
            return nil
        }
        let status = isWhole ? TurnStatus(finishReason: reason) : interruption ?? .upstreamError
        self.init(message: message, status: status, usage: answer.usage, citations: answer.citations)
    }

    /// What answered is the assistant, whatever the upstream calls it: a stored message with another role would be sent
    /// as somebody else's words in the next request.
    ///
    /// Of what it spoke the id, the end and the words are kept, and not the samples: nobody may send them back, and a
    /// stream's are not kept either.
    private static func stored(_ message: JSONObject) -> ByteBuffer {
        var edits: [JSONEdit] = []
        if message["role"]?.string != "assistant" { edits.append(.set("role", JSONWriter.string("assistant"))) }
        if let audio = try? message.nonNull("audio")?.object(), audio.contains("data") {
            edits.append(.set("audio", audio.edited([.remove("data")])))
        }
        return edits.isEmpty ? message.bytes : message.edited(edits)
    }
}

/// What stands in an answer that came as one JSON body. A reference: who waits while it is stored holds a word of it.
final class ReadAnswer: Sendable {
    let usage: Usage?
    /// `nil` where it holds no output.
    let answer: CapturedAnswer?

    /// `nil` for what is no JSON. What is no UTF-8 is read as clients show it.
    convenience init?(_ body: ByteBuffer) {
        if let completion = try? ChatCompletion(scanning: body) {
            self.init(completion, isRepaired: false)
        } else if let repaired = body.repaired, let completion = try? ChatCompletion(scanning: repaired) {
            self.init(completion, isRepaired: true)
        } else {
            return nil
        }
    }

    private init(_ completion: ChatCompletion, isRepaired: Bool) {
        usage = completion.usage
        var answer = CapturedAnswer(completion)
        answer?.isRepaired = isRepaired
        self.answer = answer
    }
}

extension ByteBuffer {
    /// The bytes with U+FFFD for what is no UTF-8, as clients decode them; `nil` where all of it is.
    var repaired: ByteBuffer? {
        guard String(validating: readableBytesView, as: UTF8.self) == nil else { return nil }
        return ByteBuffer(string: String(decoding: readableBytesView, as: UTF8.self))
    }
}

extension TurnStatus {
    /// What OpenAI's `finish_reason` says about an answer that came whole.
    init(finishReason: String?) {
        switch finishReason {
        case "length", "content_filter": self = .incomplete
        default: self = .complete
        }
    }
}
