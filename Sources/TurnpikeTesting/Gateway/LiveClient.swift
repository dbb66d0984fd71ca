import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Sends each request over a connection of its own.
struct LiveClient: TestClient {
    /// The path of the server's unix socket.
    let socket: String

    func send(_ request: TestRequest) async throws -> TestAnswer {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(unixDomainSocketPath: socket) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(contentsOf: request.parts)
            return try await Self.receive(inbound, leavesAtHead: request.leavesAtHead)
        }
    }

    private static func receive(
        _ parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>, leavesAtHead: Bool
    ) async throws -> TestAnswer {
        var answer: TestAnswer?
        do {
            for try await part in parts {
                switch part {
                case .head(let head):
                    let begun = TestAnswer(
                        status: Int(head.status.code), headers: head.headers, body: ByteBuffer(), isComplete: false)
                    if leavesAtHead { return begun }
                    answer = begun
                case .body(let bytes): answer?.body.writeImmutableBuffer(bytes)
                case .end:
                    answer?.isComplete = true
                    if let answer { return answer }
                }
            }
        } catch {
            // What breaks off in its middle is an answer that is not complete.
            guard answer != nil else { throw error }
        }
        guard let answer else { throw ChannelError.eof }
        return answer
    }
}

extension TestRequest {
    fileprivate var parts: [HTTPClientRequestPart] {
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: target, headers: complete)
        return [.head(head), .body(.byteBuffer(ByteBuffer(string: body))), .end(nil)]
    }
}
