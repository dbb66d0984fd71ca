import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// What a user thinks of a session or a message in it, and what all of that adds up to.
struct FeedbackRoutes: Sendable {
    let store: ConversationStore
    let configuration: SessionConfiguration
    let bodyLimit: Int

    var all: [Route] {
        SessionRoutes.atBothBases { base, suffix in
            let session = base + "/sessions/{id}"
            return feedback(session + "/feedback", "Session" + suffix)
                + feedback(session + "/messages/{message_id}/feedback", "Message" + suffix) + sums(base, suffix)
        }
    }

    private func feedback(_ path: String, _ suffix: String) -> [Route] {
        [
            Route(.POST, path) { request, place, exchange in try await set(place, request, exchange) }
                .described(FeedbackDescriptions.set("give", suffix)),
            Route(.PUT, path) { request, place, exchange in try await set(place, request, exchange) }
                .described(FeedbackDescriptions.set("replace", suffix)),
            Route(.GET, path) { _, place, exchange in try await get(place, exchange) }
                .described(FeedbackDescriptions.get(suffix)),
            Route(.DELETE, path) { _, place, exchange in
                let key = try await session(place, exchange).key
                guard try await store.removeFeedback(of: key, seq: try seq(place)) == .deleted else {
                    throw GatewayError.feedbackNotFound
                }
                return Response(status: .noContent)
            }.described(FeedbackDescriptions.remove(suffix)),
        ]
    }

    private func sums(_ base: String, _ suffix: String) -> [Route] {
        [
            Route(.GET, base + "/stats") { _, _, exchange in
                let owner = try OwnedSessions(store, configuration, exchange).owner
                try await store.expireIfPossible(owner)
                return .json(FeedbackObject.statistics(try await store.read { try $0.statistics(of: owner) }))
            }.described(FeedbackDescriptions.sessionStatistics(suffix)),
            Route(.GET, base + "/feedback/stats") { _, _, exchange in
                let owner = try OwnedSessions(store, configuration, exchange).owner
                return .json(FeedbackObject.statistics(try await store.read { try $0.feedbackStatistics(of: owner) }))
            }.described(FeedbackDescriptions.statistics(suffix)),
            Route(.GET, base + "/sessions/{id}/feedback/all") { request, place, exchange in
                try await list(place, request, exchange)
            }.described(FeedbackDescriptions.list(suffix)),
        ]
    }

    private func session(_ place: RouteParameters, _ exchange: Exchange) async throws -> Session {
        try await OwnedSessions(store, configuration, exchange).session(place["id"])
    }

    /// The message that the path names; nil: the session as a whole.
    private func seq(_ place: RouteParameters) throws -> Int64? {
        place["message_id"].isEmpty ? nil : try MessageName.seq(place["message_id"])
    }

    private func set(_ place: RouteParameters, _ request: Request, _ exchange: Exchange) async throws -> Response {
        let key = try await session(place, exchange).key
        let fields = try await request.read(upTo: bodyLimit) { try RequestFields($0) }
        let feedback = try FeedbackFields.feedback(
            fields, seq: seq(place), at: Timestamp(microseconds: exchange.clock.wallMicroseconds()))
        do {
            guard let stored = try await store.set(feedback, on: key) else { throw GatewayError.messageNotFound }
            return .json(FeedbackObject.json(stored, of: key), status: request.head.method == .POST ? .created : .ok)
        } catch let error as ConversationError {
            throw GatewayError(error)
        }
    }

    private func get(_ place: RouteParameters, _ exchange: Exchange) async throws -> Response {
        let key = try await session(place, exchange).key
        let seq = try seq(place)
        guard let feedback = try await store.read({ try $0.feedback(of: key, seq: seq) }) else {
            throw GatewayError.feedbackNotFound
        }
        return .json(FeedbackObject.json(feedback, of: key))
    }

    private func list(_ place: RouteParameters, _ request: Request, _ exchange: Exchange) async throws -> Response {
        let owned = try OwnedSessions(store, configuration, exchange)
        return try await owned.page(of: place["id"], request.head, as: FeedbackObject.json) { reader, key, page in
            try reader.feedback(of: key, limit: page.limit, offset: page.offset)
        }
    }
}

extension GatewayError {
    static let feedbackNotFound = GatewayError(
        .client, .notFound, code: "feedback_not_found", "There is no feedback on this.")
}
