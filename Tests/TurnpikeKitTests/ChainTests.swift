import NIOCore
import NIOHTTP1
import OpenAIWire
import Testing

@testable import TurnpikeKit

@Suite struct ChainTests {
    private let request = Request(head: RequestHead(method: .GET, target: "/"))
    private let router = Step { _, _, _ in .json(ByteBuffer(string: "routed")) }

    private func link(_ id: String, _ middleware: some Middleware, flag: String? = nil, open: Bool = false)
        -> Chain.Link
    {
        Chain.Link(id: id, middleware: middleware, flag: flag, onFailure: open ? .open : .closed)
    }

    @Test func requestsPassInOrderAndAnswersInReverse() async throws {
        let journal = Journal()
        let noting = { (name: String) in
            Step { request, _, next in
                journal.note("in \(name)")
                let response = try await next(request)
                journal.note("out \(name)")
                return response
            }
        }
        let chain = Chain([link("a", noting("a")), link("b", noting("b")), link("r", router)])
        let response = try await chain.run(request, in: makeExchange())
        #expect(response.text == "routed")
        #expect(journal.entries == ["in a", "in b", "out b", "out a"])
    }

    @Test func aStepSeesTheRequestAsTheOneBeforeItChangedIt() async throws {
        let change = Step { request, _, next in
            var request = request
            request.head.target = "/changed"
            return try await next(request)
        }
        let tell = Step { request, _, _ in .json(ByteBuffer(string: request.head.target)) }
        let response = try await Chain([link("c", change), link("t", tell)]).run(request, in: makeExchange())
        #expect(response.text == "/changed")
    }

    @Test func aStepThatAnswersByItselfEndsTheWay() async throws {
        let answer = Step { _, _, _ in .json(ByteBuffer(string: "early")) }
        let response = try await Chain([link("a", answer), link("r", router)]).run(request, in: makeExchange())
        #expect(response.text == "early")
    }

    @Test func aStepThatAnExchangeDoesNotConcernIsPassedOver() async throws {
        struct Chosen: Middleware {
            let name: String
            let journal: Journal
            func isConcerned(with exchange: Exchange) -> Bool { exchange.head.target == "/\(name)" }
            func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
                journal.note(name)
                return try await next(request)
            }
        }
        let journal = Journal()
        let chain = Chain(
            [
                link("a", Chosen(name: "a", journal: journal)),
                link("b", Chosen(name: "b", journal: journal), open: true),
            ]
                + [link("r", router)])
        for target in ["/a", "/b", "/c"] {
            let exchange = makeExchange(target)
            let response = try await chain.run(Request(head: exchange.head), in: exchange)
            #expect(response.text == "routed")
            journal.note(target)
        }
        #expect(journal.entries == ["a", "/a", "b", "/b", "/c"])
    }

    /// Does its part at once, for the requests that it is given.
    private struct AtOnce: Middleware {
        let journal: Journal
        var error: GatewayError?
        func pass(_ request: Request, in exchange: Exchange) throws -> Passing {
            if let error { throw error }
            journal.note("passed")
            return request.head.target == "/waits" ? .handle : .done
        }
        func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
            journal.note("handled")
            return try await next(request)
        }
    }

    @Test func aStepThatDidItsPartAtOnceIsNotHandled() async throws {
        let journal = Journal()
        let chain = Chain([link("a", AtOnce(journal: journal)), link("r", router)])
        for target in ["/", "/waits"] {
            let exchange = makeExchange(target)
            #expect(try await chain.run(Request(head: exchange.head), in: exchange).text == "routed")
        }
        #expect(journal.entries == ["passed", "passed", "handled"])
    }

    @Test func whatAStepThrowsAtOnceCountsLikeWhatItThrowsLater() async throws {
        let failing = AtOnce(journal: Journal(), error: .badRequest("mine", "No."))
        let closed = Chain([link("f", failing), link("r", router)])
        #expect(await failureCode { try await closed.run(request, in: makeExchange()) } == "mine")
        let exchange = makeExchange()
        let open = Chain([link("f", failing, open: true), link("r", router)])
        #expect(try await open.run(request, in: exchange).text == "routed")
        #expect(exchange.facts.passedOver == ["f"])
    }

    @Test func aFlagThatIsOffSkipsItsStepAndNoOther() async throws {
        struct Off: FlagEvaluator {
            func isOn(_ name: String, in exchange: Exchange) -> Bool { name != "history" }
            func inEffect(for exchange: Exchange) -> [String] { [] }
        }
        let journal = Journal()
        let noting = { (name: String) in
            Step { request, _, next in
                journal.note(name)
                return try await next(request)
            }
        }
        let chain = Chain([
            link("history", noting("history"), flag: "history"), link("capture", noting("capture"), flag: "capture"),
            link("auth", noting("auth")), link("r", router),
        ])
        _ = try await chain.run(request, in: makeExchange(flags: Off()))
        #expect(journal.entries == ["capture", "auth"])
    }

    @Test func aChainWithoutARouterSaysSo() async {
        let pass = Step { request, _, next in try await next(request) }
        #expect(
            await failureCode { try await Chain([link("p", pass)]).run(request, in: makeExchange()) }
                == "internal_error")
    }

    @Test func aClosedPluginsFailureIsTheAnswer() async {
        let failing = Step { _, _, _ in throw GatewayError.test("mine") }
        let chain = Chain([link("f", failing), link("r", router)])
        #expect(await failureCode { try await chain.run(request, in: makeExchange()) } == "mine")
    }

    // MARK: - Fail open

    @Test func anOpenPluginThatFailsBeforeNextIsPassedOver() async throws {
        let journal = Journal()
        let failing = Step { _, _, _ in throw GatewayError.test("mine") }
        let chain = Chain([link("f", failing, open: true), link("r", router)])
        let response = try await chain.run(request, in: makeExchange(logger: makeLogger(journal)))
        #expect(response.text == "routed")
        #expect(journal.entries.count == 1)
        #expect(journal.entries[0].contains("plugin=f") && journal.entries[0].contains("request_id=req_"))
    }

    @Test func anOpenPluginThatFailsAfterNextLosesNeitherAnswerNorRunsTheRestTwice() async throws {
        let journal = Journal()
        let failing = Step { request, _, next in
            _ = try await next(request)
            throw GatewayError.test("mine")
        }
        let counting = Step { _, _, _ in
            journal.note("upstream")
            return .json(ByteBuffer(string: "routed"))
        }
        let chain = Chain([link("f", failing, open: true), link("r", counting)])
        let response = try await chain.run(request, in: makeExchange())
        #expect(response.text == "routed")
        #expect(journal.entries == ["upstream"])
    }

    @Test func aFailureBehindAnOpenPluginStaysItsOwn() async {
        let journal = Journal()
        let wrapping = Step { request, _, next in
            do { return try await next(request) } catch { throw GatewayError.test("wrapped") }
        }
        let router = Step { _, _, _ in
            journal.note("upstream")
            throw GatewayError.test("upstream_refused")
        }
        let chain = Chain([link("w", wrapping, open: true), link("r", router)])
        let exchange = makeExchange(logger: makeLogger(journal))
        #expect(await failureCode { try await chain.run(request, in: exchange) } == "upstream_refused")
        #expect(journal.entries == ["upstream"], "The plugin did not fail, so nothing is logged.")
    }

    @Test func anOpenPluginMayAnswerInPlaceOfAFailure() async throws {
        let rescuing = Step { request, _, next in
            do { return try await next(request) } catch { return .json(ByteBuffer(string: "rescued")) }
        }
        let failing = Step { _, _, _ in throw GatewayError.test("upstream_refused") }
        let chain = Chain([link("w", rescuing, open: true), link("r", failing)])
        #expect(try await chain.run(request, in: makeExchange()).text == "rescued")
    }

    @Test(arguments: [true, false])
    func aClientThatLeftInAnOpenPluginCostsNoUpstreamCall(isCancelled: Bool) async {
        let journal = Journal()
        let waiting = Step { _, _, _ in
            if isCancelled { throw CancellationError() }
            throw GatewayError.clientLeft
        }
        let router = Step { _, _, _ in
            journal.note("upstream")
            return .json(ByteBuffer())
        }
        let chain = Chain([link("w", waiting, open: true), link("r", router)])
        let task = Task { [request] in
            if isCancelled { withUnsafeCurrentTask { $0?.cancel() } }
            return await failureCode { try await chain.run(request, in: makeExchange()) }
        }
        #expect(await task.value == "client_left")
        #expect(journal.entries.isEmpty)
    }

    @Test func anOpenPluginsOwnCancelledWorkIsItsFailureAndNotTheClients() async throws {
        let cancelled = Step { _, _, _ in throw CancellationError() }
        let chain = Chain([link("w", cancelled, open: true), link("r", router)])
        #expect(try await chain.run(request, in: makeExchange()).text == "routed")
    }

    // MARK: - Transformers of open plugins

    private func transforming(
        _ transformer: Probe, chunks: [String], _ contentType: String = "text/plain"
    ) async throws -> String {
        let adding = Step { request, _, next in
            var response = try await next(request)
            response.transform(with: transformer)
            return response
        }
        let router = Step { _, _, _ in
            Response(
                status: .ok, headers: ["content-type": contentType], body: .stream(ScriptedSource(atOnce: chunks)))
        }
        let chain = Chain([link("t", adding, open: true), link("r", router)])
        var response = try await chain.run(request, in: makeExchange())
        return String(buffer: try await response.collect(upTo: 100))
    }

    @Test func anOpenPluginsTransformerThatFailsIsPassedOverAndEndedOnce() async throws {
        let probe = Probe(chunk: { _ throws(GatewayError) in throw .test("broken") })
        #expect(try await transforming(probe, chunks: ["all of it"]) == "all of it")
        #expect(probe.journal.entries == ["probe failed:broken"])
    }

    @Test func anOpenPluginsTransformerThatFailsAtTheEndAddsNothing() async throws {
        let probe = Probe(tail: { _ in throw GatewayError.test("broken") })
        #expect(try await transforming(probe, chunks: ["all of it"]) == "all of it")
    }

    @Test func anOpenPluginsTransformerThatHasWithheldEndsTheAnswer() async {
        let probe = Probe(chunk: { _ in .withhold }, tail: { _ in throw GatewayError.test("broken") })
        #expect(await failureCode { try await transforming(probe, chunks: ["lost"]) } == "broken")
    }

    /// It may have kept back the beginning of what it looks for: passed over, the answer would lack that.
    @Test func anOpenPluginsTransformerThatHasReplacedAChunkEndsTheAnswer() async {
        let probe = Probe(
            chunk: { _ in .replace(ByteBuffer(string: "a pa")) }, tail: { _ in throw GatewayError.test("broken") })
        #expect(await failureCode { try await transforming(probe, chunks: ["a part"]) } == "broken")
    }

    @Test func anOpenPluginsTransformerThatHasReplacedAnEventEndsTheAnswer() async {
        let probe = Probe(event: { event throws(GatewayError) in
            if (event.data?.readableBytes ?? 0) > 4 { throw .test("broken") }
            return .replace([])
        })
        let chunks = ["data: a pa\n\n", "data: rt of it\n\n"]
        #expect(await failureCode { try await transforming(probe, chunks: chunks, "text/event-stream") } == "broken")
    }
}
