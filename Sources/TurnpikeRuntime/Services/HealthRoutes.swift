import NIOCore
import NIOHTTP1
import OpenAIWire
package import TurnpikeKit

/// `/healthz` and `/readyz`, for those who run Turnpike: no key, no activity row.
package enum HealthRoutes {
    /// `healthz` says that the process answers, `readyz` that it can do its work.
    package static func all(_ readiness: Readiness) -> [Route] {
        [
            Route(.GET, "/healthz", access: .anyone) { _, _, _ in .json(status("ok")) },
            Route(.GET, "/readyz", access: .anyone) { _, _, _ in
                let missing = readiness.missingParts
                return missing.isEmpty
                    ? .json(status("ready")) : .json(status("not ready", missing: missing), status: .serviceUnavailable)
            },
        ]
    }

    private static func status(_ word: String, missing: [String] = []) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("status", word)
            if !missing.isEmpty {
                json.array("waiting_for") { parts in
                    for part in missing { parts.element(part) }
                }
            }
        }
    }
}
