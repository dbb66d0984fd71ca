import NIOCore
import NIOHTTP1
import OpenAIWire
package import TurnpikeKit

/// `/healthz` and `/readyz`, for those who run Turnpike: no key, no activity row.
package enum HealthRoutes {
    /// `healthz` says that the process answers, `readyz` that it can do its work, and if not, why.
    ///
    /// - Parameter givesReasons: Whether `readyz` also says why something is missing and what is to be mended. That
    ///   names
    ///   servers and directories: where operators have a listener of their own, the clients' does without.
    package static func all(_ readiness: Readiness, givesReasons: Bool) -> [Route] {
        [
            Route(.GET, "/healthz", access: .anyone) { _, _, _ in
                .json(JSONWriter.object { $0.member("status", "ok") })
            }.described(
                RouteDescription(
                    "healthz", "Whether the process answers.", answers: [RouteAnswer(200, "Health", "It does.")])),
            Route(.GET, "/readyz", access: .anyone) { _, _, _ in
                let missing = readiness.missing
                return .json(
                    status(missing, readiness.reports, givesReasons),
                    status: missing.isEmpty ? .ok : .serviceUnavailable)
            }.described(
                RouteDescription(
                    "readyz", "Whether the process can do its work.",
                    answers: [
                        RouteAnswer(200, "Readiness", "It can."),
                        RouteAnswer(503, "Readiness", "It waits for something, such as the database."),
                    ])),
        ]
    }

    private static func status(
        _ missing: [Readiness.Missing], _ reports: [Readiness.Report], _ givesReasons: Bool
    ) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("status", missing.isEmpty ? "ready" : "not ready")
            if !missing.isEmpty {
                json.array("waiting_for") { parts in for missing in missing { parts.element(missing.part) } }
                if givesReasons {
                    json.object("reasons") { reasons in
                        for missing in missing { reasons.member(missing.part, missing.reason) }
                    }
                }
            }
            let problems = reports.filter { !$0.problems.isEmpty }
            if givesReasons, !problems.isEmpty {
                json.object("problems") { parts in
                    for report in problems {
                        parts.array(report.part) { list in for problem in report.problems { list.element(problem) } }
                    }
                }
            }
            for report in reports where !report.numbers.isEmpty {
                json.object(report.part) { numbers in
                    for (name, value) in report.numbers { numbers.member(name, value) }
                }
            }
        }
    }
}
