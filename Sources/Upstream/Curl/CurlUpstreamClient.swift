import CCurl
import Glibc
package import Logging
package import NIOCore
import ServiceLifecycle
package import TurnpikeKit

/// The upstream client over libcurl: one curl thread per event loop.
///
/// The threads run from `init` until `shutdown()`, or until the client is dropped. Either closes all upstream
/// connections; what is open then fails with `server_shutting_down`.
package final class CurlUpstreamClient: UpstreamClient {
    private let shards: [ObjectIdentifier: CurlShard]

    /// Starts a thread for each loop. Exchanges must run on one of these loops. Throws what the operating system says
    /// when there are no threads or descriptors left.
    package init(eventLoops: some Sequence<any EventLoop>, logger: Logger) throws {
        CurlLibrary.initialize
        var shards: [ObjectIdentifier: CurlShard] = [:]
        do {
            for eventLoop in eventLoops {
                let shard = try CurlShard(eventLoop: eventLoop, name: "curl-\(shards.count)")
                shards[ObjectIdentifier(eventLoop)] = shard
            }
        } catch {
            for shard in shards.values { shard.stop() }
            throw error
        }
        self.shards = shards
        logger.debug("The upstream client has started.", metadata: ["threads": "\(shards.count)"])
    }

    deinit {
        for shard in shards.values { shard.stop() }
    }

    package func send(_ request: UpstreamRequest, in exchange: Exchange) async throws -> Response {
        guard let shard = shards[ObjectIdentifier(exchange.eventLoop)] else {
            preconditionFailure("The exchange runs on an event loop that the upstream client was not made for.")
        }
        return try await transfer(for: request, on: shard).response()
    }

    private func transfer(for request: UpstreamRequest, on shard: CurlShard) throws -> UpstreamTransfer {
        switch try request.body.takeContent() {
        case .bytes(let bytes):
            let body: OutgoingBody = bytes.readableBytes == 0 ? .none : .bytes(bytes)
            return UpstreamTransfer(try PreparedRequest(request, body: body), upload: nil, shard: shard)
        case .stream(let source, let length):
            do {
                let prepared = try PreparedRequest(request, body: .stream(length: length))
                return UpstreamTransfer(prepared, upload: UploadPipe(source, length: length), shard: shard)
            } catch {
                shard.onLoop { source.cancel() }
                throw error
            }
        }
    }

    /// Fails what is open, closes all connections, and returns when the threads have ended.
    package func shutdown() async {
        for shard in shards.values { shard.stop() }
        for shard in shards.values { await shard.stopped() }
    }
}

extension CurlUpstreamClient: Service {
    /// Waits for the end of the service group, then shuts down. Start it before what sends requests, so that it ends after it.
    package func run() async throws {
        try? await gracefulShutdown()
        await shutdown()
    }
}

private enum CurlLibrary {
    /// Once per process: libcurl's own initialisation, and no signal for a socket that its peer has closed.
    static let initialize: Void = {
        guard cc_global_init() == CURLE_OK else { preconditionFailure("libcurl cannot be initialised.") }
        signal(SIGPIPE, SIG_IGN)
    }()
}
