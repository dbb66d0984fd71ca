import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import ActivityPlugin

@Suite(.serialized) struct ActivityRoutesTests {
    private func ids(_ answer: JSONObject) throws -> [String] {
        try (answer["data"]?.array() ?? []).compactMap { try $0.object()?["id"]?.string }
    }

    @Test func aDatabaseThatIsAwayIsToldAsSuch() async throws {
        let bench = try await ActivityBench()
        await bench.database.close()
        for target in ["/v1/activity", "/v1/activity/stats"] {
            let error = await #expect(throws: GatewayError.self) { try await bench.get(target, as: bench.alice) }
            #expect(error?.code == "activity_unavailable")
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func listsTheNewestFirstAndOnlyOnesOwn(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        for _ in 0..<3 { try await bench.chat(as: bench.alice) }
        try await bench.chat(as: bench.bob)
        try await bench.run(bench.exchange(), Outcome(ending: .completed, status: 401))
        await bench.plugin.recorder.drain()

        let answer = try await bench.get("/v1/activity", as: bench.alice)
        let expected = try await bench.rows(of: bench.alice).map { $0.id.description(prefix: "req_") }
        #expect(try ids(answer) == expected)
        #expect(expected.count == 3)
        #expect(expected.sorted(by: >) == expected)
        #expect(answer["has_more"]?.bool == false)
        #expect(answer["next_before"]?.isNull == true)
        #expect(try ids(await bench.get("/v1/activity", as: bench.bob)).count == 1)
    }

    @Test(arguments: TestedDatabase.allCases)
    func pagesThroughRowsOfTheSameMicrosecondWithoutLossOrRepetition(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        for index in 0..<11 {
            try await bench.run(bench.exchange(as: bench.alice))
            if index % 5 == 4 { bench.time.advance(by: 1) }
        }
        await bench.plugin.recorder.drain()
        var seen: [String] = []
        var target = "/v1/activity?limit=3"
        while true {
            let answer = try await bench.get(target, as: bench.alice)
            seen += try ids(answer)
            guard let next = answer["next_before"]?.string else { break }
            #expect(answer["has_more"]?.bool == true)
            target = "/v1/activity?limit=3&before=\(next)"
            try #require(seen.count <= 11)
        }
        #expect(seen.count == 11)
        #expect(Set(seen).count == 11)
    }

    @Test(arguments: TestedDatabase.allCases)
    func showsFiftyUnlessAskedAndTwoHundredAtMost(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        for _ in 0..<201 { try await bench.run(bench.exchange(as: bench.alice)) }
        await bench.plugin.recorder.drain()
        #expect(try ids(await bench.get("/v1/activity", as: bench.alice)).count == 50)
        let most = try await bench.get("/v1/activity?limit=200", as: bench.alice)
        #expect(try ids(most).count == 200)
        #expect(most["has_more"]?.bool == true)
    }

    @Test(arguments: [
        "limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit=9999999999999999999", "before=", "before=x",
        "before=1_2", "before=1", "before=%00", "before=1_1_1",
    ])
    func refusesAQueryThatMakesNoSense(_ query: String) async throws {
        let bench = try await ActivityBench()
        let error = await #expect(throws: GatewayError.self) {
            _ = try await bench.get("/v1/activity?" + query, as: bench.alice)
        }
        #expect(error?.status == .badRequest)
    }

    @Test(arguments: TestedDatabase.allCases)
    func showsNothingWithoutAPrincipal(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        await #expect(throws: GatewayError.self) { _ = try await bench.get("/v1/activity", as: nil) }
        await #expect(throws: GatewayError.self) { _ = try await bench.get("/v1/activity/stats", as: nil) }
    }

    @Test(arguments: TestedDatabase.allCases)
    func writesARowAsJSON(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        try await bench.chat(as: bench.alice, tokens: 4)
        await bench.plugin.recorder.drain()
        let answer = try await bench.get("/v1/activity", as: bench.alice)
        let row = try #require(try answer["data"]?.array()?.first?.object())
        #expect(row["object"]?.string == "activity")
        #expect(row["created"]?.int == Int(ActivityBench.start / 1_000_000))
        #expect(row["key_id"]?.string == bench.alice.keyID.description(prefix: "key_"))
        #expect(row["session_id"]?.isNull == true)
        #expect(try row["usage"]?.object()?["total_tokens"]?.int == 8)
        #expect(row["ending"]?.string == "completed")
        #expect(row["streamed"]?.bool == false)
    }

    @Test(arguments: TestedDatabase.allCases)
    func sumsUpOnesOwnExchangesSinceAMoment(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        try await bench.chat(as: bench.alice, model: "before", tokens: 100)
        bench.time.advance(by: 3_600_000_000)
        let since = bench.time.clock.wallMicroseconds() / 1_000_000
        for _ in 0..<2 { try await bench.chat(as: bench.alice, model: "small", tokens: 2) }
        try await bench.chat(as: bench.alice, model: "large", tokens: 5)
        try await bench.run(bench.exchange(as: bench.alice), Outcome(ending: .clientLeft, status: 0))
        try await bench.chat(as: bench.bob, model: "small", tokens: 1_000)
        await bench.plugin.recorder.drain()

        let answer = try await bench.get("/v1/activity/stats?since=\(since)", as: bench.alice)
        #expect(answer["requests"]?.int == 4)
        #expect(answer["completed"]?.int == 3)
        #expect(answer["abandoned"]?.int == 1)
        #expect(answer["prompt_tokens"]?.int == 9)
        #expect(answer["total_tokens"]?.int == 18)
        let models = try #require(try answer["models"]?.array()).compactMap { try $0.object() }
        #expect(models.map { $0["model"]?.string } == ["small", "large"])
        #expect(models.map { $0["requests"]?.int } == [2, 1])
        #expect(models.map { $0["total_tokens"]?.int } == [8, 10])
        let day = try await bench.get("/v1/activity/stats", as: bench.alice)
        #expect(day["requests"]?.int == 5)
    }

    @Test(arguments: TestedDatabase.allCases)
    func sumsThatNobodyCouldHaveCountedAreAnError(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        try await bench.chat(as: bench.alice, model: "small", tokens: 2)
        try await bench.run(bench.exchange(as: bench.alice), Outcome(ending: .clientLeft, status: 0))
        await bench.plugin.recorder.drain()
        for column in ["prompt_tokens", "total_tokens", "cached_tokens", "cost_micros"] {
            for number in [Int64.min, .max] {
                try await bench.database.write { connection in
                    _ = try connection.execute("UPDATE activity SET \(raw: column) = \(number)")
                }
                await #expect(throws: GatewayError.self, "\(column) = \(number)") {
                    _ = try await bench.get("/v1/activity/stats", as: bench.alice)
                }
            }
            try await bench.database.write { connection in
                _ = try connection.execute("UPDATE activity SET \(raw: column) = 1")
            }
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func sumsUpNothingToZero(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        let answer = try await bench.get("/v1/activity/stats", as: bench.alice)
        #expect(answer["requests"]?.int == 0)
        #expect(answer["total_tokens"]?.int == 0)
    }

    @Test(arguments: ["x", "-1", "0", "99999999999", "9223372036854775807", "-9223372036854775808"])
    func refusesAMomentThatIsTooLongAgoOrYetToCome(_ since: String) async throws {
        let bench = try await ActivityBench()
        await #expect(throws: GatewayError.self) {
            _ = try await bench.get("/v1/activity/stats?since=\(since)", as: bench.alice)
        }
    }

    @Test(arguments: TestedDatabase.allCases)
    func answers503WhenTheLogCannotBeRead(_ tested: TestedDatabase) async throws {
        let bench = try await ActivityBench(on: tested)
        await bench.database.close()
        let error = await #expect(throws: GatewayError.self) {
            _ = try await bench.get("/v1/activity", as: bench.alice)
        }
        #expect(error?.status == .serviceUnavailable)
    }
}
