import NIOCore
import OpenAIWire
import TurnpikeKit

/// Asks for the usage of a stream whose client did not, where the provider is marked so (`usage_in_stream: ask`).
enum UsageAsking {
    /// Whether the provider that comes first is to be asked.
    static func mayBeNeeded(in exchange: Exchange) -> Bool {
        exchange[RoutePlanKey.self]?.targets.first?.provider.asksForUsage == true
    }

    /// Adds `include_usage` to the request; true if it did, and the answer's usage is then to be hidden again.
    static func add(to request: inout Request, _ chat: ChatRequest, in exchange: Exchange) async throws -> Bool {
        guard chat.stream, let target = exchange[RoutePlanKey.self]?.targets.first, target.provider.asksForUsage,
            let edit = try GatewayError.blamingClient({ () throws(WireError) in try chat.includingUsage() })
        else { return false }
        request.body = try await request.body.edited(chat.object, [edit])
        return true
    }

    /// What the client sees of an event: nothing of the extra chunk, and none of the `"usage": null` that asking causes.
    static func shown(_ event: ServerSentEvent, isUsageOnly: Bool) -> ServerSentEvent? {
        isUsageOnly ? nil : UsageHiding.removingNullUsage(event)
    }
}

/// Hides the usage that Turnpike asked for, where nothing else is done to the stream. Keeps nothing of it.
struct UsageHider: ResponseTransformer {
    let subscription = ResponseSubscription.events

    mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction {
        guard let data = event.data, !event.isDone, let chunk = try? JSONObject(scanning: data) else { return .pass }
        let hasChoices = (try? chunk["choices"]?.array())??.isEmpty == false
        let isUsageOnly = chunk["usage"]?.kind == .object && !hasChoices
        guard let shown = UsageAsking.shown(event, isUsageOnly: isUsageOnly) else { return .withhold }
        return shown.raw.readableBytes == event.raw.readableBytes ? .pass : .replace([shown])
    }
}
