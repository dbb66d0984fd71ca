import NIOCore
import NIOHTTP1
import Server
import Testing
import TurnpikeKit
import TurnpikeTesting

/// Whatever bytes arrive, the server answers or closes, finishes what it began, and goes on serving.
@Suite(.timeLimit(.minutes(5))) struct HostileBytesTests {
    private static let seeds = [
        "POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\nGET /x HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nConnection: keep-alive, upgrade\r\nUpgrade: h2c\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\nOrigin: o\r\nAccess-Control-Request-Method: PUT\r\n\r\n\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    ]

    @Test(arguments: 0..<8) func survivesMutatedRequests(_ round: Int) async throws {
        try await TestServer.with(
            echo,
            {
                $0.timeouts.linger = .milliseconds(20)
                $0.cors = CORSPolicy(allowedOrigins: ["*"])
            }
        ) { server in
            var random = SeededGenerator(seed: UInt64(round))
            for _ in 0..<60 {
                let client = try await server.connect()
                let bytes = HostileBytesTests.mutate(Array(HostileBytesTests.seeds[round % 4].utf8), with: &random)
                // Cut in two at a random place: states are crossed in the middle of things.
                let cut = random.below(bytes.count + 1)
                try? await client.send(ByteBuffer(bytes: bytes[..<cut]))
                try? await client.send(ByteBuffer(bytes: bytes[cut...]))
                try? await client.closeSending()
                _ = await client.receiveAll()
            }
            let begun = server.handler.begun.count
            #expect(await server.handler.outcomes(begun).count == begun)
            let answer = try await server.exchange("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
        }
    }

    private static func mutate(_ seed: [UInt8], with random: inout SeededGenerator) -> [UInt8] {
        var bytes = seed
        let alphabet: [UInt8] = Array("\r\n\0 \t:;,0129afPGHh\u{7f}/*#".utf8) + [0x80, 0xFF]
        for _ in 0...random.below(4) {
            let place = random.below(bytes.count)
            let byte = random.pick(alphabet)
            switch random.below(4) {
            case 0: bytes[place] = byte
            case 1: bytes.insert(byte, at: place)
            case 2: bytes.remove(at: place)
            default: bytes.replaceSubrange(place..<place, with: bytes[place..<min(place + 8, bytes.count)])
            }
        }
        return bytes
    }
}
