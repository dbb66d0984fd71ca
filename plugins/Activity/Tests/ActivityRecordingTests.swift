import Logging
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import ServiceLifecycleTestKit
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import ActivityPlugin

@Suite(.serialized) struct ActivityRecordingTests {
    @Test(arguments: TestedDatabase.allCases)
    func keepsWhatIsKnownOfAnExchange(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        let exchange = bench.exchange("/v1/chat/completions?api_key=hidden", as: bench.alice, flags: TwoFlags())
        let session = UniqueID.generate()
        exchange[EndpointKey.self] = .chatCompletions
        exchange.note { facts in
            facts.sessionID = session
            facts.requestedModel = "fast"
            (facts.provider, facts.model, facts.upstreamStatus) = ("openai", "gpt-4o-mini", 200)
            facts.isStreamed = true
            facts.usage = Usage(prompt: 11, completion: 7, cachedPrompt: 5, reasoning: 3)
            facts.captureStatus = "complete"
        }
        try await bench.run(
            exchange,
            Outcome(
                ending: .completed, status: 200, requestBytes: 123, responseBytes: 456, firstByteNanoseconds: 5_000_999,
                totalNanoseconds: 9_000_000))
        await bench.plugin.recorder.drain()

        let row = try #require(try await bench.rows(of: bench.alice).first)
        #expect(row.id == exchange.id)
        #expect(row.created.microseconds == ActivityBench.start)
        #expect(row.keyID == bench.alice.keyID)
        #expect(row.facts == exchange.facts)
        #expect((row.method, row.path, row.endpoint) == ("POST", "/v1/chat/completions", "chat_completions"))
        #expect((row.status, row.ending, row.errorCode) == (200, .completed, nil))
        #expect((row.requestBytes, row.responseBytes) == (123, 456))
        #expect((row.firstByte, row.total) == (5_000, 9_000))
        #expect(row.flags == ["history", "capture"])
        #expect(row.facts.sessionID == session)
    }

    @Test func keepsNoKeyAndNoQuery() async throws {
        let bench = try await ActivityBench()
        try await bench.run(bench.exchange("/v1/chat/completions?token=hidden", as: bench.alice))
        await bench.plugin.recorder.drain()
        let text = try await bench.database.read { connection in
            // Quoted, because a NULL among them would make NULL of the whole.
            let columns = ActivityRow.columns.map { "quote(\($0))" }
            return try connection.rows(SQL(raw: "SELECT \(columns.joined(separator: " || '|' || ")) FROM activity")) {
                try $0.value(0, as: String.self)
            }
        }
        #expect(try #require(text.first).contains("/v1/chat/completions"))
        let row = try await bench.rows(of: bench.alice)
        #expect(row.count == 1)
        #expect(!"\(text) \(row)".contains("tp-secret"))
        #expect(!"\(text) \(row)".contains("hidden"))
    }

    @Test(arguments: TestedDatabase.allCases)
    func keepsEveryEnding(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        let error = GatewayError.badRequest("session_conflict", "x")
        let endings: [(Outcome.Ending, ActivityEnding, String?)] = [
            (.completed, .completed, nil), (.refused(error), .refused, "session_conflict"),
            (.failed(.internalError("x")), .failed, "internal_error"), (.clientLeft, .abandoned, nil),
        ]
        for (ending, _, _) in endings {
            try await bench.run(bench.exchange(as: bench.alice), Outcome(ending: ending, status: 0))
            bench.time.advance(by: 1)
        }
        await bench.plugin.recorder.drain()
        let rows = try await bench.rows(of: bench.alice).reversed()
        #expect(rows.map(\.ending) == endings.map(\.1))
        #expect(rows.map(\.errorCode) == endings.map(\.2))
    }

    @Test(arguments: TestedDatabase.allCases)
    func keepsWhatWasRefusedBeforeAnybodyKnewWhoAsked(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        try await bench.run(bench.exchange(), Outcome(ending: .refused(.clientLeft), status: 401))
        await bench.plugin.recorder.drain()
        let statuses = try await bench.database.read { connection in
            try connection.rows("SELECT status FROM activity WHERE user_id IS NULL") { try $0.integer(0) }
        }
        #expect(statuses == [401])
    }

    @Test(arguments: TestedDatabase.allCases)
    func aFloodWithoutAKeyBecomesOneRowForEachSecondAndReason(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        let other = GatewayError(.client, .unauthorized, code: "expired", "Expired.")
        for second in 0..<3 {
            for number in 0..<100 {
                let error = number % 10 == 0 ? other : GatewayError.internalError("x")
                let outcome = Outcome(ending: .refused(error), status: 401, responseBytes: 5)
                try await bench.run(bench.exchange(), outcome)
                bench.time.advance(by: 1_000)
            }
            bench.time.advance(by: 900_000)
            if second == 1 { bench.plugin.recorder.writeGathered() }
        }
        // Whoever is known has a row for every request.
        for _ in 0..<2 {
            try await bench.run(bench.exchange(as: bench.alice), Outcome(ending: .refused(other), status: 403))
        }
        await bench.plugin.recorder.drain()
        let rows = try await bench.database.read { connection in
            try connection.rows(
                "SELECT error_code, requests, response_bytes FROM activity WHERE user_id IS NULL ORDER BY created_us"
            ) { "\(try $0.text(0)) \(try $0.integer(1)) \(try $0.integer(2))" }
        }
        #expect(
            rows.sorted() == Array(repeating: "expired 10 50", count: 3)
                + Array(repeating: "internal_error 90 450", count: 3))
        #expect(try await bench.rows(of: bench.alice).map(\.requests) == [1, 1])
    }

    @Test(arguments: TestedDatabase.allCases)
    func cutsLabelsThatAreLongerThanTheirColumn(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        let exchange = bench.exchange("/v1/" + String(repeating: "x", count: 5_000), as: bench.alice)
        exchange.note { $0.requestedModel = String(repeating: "é", count: 201) }
        try await bench.run(exchange)
        await bench.plugin.recorder.drain()
        let row = try #require(try await bench.rows(of: bench.alice).first)
        #expect(row.path.unicodeScalars.count == 500)
        #expect(row.facts.requestedModel == String(repeating: "é", count: 199) + "…")
    }

    @Test(arguments: TestedDatabase.allCases)
    func writesARowOnceWhenItsCommitIsDoneAgain(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        let faulty = FaultyDatabase(bench.database)
        faulty.failNextCommit(.happened)
        let recorder = ActivityRecorder(database: faulty, clock: bench.time.clock)
        for _ in 0..<3 {
            recorder.record(ActivityRow(bench.exchange(as: bench.alice), Outcome(ending: .completed, status: 200)))
        }
        await recorder.drain()
        #expect(!faulty.withdraw())
        #expect(try await bench.rows(of: bench.alice).count == 3)
        #expect(recorder.lost == 0)
    }

    @Test(arguments: TestedDatabase.allCases)
    func countsAndReportsWhatCannotBeWrittenOncePerPeriod(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        let lines = LogLines()
        let recorder = ActivityRecorder(
            database: bench.database, clock: bench.time.clock, logger: Logger(label: "test") { _ in lines })
        await bench.database.close()
        for _ in 0..<5 {
            recorder.record(ActivityRow(bench.exchange(as: bench.alice), Outcome(ending: .completed, status: 200)))
        }
        #expect(recorder.lost == 5)
        #expect(lines.lost == ["1"])
        bench.time.advance(by: 10_000_000)
        recorder.record(ActivityRow(bench.exchange(as: bench.alice), Outcome(ending: .completed, status: 200)))
        #expect(lines.lost == ["1", "5"])
    }

    @Test(arguments: TestedDatabase.allCases)
    func countsARowThatTheDatabaseDoesNotTakeAndGoesOn(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        let faulty = FaultyDatabase(bench.database)
        faulty.fail(atStep: 0, with: .unavailable)
        let recorder = ActivityRecorder(database: faulty, clock: bench.time.clock)
        recorder.record(ActivityRow(bench.exchange(as: bench.alice), Outcome(ending: .completed, status: 200)))
        await recorder.drain()
        #expect(recorder.lost == 1)
        #expect(try await bench.rows(of: bench.alice).isEmpty)
    }

    @Test(arguments: TestedDatabase.allCases)
    func takesARowOfAnExchangeThatOutlivesItsConfiguration(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        try await bench.chat(as: bench.alice)
        await bench.plugin.recorder.drain()
        try await bench.chat(as: bench.alice)
        #expect(bench.plugin.recorder.pending == 1)
        await bench.plugin.recorder.drain()
        #expect(try await bench.rows(of: bench.alice).count == 2)
    }

    @Test(arguments: TestedDatabase.allCases)
    func writesWhatItHasTakenBeforeItEnds(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        try await bench.chat(as: bench.alice)
        try await testGracefulShutdown { trigger in
            trigger.triggerGracefulShutdown()
            try await bench.plugin.run()
        }
        #expect(try await bench.rows(of: bench.alice).count == 1)
    }

    @Test(arguments: TestedDatabase.allCases)
    func opensNothingUntilTheFirstRow(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        var resources = Resources()
        resources[DatabaseKey.self] = bench.database
        resources[ClockKey.self] = bench.time.clock
        let node = ConfigurationNode(.empty, at: .init(file: "test.yaml", line: 1))
        let environment = ConfigurationEnvironment(variable: { _ in nil }, readFile: { _ in nil })
        let section = try ConfigurationSection(node, path: "plugins.activity", environment: environment)
        let plugin = try ActivityPlugin.factory.make(PluginSetup(configuration: section, resources: resources))
        #expect(ActivityPlugin.factory.stage == .observe)
        #expect(plugin.routes.map(\.path) == ["/v1/activity", "/v1/activity/stats"])
        #expect(plugin.routes.allSatisfy { $0.access == .scope(.chat) })
    }
}

private struct TwoFlags: FlagEvaluator {
    func isOn(_ name: String, in exchange: Exchange) -> Bool { true }
    func inEffect(for exchange: Exchange) -> [String] { ["history", "capture"] }
}

/// Remembers the `lost` of every line.
private final class LogLines: LogHandler {
    private let values = Mutex<[String]>([])
    var lost: [String] { values.withLock { $0 } }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
    func log(event: LogEvent) {
        values.withLock { $0.append("\(event.metadata?["lost"] ?? "")") }
    }
}
