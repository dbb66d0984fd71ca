package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import ServiceLifecycle
package import TurnpikeKit

/// A listener: accepts connections, turns their requests into exchanges, and stops in order.
///
/// The server binds in `run()` and returns when every exchange is over. On graceful shutdown it accepts no more, closes
/// idle connections, lets running exchanges end within `timeouts.drain` (their answers say `Connection: close`), and
/// breaks the others off: their transformers still end, with the error `server_shutting_down`. When the task is
/// cancelled, running exchanges are broken off at once.
package final class HTTPServer: Service {
    private let configuration: ServerConfiguration
    private let group: any EventLoopGroup
    private let context: ServerContext
    private let onListening: @Sendable (SocketAddress) -> Void

    /// `group` must outlive `run()`; connections are spread over its loops in turn. `budget` bounds all collected bodies
    /// and may be shared by several servers. `onListening` is told the bound address before the first request.
    package init(
        configuration: ServerConfiguration, handler: any ExchangeHandler, group: any EventLoopGroup,
        budget: BufferBudget,
        logger: Logger, onListening: @escaping @Sendable (SocketAddress) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.group = group
        self.onListening = onListening
        context = ServerContext(
            configuration: configuration, handler: handler, budget: budget,
            registry: ConnectionRegistry(limit: configuration.limits.connections), logger: logger)
    }

    /// Connections that are open or have an unfinished exchange.
    package var connectionCount: Int { context.registry.count }

    /// Throws what binding throws, and an error if the listening socket fails while the server runs.
    package func run() async throws {
        let executors = group.makeIterator().map { LoopExecutor($0) }
        let listener = try await bind(executors)
        if let address = listener.localAddress { onListening(address) }
        let reason = await stopReason(listener)
        try? await listener.close()
        await stop(reason)
        for executor in executors { executor.eventLoop.execute { executor.tasks.value.end() } }
        if reason == .listenerFailed { throw ChannelError.eof }
    }

    // MARK: Stopping

    private enum StopReason { case shutdown, cancelled, listenerFailed }

    private func stopReason(_ listener: any Channel) async -> StopReason {
        let (reasons, reason) = AsyncStream.makeStream(of: StopReason.self, bufferingPolicy: .bufferingOldest(1))
        listener.closeFuture.whenComplete { _ in reason.yield(.listenerFailed) }
        return await withGracefulShutdownHandler {
            // A cancelled task sees the end of the stream.
            for await first in reasons { return first }
            return .cancelled
        } onGracefulShutdown: {
            reason.yield(.shutdown)
        }
    }

    private func stop(_ reason: StopReason) async {
        let registry = context.registry
        let loop = group.any()
        registry.drain()
        if reason != .cancelled {
            if await registry.emptied(within: configuration.timeouts.drain, on: loop) == .empty { return }
            context.logger.warning(
                "Exchanges are broken off: they did not end within server.drain_timeout.",
                metadata: ["connections": "\(registry.count)"])
        }
        registry.abort()
        if await registry.emptied(within: configuration.timeouts.abort, on: loop) == .empty { return }
        registry.closeAll()
        if await registry.emptied(within: configuration.timeouts.abort, on: loop) == .timedOut {
            context.logger.error(
                "The server stops with unfinished exchanges.", metadata: ["connections": "\(registry.count)"])
        }
    }

    // MARK: Listening

    private func bind(_ executors: [LoopExecutor]) async throws -> any Channel {
        let tls = try configuration.tls.map { try $0.context() }
        let context = context
        let executors = Dictionary(uniqueKeysWithValues: executors.map { (ObjectIdentifier($0.eventLoop), $0) })
        let bootstrap = bootstrap().childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                guard let executor = executors[ObjectIdentifier(channel.eventLoop)] else {
                    preconditionFailure("A connection belongs to a loop of the server's group.")
                }
                try HTTPServer.configure(channel, tls: tls, context: context, executor: executor)
            }
        }
        switch configuration.address {
        case .host(let host, let port): return try await bootstrap.bind(host: host, port: port).get()
        case .unixSocket(let path):
            return try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        }
    }

    private func bootstrap() -> ServerBootstrap {
        let bytes = configuration.limits.writeBufferBytes
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: bytes / 2, high: bytes))
        switch configuration.address {
        case .unixSocket: return bootstrap
        case .host:
            return bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        }
    }

    private static func configure(
        _ channel: any Channel, tls: NIOSSLContext?, context: ServerContext, executor: LoopExecutor
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = context.configuration.limits.headBytes
        limits.maxHeaderListSize = context.configuration.limits.headBytes
        limits.maxHeaderFieldCount = context.configuration.limits.headerFields
        let connection = ConnectionHandler(server: context, executor: executor)
        try pipeline.addHandler(OpaqueHeadHandler(before: connection, limit: limits.maxHeaderListSize))
        try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: limits)))
        try pipeline.addHandler(connection)
    }
}
