package import Logging
package import NIOCore
import ServiceLifecycle
package import TurnpikeKit

/// The upstream client of the server: plain HTTP goes out on the exchange's own event loop, everything else (TLS, proxies,
/// URLs out of the ordinary) over libcurl.
///
/// Lives from `init` until `shutdown()`, or until it is dropped. Either closes all upstream connections; what is open
/// then fails with `server_shutting_down`.
package final class SelectingUpstreamClient: UpstreamClient {
    private let plain: PlainUpstreamClient
    private let curl: CurlUpstreamClient

    /// Exchanges must run on one of these loops. Throws what the operating system says when there are no threads or
    /// descriptors left.
    package init(eventLoops: some Sequence<any EventLoop>, logger: Logger) throws {
        let eventLoops = Array(eventLoops)
        plain = PlainUpstreamClient(eventLoops: eventLoops)
        curl = try CurlUpstreamClient(eventLoops: eventLoops, logger: logger)
    }

    package func send(_ request: UpstreamRequest, in exchange: Exchange) async throws -> Response {
        guard let target = plain.target(of: request, on: exchange.eventLoop) else {
            return try await curl.send(request, in: exchange)
        }
        return try await plain.send(request, to: target, in: exchange)
    }

    /// Fails what is open, closes all connections, and returns when nothing is left.
    package func shutdown() async {
        await plain.shutdown()
        await curl.shutdown()
    }
}

extension SelectingUpstreamClient: Service {
    /// Waits for the end of the service group, then shuts down. Start it before what sends requests, so that it ends after it.
    package func run() async throws {
        try? await gracefulShutdown()
        await shutdown()
    }
}
