import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A TCP or unix-socket client that knows no HTTP: it sends the bytes it is given and shows the bytes it received.
final class RawClient: Sendable {
    private let channel: any Channel
    private let received: Received

    static func connect(
        to address: SocketAddress, autoRead: Bool = true, tls: NIOSSLContext? = nil
    ) async throws -> RawClient {
        let received = Received()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: autoRead)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 << 10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let handler = try NIOSSLClientHandler(context: tls, serverHostname: "localhost")
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    try channel.pipeline.syncOperations.addHandler(received.makeHandler())
                }
            }
            .connect(to: address).get()
        return RawClient(channel, received)
    }

    private init(_ channel: any Channel, _ received: Received) {
        self.channel = channel
        self.received = received
    }

    func send(_ text: String) async throws { try await send(ByteBuffer(string: text)) }
    func send(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

    /// Sends without waiting for the kernel to take everything: for bodies that nobody reads.
    func sendWithoutWaiting(_ bytes: ByteBuffer) { channel.writeAndFlush(bytes, promise: nil) }

    /// Sends each byte by itself.
    func sendByteByByte(_ text: String) async throws {
        // The server may close while it is fed: what it answered is what counts.
        for byte in text.utf8 { try? await channel.writeAndFlush(ByteBuffer(bytes: [byte])) }
    }

    func setReading(_ isReading: Bool) async throws { try await channel.setOption(.autoRead, value: isReading).get() }

    /// What has been received once `condition` holds; fails the wait when the server closed before.
    func receive(until condition: @escaping @Sendable (String) -> Bool) async throws -> String {
        try await received.wait(until: condition)
    }

    /// Everything up to the server's end of stream.
    func receiveAll() async -> String { await received.waitForEnd() }

    /// Makes `close` send a reset instead of an end of stream.
    func resetOnClose() async throws {
        guard let options = channel as? any SocketOptionProvider else { return }
        try await options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
    }

    func close() async throws {
        // A server that closes at the same moment is no failure of the test.
        do { try await channel.close() } catch ChannelError.alreadyClosed {} catch NIOSSLError.uncleanShutdown {}
    }
    func closeSending() async throws { try await channel.close(mode: .output) }

    struct EndedEarly: Error { let received: String }
}

/// What a client received, and who waits for it.
private final class Received: Sendable {
    private struct State {
        var bytes = ByteBuffer()
        var isAtEnd = false
        var waiters: [(@Sendable (String) -> Bool, CheckedContinuation<String, any Error>)] = []
        var enders: [CheckedContinuation<String, Never>] = []
    }
    private let state = Mutex(State())

    func makeHandler() -> Handler { Handler(self) }

    func wait(until condition: @escaping @Sendable (String) -> Bool) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            change { $0.waiters.append((condition, continuation)) }
        }
    }

    func waitForEnd() async -> String {
        await withCheckedContinuation { continuation in change { $0.enders.append(continuation) } }
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { state in
            body(&state)
            guard !state.waiters.isEmpty || !state.enders.isEmpty else { return }
            let text = String(buffer: state.bytes)
            let isAtEnd = state.isAtEnd
            state.waiters.removeAll { condition, continuation in
                if condition(text) {
                    continuation.resume(returning: text)
                } else if isAtEnd {
                    continuation.resume(throwing: RawClient.EndedEarly(received: text))
                } else {
                    return false
                }
                return true
            }
            guard isAtEnd else { return }
            for ender in state.enders { ender.resume(returning: text) }
            state.enders = []
        }
    }

    final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let received: Received
        init(_ received: Received) { self.received = received }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            received.change { $0.bytes.writeImmutableBuffer(bytes) }
        }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            guard case .inputClosed? = event as? ChannelEvent else { return }
            received.change { $0.isAtEnd = true }
            context.close(promise: nil)
        }
        func channelInactive(context: ChannelHandlerContext) { received.change { $0.isAtEnd = true } }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
