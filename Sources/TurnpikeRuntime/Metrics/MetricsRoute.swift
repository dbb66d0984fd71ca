import NIOCore
import NIOHTTP1
package import TurnpikeKit

/// `GET /metrics` for Prometheus: on the administration listener, never on the clients'.
package enum MetricsRoute {
    package static func make(_ registry: MetricRegistry) -> Route {
        Route(.GET, "/metrics", access: .anyone) { _, _, _ in
            Response(
                status: .ok, headers: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8"],
                body: .bytes(ByteBuffer(string: registry.text())))
        }
    }
}
