import NIOHTTP1
import Persistence
import TurnpikeKit

/// `GET /v1/activity` and `GET /v1/activity/stats`: a user's own exchanges, and nobody else's.
struct ActivityRoutes: Sendable {
    static let defaultLimit = 50
    static let maximumLimit = 200
    private static let secondsPerDay: Int64 = 86_400
    /// How far back sums may reach: they read every row in between.
    private static let maximumDays: Int64 = 92

    let log: ActivityLog
    let clock: GatewayClock

    var all: [Route] {
        [
            Route(.GET, "/v1/activity") { request, _, exchange in try await list(request, exchange) }
                .described(ActivityDescriptions.list),
            Route(.GET, "/v1/activity/stats") { request, _, exchange in try await statistics(request, exchange) }
                .described(ActivityDescriptions.statistics),
        ]
    }

    private func list(_ request: Request, _ exchange: Exchange) async throws -> Response {
        let user = try owner(exchange)
        let limit = try limit(request.head)
        let cursor = try cursor(request.head)
        let (rows, more) = try await reading { try await log.entries(of: user, before: cursor, limit: limit) }
        return .json(ActivityJSON.list(rows, hasMore: more))
    }

    private func statistics(_ request: Request, _ exchange: Exchange) async throws -> Response {
        let user = try owner(exchange)
        let since = try since(request.head)
        let statistics = try await reading { try await log.statistics(of: user, since: since) }
        return .json(ActivityJSON.statistics(statistics, since: since))
    }

    /// The dispatcher lets nobody in without a principal; if it ever does, nothing is shown.
    private func owner(_ exchange: Exchange) throws -> UniqueID {
        guard let principal = exchange[PrincipalKey.self] else {
            throw GatewayError.internalError("an activity route was reached without a principal")
        }
        return principal.userID
    }

    private func limit(_ head: RequestHead) throws -> Int {
        guard let text = head.queryItem("limit") else { return Self.defaultLimit }
        guard let limit = Int(text), (1...Self.maximumLimit).contains(limit) else {
            throw GatewayError.badRequest(
                "invalid_limit", "limit is a number from 1 to \(Self.maximumLimit).", param: "limit")
        }
        return limit
    }

    private func cursor(_ head: RequestHead) throws -> ActivityLog.Cursor? {
        guard let text = head.queryItem("before") else { return nil }
        guard let cursor = ActivityLog.Cursor(text) else {
            throw GatewayError.badRequest(
                "invalid_cursor", "before is the next_before of an earlier answer.", param: "before")
        }
        return cursor
    }

    private func since(_ head: RequestHead) throws -> Timestamp {
        let now = clock.wallMicroseconds() / 1_000_000
        guard let text = head.queryItem("since") else { return seconds(now - Self.secondsPerDay) }
        guard let since = Int64(text), since <= now, since >= now - Self.maximumDays * Self.secondsPerDay else {
            throw GatewayError.badRequest(
                "invalid_since", "since is in Unix seconds, at most \(Self.maximumDays) days ago.", param: "since")
        }
        return seconds(since)
    }

    private func seconds(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

    private func reading<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as DatabaseError {
            throw GatewayError.unavailable(
                "activity_unavailable", "The activity log cannot be read at the moment.",
                detail: String(reflecting: error))
        }
    }
}

extension ActivityLog.Cursor {
    /// `<microseconds>_<id>`, as `text` writes it.
    init?(_ text: String) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 2, let created = Int64(parts[0]), let id = UniqueID(String(parts[1])) else { return nil }
        self.init(created: Timestamp(microseconds: created), id: id)
    }

    var text: String { "\(created.microseconds)_\(id)" }
}
