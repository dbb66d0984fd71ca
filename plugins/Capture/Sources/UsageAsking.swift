import NIOCore
import OpenAIWire
import TurnpikeKit

/// Asks for the usage of a stream whose client did not, where the provider is marked so (`usage_in_stream: ask`).
enum UsageAsking {
    /// Whether any of the providers is to be asked.
    static func mayBeNeeded(in exchange: Exchange) -> Bool {
        exchange[RoutePlanKey.self]?.targets.contains { $0.provider.asksForUsage } == true
    }

    /// Adds `include_usage` to the request where the first target wants it, and leaves word for `router` where others
    /// want it otherwise; true if any of them is asked.
    static func add(to request: inout Request, _ chat: ChatRequest, in exchange: Exchange) async throws -> Bool {
        guard chat.stream, let targets = exchange[RoutePlanKey.self]?.targets,
            targets.contains(where: \.provider.asksForUsage),
            let asking = try GatewayError.blamingClient({ () throws(WireError) in try chat.includingUsage() })
        else { return false }
        let isAsked = targets[0].provider.asksForUsage
        if !targets.allSatisfy({ $0.provider.asksForUsage == isAsked }) {
            let sent = chat.object["stream_options"].map { JSONEdit.set("stream_options", $0.bytes) }
            exchange[UsageEditsKey.self] = UsageEdits(
                isAsked: isAsked, asking: asking, restoring: sent ?? .remove("stream_options"))
        }
        if isAsked { request.body = try await request.body.edited(chat.object, [asking]) }
        return true
    }

    /// Whether the target that the answer comes from was asked.
    static func wasAsked(in exchange: Exchange) -> Bool {
        guard let targets = exchange[RoutePlanKey.self]?.targets else { return false }
        let answering = targets.first { $0.provider.name == exchange.facts.provider } ?? targets[0]
        return answering.provider.asksForUsage
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
