import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing
import TurnpikeKit

@testable import Upstream

/// The clients that must behave alike.
enum ClientKind: CaseIterable {
    /// What the server uses: over SwiftNIO, as all of these tests' servers speak plain HTTP.
    case selecting
    case curl

    func client(on eventLoop: any EventLoop) throws -> any UpstreamClient & Stoppable {
        let logger = Logger(label: "test")
        switch self {
        case .selecting: return try SelectingUpstreamClient(eventLoops: [eventLoop], logger: logger)
        case .curl: return try CurlUpstreamClient(eventLoops: [eventLoop], logger: logger)
        }
    }
}

protocol Stoppable { func shutdown() async }
extension SelectingUpstreamClient: Stoppable {}
extension CurlUpstreamClient: Stoppable {}

/// A client on one event loop, and a scripted server for it.
struct Fixture: Sendable {
    let kind: ClientKind
    let client: any UpstreamClient & Stoppable
    let server: ScriptedServer
    let eventLoop: any EventLoop

    /// Sends a request to the server's `path`.
    func send(
        _ method: HTTPMethod = .GET, _ path: String = "/", headers: HTTPHeaders = [:], body: RequestBody = .empty,
        connection: UpstreamConnection = .init()
    ) async throws -> Response {
        try await send(
            UpstreamRequest(
                method: method, url: server.url + path, headers: headers, body: body, connection: connection))
    }

    func send(_ request: UpstreamRequest) async throws -> Response {
        let exchange = Exchange(
            head: RequestHead(method: .GET, target: "/"), eventLoop: eventLoop, logger: Logger(label: "test"))
        return try await client.send(request, in: exchange)
    }

    /// The whole body of an answer.
    func body(of response: Response) async throws -> [UInt8] {
        var response = response
        return Array(try await response.collect(upTo: 1 << 30).readableBytesView)
    }
}

/// Runs `test` with each client in turn, against a server of its own that follows `script` on every connection.
func withServer(
    over kinds: [ClientKind] = ClientKind.allCases, _ script: @escaping @Sendable (ServerConnection) throws -> Void,
    _ test: (Fixture) async throws -> Void
) async throws {
    for kind in kinds {
        do {
            try await withServer(over: kind, script, test)
        } catch {
            Issue.record(error, "over the \(kind) client")
        }
    }
}

private func withServer(
    over kind: ClientKind, _ script: @escaping @Sendable (ServerConnection) throws -> Void,
    _ test: (Fixture) async throws -> Void
) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let server = try ScriptedServer(script)
    let client = try kind.client(on: group.next())
    let result: Result<Void, any Error>
    do {
        try await test(Fixture(kind: kind, client: client, server: server, eventLoop: group.next()))
        result = .success(())
    } catch {
        result = .failure(error)
    }
    await client.shutdown()
    server.stop()
    try await group.shutdownGracefully()
    try result.get()
}

/// An event that a test waits for. Values queue up.
struct Signal<Value: Sendable>: Sendable {
    private let stream: AsyncStream<Value>
    private let continuation: AsyncStream<Value>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func send(_ value: Value) { continuation.yield(value) }
    func wait() async throws -> Value {
        var iterator = stream.makeAsyncIterator()
        return try #require(await iterator.next(isolation: #isolation))
    }
}

extension Signal where Value == Void {
    func send() { send(()) }
}

/// A sink that records and reports everything.
final class RecordingSink: BodySink {
    enum Event: Sendable {
        case bytes(ByteBuffer)
        case end(BodyEnd)
    }

    let events = Signal<Event>()
    private let state = Mutex<(bytes: [UInt8], pieces: Int)>(([], 0))
    private let onFirst: @Sendable () -> Void

    init(onFirst: @escaping @Sendable () -> Void = {}) { self.onFirst = onFirst }

    var bytes: [UInt8] { state.withLock { $0.bytes } }
    var pieceCount: Int { state.withLock { $0.pieces } }

    func receive(_ bytes: ByteBuffer) {
        // Before anybody who waits for the bytes goes on.
        if state.withLock({ $0.pieces }) == 0 { onFirst() }
        state.withLock { state in
            state.bytes += bytes.readableBytesView
            state.pieces += 1
        }
        events.send(.bytes(bytes))
    }

    func end(_ end: BodyEnd) { events.send(.end(end)) }

    /// Waits for the end; `nil` when it was complete.
    func failure() async throws -> GatewayError? {
        while true {
            switch try await events.wait() {
            case .bytes: continue
            case .end(.complete): return nil
            case .end(.failed(let error)): return error
            }
        }
    }

    /// Waits until at least `count` bytes are there.
    func received(_ count: Int) async throws {
        while bytes.count < count {
            if case .end = try await events.wait() { throw ServerConnection.Failure() }
        }
    }
}

extension Response {
    /// The body as a stream; a test that asks expects one.
    func stream() throws -> any BodySource {
        guard case .stream(let source) = body else { throw ServerConnection.Failure() }
        return source
    }
}

/// What `send` or reading the body threw.
func gatewayError(_ body: () async throws -> Void) async throws -> GatewayError {
    do {
        try await body()
    } catch {
        return try #require(error as? GatewayError)
    }
    Issue.record("nothing was thrown")
    throw ServerConnection.Failure()
}

/// Bytes whose period is a prime, so that a piece in the wrong place shows.
func pattern(_ count: Int) -> [UInt8] {
    var value: UInt32 = 12345
    let period = (0..<65_521).map { _ in
        value = value &* 1_664_525 &+ 1_013_904_223
        return UInt8(truncatingIfNeeded: value >> 24)
    }
    var bytes: [UInt8] = []
    while bytes.count < count { bytes += period }
    return Array(bytes[..<count])
}

let okHello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
