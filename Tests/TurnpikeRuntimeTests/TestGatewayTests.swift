import Logging
import NIOHTTP1
import OpenAIWire
import Persistence
import ServiceLifecycle
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

/// Notes what happens to it: the begin and the end of `run()`, and the ends of answers.
private struct Noting: Plugin, Middleware {
    final class Notes: Sendable {
        private let stored = Mutex<[String]>([])
        var all: [String] { stored.withLock { $0 } }
        func add(_ note: String) { stored.withLock { $0.append(note) } }
    }

    let notes: Notes
    var middleware: (any Middleware)? { self }
    var migrations: [Migration] {
        [Migration("noting", 1, "words") { _ in ["CREATE TABLE IF NOT EXISTS noted (word INTEGER)"] }]
    }

    static func factory(_ notes: Notes) -> PluginFactory {
        PluginFactory(id: "noting", stage: .transform) { _ in Noting(notes: notes) }
    }

    func run() async throws {
        notes.add("begins")
        try await gracefulShutdown()
        notes.add("ends")
    }

    func handle(_ request: Request, in exchange: Exchange, next: Next) async throws -> Response {
        var response = try await next(request)
        response.transform(with: EndWatch(notes: notes))
        return response
    }

    private struct EndWatch: ResponseTransformer {
        let notes: Notes
        let subscription = ResponseSubscription.events

        mutating func onEvent(_ event: ServerSentEvent) throws(GatewayError) -> EventAction { .pass }
        mutating func onEnd(_ end: ResponseEnd) async throws -> ResponseTail {
            switch end {
            case .complete: notes.add("complete")
            case .failed(let error): notes.add(error.code)
            case .clientLeft: notes.add("left")
            }
            return .nothing
        }
    }
}

@Suite struct TestGatewayTests {
    private let chat = TestRequest.chat(#"{"model":"m","stream":true}"#)

    @Test(arguments: TestGateway.Way.allCases)
    func runsThePluginsForTheLengthOfTheTest(way: TestGateway.Way) async throws {
        let notes = Noting.Notes()
        try await TestGateway([Noting.factory(notes)]).run(way) { client in
            let answer = try await client.send(chat)
            #expect(answer.isComplete)
        }
        #expect(notes.all.sorted() == ["begins", "complete", "ends"])
        #expect(notes.all.last == "ends")
    }

    @Test(arguments: TestGateway.Way.allCases)
    func tellsHowEachExchangeEnded(way: TestGateway.Way) async throws {
        let notes = Noting.Notes()
        let gateway = try TestGateway([Noting.factory(notes)])
        let lost = GatewayError(.upstream, .badGateway, code: "upstream_lost", "It is gone.")
        gateway.upstream.reply(.events(["data: 1", "data: [DONE]"]))
        gateway.upstream.reply(.events(["data: 1"], end: .failed(lost)))
        gateway.upstream.reply(.error(lost))
        gateway.upstream.reply(.events(["data: 1"], end: .open))
        var leaving = chat
        leaving.leavesAtHead = true
        try await gateway.run(way) { client in
            let whole = try await client.send(chat)
            #expect(whole.text == "data: 1\n\ndata: [DONE]\n\n")
            _ = try await client.send(chat)
            let refused = try await client.send(chat)
            #expect(refused.status == 502 && refused.text.contains("upstream_lost"))
            _ = try await client.send(leaving)
            #expect(await gateway.outcomes(4).map(\.word) == ["completed", "failed", "refused", "left"])
        }
        #expect(notes.all.filter { $0 != "begins" } == ["complete", "upstream_lost", "left", "ends"])
    }

    @Test(arguments: TestGateway.Way.allCases)
    func refusesWhoShowsNoName(way: TestGateway.Way) async throws {
        try await TestGateway([]).run(way) { client in
            let answer = try await client.send(.chat("{}", user: nil))
            #expect(answer.status == 401)
        }
    }

    @Test func appliesTheMigrationsOfThePlugins() async throws {
        let files = SQLiteFixture()
        let database = try await files.open()
        try await TestGateway([Noting.factory(.init())], database: database).run(.inProcess) { _ in
            let count = try await database.read { try $0.first("SELECT COUNT(*) FROM noted") { try $0.integer(0) } }
            #expect(count == 0)
        }
        await database.close()
    }

    @Test func refusesAKeyThatNobodyReads() {
        #expect { try TestGateway([], configuration: "plugins: { noting: { x: 1 } }") } throws: { error in
            "\(error)".contains("noting")
        }
    }
}

extension Outcome {
    fileprivate var word: String {
        switch ending {
        case .completed: "completed"
        case .refused: "refused"
        case .failed: "failed"
        case .clientLeft: "left"
        }
    }
}
