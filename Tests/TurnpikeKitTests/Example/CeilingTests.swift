import NIOHTTP1
import Testing
import TurnpikeKit
import TurnpikeTesting

/// Each test is run in process and over a socket.
@Suite struct CeilingTests {
    @Test(arguments: TestGateway.Way.allCases)
    func lowersWhatIsTooHighAndLeavesTheRestAsItCame(way: TestGateway.Way) async throws {
        let gateway = try TestGateway(
            [CeilingPlugin.factory], configuration: "plugins: { ceiling: { maximum: 0.5 } }")
        try await gateway.run(way) { client in
            let answer = try await client.send(.chat(#"{"model":"m", "temperature": 0.9 ,"x":1}"#))
            #expect(answer.headers["x-ceiling"] == ["0.5"])
        }
        #expect(gateway.upstream.seen.map(\.body) == [#"{"model":"m", "temperature": 0.5 ,"x":1}"#])
    }

    @Test(arguments: TestGateway.Way.allCases)
    func countsTheEventsThatPassedBeforeAStreamBrokeOff(way: TestGateway.Way) async throws {
        let gateway = try TestGateway([CeilingPlugin.factory])
        let lost = GatewayError(.upstream, .badGateway, code: "upstream_lost", "The upstream is gone.")
        gateway.upstream.reply(.events([#"data: {"n":1}"#, #"data: {"n":2}"#], end: .failed(lost)))
        try await gateway.run(way) { client in
            let broken = try await client.send(.chat(#"{"model":"m","stream":true}"#))
            #expect(broken.text.contains("event: error"))
            let count = try await client.send(TestRequest(.GET, "/v1/ceiling"))
            #expect(count.text == #"{"events":2}"#)
        }
    }
}
