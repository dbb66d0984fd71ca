import NIOCore
import NIOHTTP1
import OpenAIWire
import TurnpikeKit

/// What a request leaves of a model's context for the history.
struct ContextBudget: Equatable {
    /// Tokens of the context.
    let contextWindow: Int
    /// Whether the context is the configured guess for unknown models.
    let isAssumed: Bool
    /// Tokens that are kept free for the answer.
    let reserved: Int
    /// Whether the client itself named `reserved`.
    let isRequested: Bool
    /// Tokens of what is sent in any case: tools, response format, instructions, the client's messages. With the margins
    /// of the count.
    let fixed: Int

    /// Tokens that the history may have; negative where the request does not fit alone, or only without the margins.
    var forHistory: Int { contextWindow - reserved - fixed }

    init(_ model: TargetModel, _ request: ChatRequest, fixed: Int, _ rules: HistoryRules) {
        contextWindow = model.contextWindow ?? rules.defaultContextWindow
        isAssumed = model.contextWindow == nil
        let most = model.maxOutput ?? Int.max
        // A limit of the wrong type is for the upstream to refuse.
        if let asked = (try? request.outputLimit()) ?? nil {
            reserved = min(asked, most)
            isRequested = true
        } else {
            reserved = min(rules.reservedOutput, most, contextWindow / 4)
            isRequested = false
        }
        self.fixed = fixed
    }

    /// The refusal of what the client sent, if the context is known and too small for it: what a client sends is never
    /// cut. Room for the answer counts where the client asked for it.
    ///
    /// - Parameter needed: tokens of what has to be sent.
    func refusal(of needed: Int) -> GatewayError? {
        guard !isAssumed, needed + (isRequested ? reserved : 0) > contextWindow else { return nil }
        let what =
            isRequested && reserved > 0
            ? "you requested \(needed + reserved) tokens (\(needed) in the messages, \(reserved) in the completion)"
            : "your messages resulted in \(needed) tokens"
        return GatewayError(
            .client, .badRequest, code: "context_length_exceeded",
            "This model's maximum context length is \(contextWindow) tokens. However, \(what). "
                + "Please reduce the length of the messages.", param: "messages")
    }

    /// Whether a request cannot be too long, as its bytes tell: no text has more tokens than bytes. Media do not count by
    /// their bytes, so with them nothing is certain.
    static func surelyFits(_ request: ChatRequest, _ turn: IncomingTurn, _ model: TargetModel) -> Bool {
        guard let window = model.contextWindow else { return true }
        let output = ((try? request.outputLimit()) ?? nil) ?? 0
        let overhead = 16 * (turn.messages.count + turn.instructions.count + 1)
        let (most, isHuge) = (request.bytes.readableBytes + overhead).addingReportingOverflow(output)
        guard !isHuge, most <= window else { return false }
        return !InlineMedia.mayHaveParts(request.bytes)
    }
}
