import Logging
import NIOCore
import NIOHTTP1
import OpenAIWire
import Tokens
import TurnpikeKit

/// The last step: sends the request to the plan's targets, one after the other until one answers.
struct RouterMiddleware: Middleware {
    let client: any UpstreamClient
    let bodyLimit: Int
    var report: CalibrationReport?
    var fallbacks = FallbackCounts()

    func handle(_ request: Request, in exchange: Exchange, next _: Next) async throws -> Response {
        guard let plan = exchange[RoutePlanKey.self] else {
            throw GatewayError.internalError("the router ran without a route plan")
        }
        if let dryRun = exchange[DryRunKey.self] { return try await preview(request, plan, dryRun) }
        for (index, target) in plan.targets.enumerated() {
            let isLast = index == plan.targets.count - 1
            exchange.note {
                $0.provider = target.provider.name
                $0.model = target.model
                $0.prices = target.facts?.prices
            }
            do {
                var edits = exchange[UsageEditsKey.self]?.edits(for: target) ?? []
                if index > 0 { edits += try await Self.fitted(to: target, in: exchange) }
                let response = try await client.send(
                    upstreamRequest(request, plan: plan, target: target, edits), in: exchange)
                if !isLast, Self.invitesAnother(response.status) {
                    discard(response)
                    noteFailure(of: target, "answered with \(response.status.code)", in: exchange)
                } else {
                    if index == 0 { await report?.prepare(request, to: target, in: exchange) }
                    return answer(response, in: exchange)
                }
            } catch let error as GatewayError where !isLast && error.retry == .safe && error.source == .upstream {
                noteFailure(of: target, error.debugDescription, in: exchange)
            }
        }
        throw GatewayError.internalError("a route plan without targets")
    }

    /// The client does not hear of it, so whoever runs the gateway has to.
    private func noteFailure(of target: RouteTarget, _ reason: String, in exchange: Exchange) {
        fallbacks.add(target.provider.name)
        exchange.logger.warning(
            "A target failed; the next one is tried.",
            metadata: ["provider": "\(target.provider.name)", "error": "\(reason)"])
    }

    /// What would be sent to the first target, and what the plugins have to say about it.
    private func preview(_ request: Request, _ plan: RoutePlan, _ dryRun: DryRun) async throws -> Response {
        let target = plan.targets[0]
        let sent = try await upstreamRequest(request, plan: plan, target: target, [])
        let body = try await sent.body.collect(upTo: Int.max)
        return .json(
            JSONWriter.object { json in
                json.member("object", "chat.session.preview")
                json.member("provider", target.provider.name)
                json.member("model", target.model)
                DryRunNotes.write(dryRun.all, to: &json)
                json.member("request", json: body)
            })
    }

    /// Answers that say "not now" or "not here", so that another target may do better. An upstream that has answered
    /// so has not done the work.
    private static func invitesAnother(_ status: HTTPResponseStatus) -> Bool {
        [429, 500, 502, 503, 504].contains(status.code)
    }

    private func discard(_ response: Response) {
        if case .stream(let source) = response.body { source.cancel() }
    }

    private func answer(_ response: Response, in exchange: Exchange) -> Response {
        exchange.note { $0.upstreamStatus = Int(response.status.code) }
        var response = response
        response.headers = HeaderPolicy.response(response.headers)
        return response
    }

    private func upstreamRequest(
        _ request: Request, plan: RoutePlan, target: RouteTarget, _ edits: [JSONEdit]
    ) async throws -> UpstreamRequest {
        UpstreamRequest(
            method: request.head.method, url: Self.url(request.head.target, at: target.provider.baseURL),
            headers: HeaderPolicy.request(
                request.head.headers, authorization: target.provider.authorization?.reveal()),
            body: try await body(request, plan: plan, target: target, edits),
            connection: target.provider.connection)
    }

    /// The base takes the place of `/v1`. Bytes: a substring is made and joined for five times as much.
    private static func url(_ target: String, at base: String) -> String {
        var (target, base) = (target, base)
        let version = "/v1".utf8.count
        return target.withUTF8 { target in
            base.withUTF8 { base in
                let rest = UnsafeBufferPointer(rebasing: target.dropFirst(version))
                return String(unsafeUninitializedCapacity: base.count + rest.count) { url in
                    _ = url.initialize(from: base)
                    return url[base.count...].initialize(fromContentsOf: rest)
                }
            }
        }
    }

    /// What has to differ from the first target's body. A long history is fitted away from the event loop.
    private static func fitted(to target: RouteTarget, in exchange: Exchange) async throws -> [JSONEdit] {
        guard let fitting = exchange[RequestFittingKey.self] else { return [] }
        return try await BodyWork.run(on: fitting.size(for: target)) { try fitting.edits(for: target) }
    }

    /// The body as the target is to see it: another model name is spliced in, and what else has to differ; everything
    /// else stays as it is.
    private func body(_ request: Request, plan: RoutePlan, target: RouteTarget, _ edits: [JSONEdit])
        async throws -> RequestBody
    {
        var edits = edits
        if let model = target.model, model != plan.requestedModel {
            edits.append(.replace("model", JSONWriter.string(model)))
        }
        guard !edits.isEmpty else { return request.body }
        let object = try await request.jsonObject(upTo: bodyLimit)
        return try await request.body.edited(object, edits)
    }
}
