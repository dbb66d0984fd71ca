import NIOCore
import NIOHTTP1
import Server
import Testing
import TurnpikeKit

/// Web pages of other origins: off unless configured, preflights answered before the chain.
@Suite(.timeLimit(.minutes(5))) struct CORSTests {
    private let preflight =
        "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
        + "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"

    @Test func leavesPreflightsToTheChainByDefault() async throws {
        try await TestServer.with(greeting) { server in
            let answer = try await server.exchange(preflight)
            #expect(answer.hasSuffix("ok") && !answer.contains("Access-Control"))
        }
    }

    @Test func answersPreflightsOfAllowedOrigins() async throws {
        try await TestServer.with(greeting, { $0.cors = CORSPolicy(allowedOrigins: ["https://a.example"]) }) { server in
            let answer = try await server.exchange(preflight)
            #expect(answer.hasPrefix("HTTP/1.1 204 No Content\r\n"))
            #expect(answer.contains("Access-Control-Allow-Origin: https://a.example\r\n"))
            #expect(answer.contains("Access-Control-Allow-Methods: POST\r\n"))
            #expect(answer.contains("Access-Control-Allow-Headers: authorization\r\n"))
            #expect(answer.contains("Vary: Origin\r\n") && !answer.contains("Content-Length"))
            #expect(server.handler.begun.isEmpty)
        }
    }

    @Test func tellsOtherOriginsNothing() async throws {
        try await TestServer.with(greeting, { $0.cors = CORSPolicy(allowedOrigins: ["https://b.example"]) }) { server in
            let answer = try await server.exchange(preflight)
            #expect(!answer.contains("Access-Control"))
        }
    }

    @Test func letsAllowedPagesReadAnswers() async throws {
        try await TestServer.with(
            { _, _ in Response(status: .ok, headers: ["access-control-allow-origin": "https://upstream"]) },
            { $0.cors = CORSPolicy(allowedOrigins: ["*"]) }
        ) { server in
            let answer = try await server.exchange(
                "GET / HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\nConnection: close\r\n\r\n")
            #expect(answer.contains("Access-Control-Allow-Origin: https://a.example\r\n"))
            #expect(answer.contains("Access-Control-Expose-Headers: x-turnpike-request-id"))
            #expect(!answer.contains("https://upstream"))
        }
    }
}
