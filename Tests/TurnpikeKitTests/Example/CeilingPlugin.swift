import NIOCore
import NIOHTTP1
import OpenAIWire
import Synchronization
import TurnpikeKit

/// Lowers temperatures that are above a ceiling, says so in a header, and counts the events of streamed answers.
struct CeilingPlugin: Plugin {
    /// Reads `plugins.ceiling`: `maximum` (number, default 1).
    static let factory = PluginFactory(id: "ceiling", stage: .transform) { setup in
        CeilingPlugin(
            maximum: try setup.configuration.double("maximum", default: 1, in: 0...2),
            bodyLimit: setup[BodyLimitKey.self])
    }

    private let counter = EventCounter()
    let middleware: (any Middleware)?

    init(maximum: Double, bodyLimit: Int) {
        middleware = CeilingMiddleware(maximum: maximum, bodyLimit: bodyLimit, counter: counter)
    }

    /// `GET /v1/ceiling` tells how many events have passed.
    var routes: [Route] {
        [
            Route(.GET, "/v1/ceiling") { [counter] _, _, _ in
                .json(JSONWriter.object { $0.member("events", counter.value) })
            }
        ]
    }
}

/// Shared by all exchanges, so it is behind a lock.
final class EventCounter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add(_ number: Int) { count.withLock { $0 += number } }
}

struct CeilingMiddleware: Middleware {
    let maximum: Double
    let bodyLimit: Int
    let counter: EventCounter

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        guard exchange[EndpointKey.self] == .chatCompletions else { return try await next(request) }
        var request = request
        let chat = try await request.chatRequest(upTo: bodyLimit)
        let isTooHigh = (chat.object["temperature"]?.double ?? 0) > maximum
        if isTooHigh {
            request.body = try await request.body.edited(
                chat.object, [.replace("temperature", ByteBuffer(string: "\(maximum)"))])
        }
        var response = try await next(request)
        if isTooHigh { response.headers.add(name: "x-ceiling", value: "\(maximum)") }
        response.transform(with: CountingTransformer(counter: counter))
        return response
    }
}

/// A value for one response. It lets everything pass, and reports once, however the response ends.
struct CountingTransformer: ResponseTransformer {
    let counter: EventCounter
    private var events = 0

    init(counter: EventCounter) { self.counter = counter }

    var subscription: ResponseSubscription { .events }

    mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction {
        events += 1
        return .pass
    }

    mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail {
        counter.add(events)
        return .nothing
    }
}
