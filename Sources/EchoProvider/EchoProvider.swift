package import Logging
package import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
package import TurnpikeKit

/// An OpenAI-compatible provider that needs no model: it tells what it was sent, history included, so that a demo
/// and a test can see what reached the upstream. It runs behind a socket of its own, like any provider.
package struct EchoProvider: ExchangeHandler {
    package static let model = "echo"
    private static let maxBody = 64 << 20

    private let logger: Logger
    private let pace: Duration

    /// `pace` is the pause between two words of a streamed answer.
    package init(logger: Logger, pace: Duration = .milliseconds(15)) {
        self.logger = logger
        self.pace = pace
    }

    package func begin(_ head: RequestHead, peerAddress: String, on eventLoop: any EventLoop) -> Exchange {
        Exchange(head: head, eventLoop: eventLoop, logger: logger, peerAddress: peerAddress)
    }

    package func respond(to request: Request, in exchange: Exchange) async -> Response {
        do {
            return try await answer(request, in: exchange)
        } catch let error as GatewayError {
            return refusal(error, requestID: exchange.requestID)
        } catch {
            return refusal(.badRequest("invalid_json", "\(error)"), requestID: exchange.requestID)
        }
    }

    package func refusal(_ error: GatewayError, requestID: String) -> Response {
        var response = Response.json(
            ErrorEnvelope(message: error.message, type: error.type, param: error.param, code: error.code).json,
            status: error.status)
        response.headers.add(contentsOf: error.headers)
        response.error = error
        return response
    }

    package func streamFailure(_ error: GatewayError, requestID: String) -> ByteBuffer {
        ErrorEnvelope(message: error.message, type: error.type, code: error.code).event.raw
    }

    private func answer(_ request: Request, in exchange: Exchange) async throws -> Response {
        switch (request.head.method, request.head.path) {
        case (.GET, "/v1/models"):
            return .json(
                JSONWriter.object { json in
                    json.member("object", "list")
                    json.array("data") { $0.element(json: Self.modelObject) }
                })
        case (.GET, "/v1/models/\(Self.model)"): return .json(Self.modelObject)
        case (.POST, "/v1/chat/completions"):
            let body = try await request.body.collect(upTo: Self.maxBody)
            return complete(try EchoRequest(body), in: exchange)
        default:
            throw GatewayError(
                .client, .notFound, code: "unknown_url",
                "The echo provider answers /v1/models and /v1/chat/completions only.")
        }
    }

    private func complete(_ request: EchoRequest, in exchange: Exchange) -> Response {
        let completion = EchoCompletion(
            id: exchange.id.description(prefix: "chatcmpl-"), created: exchange.startedMicroseconds / 1_000_000,
            model: request.model, answer: request.answer, usage: request.usage)
        guard request.isStreamed else { return .json(completion.json) }
        let events = completion.events(includeUsage: request.includesUsage)
        return Response(
            status: .ok, headers: ["Content-Type": "text/event-stream", "Cache-Control": "no-cache"],
            body: .stream(PacedBody(events, pace: pace, on: exchange.eventLoop)))
    }

    private static var modelObject: ByteBuffer {
        JSONWriter.object { json in
            json.member("id", model)
            json.member("object", "model")
            json.member("created", 0)
            json.member("owned_by", "turnpike")
        }
    }
}
