import NIOHTTP1
import Testing
import TurnpikeKit

@testable import TurnpikeRuntime

@Suite struct EndpointTests {
    @Test(arguments: [
        (HTTPMethod.POST, "/v1/chat/completions", Endpoint.chatCompletions),
        (.GET, "/v1/chat/completions", .stateful),
        (.GET, "/v1/chat/completions/chatcmpl-1", .stateful),
        (.POST, "/v1/embeddings", .json),
        (.POST, "/v1/audio/speech", .json),
        (.POST, "/v1/audio/transcriptions", .streamed),
        (.POST, "/v1/images/edits", .streamed),
        (.GET, "/v1/audio/voice_consents", .stateful),
        (.POST, "/v1/audio/voices", .stateful),
        (.DELETE, "/v1/audio/voices/voice_1", .stateful),
        (.POST, "/v1/audio/transcriptions/1", .stateful),
        (.POST, "/v1/images/generations/", .stateful),
        (.GET, "/v1/images/img_1", .stateful),
        (.GET, "/v1/models", .models(id: nil)),
        (.GET, "/v1/models/org%2Fname", .models(id: "org/name")),
        (.DELETE, "/v1/models/ft:x", .stateful),
        (.POST, "/v1/responses", .stateful),
        (.GET, "/v1/files/file-1/content", .stateful),
        (.POST, "/v1/something/new", .unknown),
    ])
    func classifies(method: HTTPMethod, path: String, expected: Endpoint) throws {
        #expect(try Endpoint.classify(RequestHead(method: method, target: path)) == expected)
    }

    @Test(arguments: [
        "/v1/audio/../files", "/v1/audio/%2e%2e/files", "/v1/models/..%2ffiles", "/v1/./files", "/v1/audio/%",
        "/v1/audio/%ff",
        // Backslashes, path parameters and a second decoding are what some servers make dot segments of.
        #"/v1/audio/..\files"#, "/v1/audio/..%5cfiles", "/v1/audio/..;/files", "/v1/models/%252e%252e%252ffiles",
        // A combining mark behind a slash, or a prepended sign before it, is one character with it.
        "/v1/audio/../%CC%81%D8%80/../files",
    ])
    func refusesPathsThatAnUpstreamMightResolve(path: String) {
        #expect { try Endpoint.classify(RequestHead(method: .GET, target: path)) } throws: {
            ($0 as? GatewayError)?.status == .badRequest
        }
    }

    @Test func tellsTheMethodThatAnEndpointHas() {
        #expect { try Endpoint.classify(RequestHead(method: .GET, target: "/v1/embeddings")) } throws: { error in
            let error = error as? GatewayError
            return error?.status == .methodNotAllowed && error?.headers["Allow"] == ["POST"]
        }
    }

    @Test func knowsNothingOutsideItsPrefix() {
        #expect { try Endpoint.classify(RequestHead(method: .GET, target: "/v2/models")) } throws: {
            ($0 as? GatewayError)?.code == "unknown_url"
        }
    }
}
