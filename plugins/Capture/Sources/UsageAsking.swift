import NIOCore
import OpenAIWire
import TurnpikeKit

/// Asks for the usage of a stream whose client did not, where the provider is marked so (`usage_in_stream: ask`).
enum UsageAsking {
    /// Adds `include_usage` to the request; true if it did, and the answer's usage is then to be hidden again.
    static func add(to request: inout Request, _ chat: ChatRequest, in exchange: Exchange) throws -> Bool {
        guard chat.stream, let target = exchange[RoutePlanKey.self]?.targets.first, target.provider.asksForUsage,
            let edit = try GatewayError.blamingClient({ () throws(WireError) in try chat.includingUsage() })
        else { return false }
        request.body = RequestBody(chat.edited([edit]))
        return true
    }

    /// What the client sees of an event: nothing of the extra chunk, and none of the `"usage": null` that asking causes.
    static func hidden(_ event: ServerSentEvent, isUsageOnly: Bool) -> EventAction {
        if isUsageOnly { return .withhold }
        let shown = UsageHiding.removingNullUsage(event)
        return shown.raw.readableBytes == event.raw.readableBytes ? .pass : .replace([shown])
    }
}

/// Hides the usage that Turnpike asked for, where nothing else is done to the stream. Keeps nothing of it.
struct UsageHider: ResponseTransformer {
    let subscription = ResponseSubscription.events

    mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction {
        guard let data = event.data, !event.isDone, let chunk = try? JSONObject(scanning: data) else { return .pass }
        let isUsageOnly = chunk.nonNull("usage") != nil && (try? chunk["choices"]?.array())??.isEmpty == true
        return UsageAsking.hidden(event, isUsageOnly: isUsageOnly)
    }
}
