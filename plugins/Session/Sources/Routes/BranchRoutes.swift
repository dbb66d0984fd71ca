import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// The branches that a conversation left when a question was edited or an answer was made anew, and the way back to one.
struct BranchRoutes: Sendable {
    let store: ConversationStore
    let configuration: SessionConfiguration

    var all: [Route] {
        SessionRoutes.atBothBases { base, suffix in
            let branches = base + "/sessions/{id}/branches"
            return [
                Route(.GET, branches) { request, place, exchange in try await list(place, request, exchange) }
                    .described(BranchDescriptions.list(suffix)),
                Route(.GET, branches + "/{branch}") { request, place, exchange in
                    try await messages(place, request, exchange)
                }.described(BranchDescriptions.messages(suffix)),
                Route(.POST, branches + "/{branch}/restore") { _, place, exchange in
                    try await restore(place, exchange)
                }.described(BranchDescriptions.restore(suffix)),
            ]
        }
    }

    private func list(_ place: RouteParameters, _ request: Request, _ exchange: Exchange) async throws -> Response {
        try await OwnedSessions(store, configuration, exchange).page(of: place["id"], request.head, as: Self.json) {
            reader, key, page in try reader.branches(of: key, limit: page.limit, offset: page.offset)
        }
    }

    private func messages(_ place: RouteParameters, _ request: Request, _ exchange: Exchange) async throws -> Response {
        let page = try PageRequest(request.head)
        let key = try await session(place, exchange).key
        let branch = try branch(place)
        let held = exchange.reservation()
        exchange.keepToEnd(held)
        let found = try await store.read(counting: held) {
            try $0.messages(ofBranch: branch, key, limit: page.limit, offset: page.offset)
        }
        guard let found else { throw GatewayError.branchNotFound }
        let shown = MessageObject.copies * held.bytes
        try held.take(shown)
        return .json(try await BodyWork.run(on: shown) { MessageObject.list(found, of: key) })
    }

    private func restore(_ place: RouteParameters, _ exchange: Exchange) async throws -> Response {
        let owned = try OwnedSessions(store, configuration, exchange)
        let key = try await owned.session(place["id"]).key
        let branch = try branch(place)
        let outcome = try await owned.blamingClient {
            try await store.restore(branch: branch, of: key, within: owned.limits.messages)
        }
        switch outcome {
        case .restored(let session):
            let prompt = try await owned.prompt(of: session)
            return .json(
                SessionObject(defaultTitle: SessionConfiguration.defaultTitle).json(session, systemPrompt: prompt))
        case .noSuchSession: throw GatewayError.sessionNotFound
        case .noSuchBranch: throw GatewayError.branchNotFound
        }
    }

    private func session(_ place: RouteParameters, _ exchange: Exchange) async throws -> Session {
        try await OwnedSessions(store, configuration, exchange).session(place["id"])
    }

    private func branch(_ place: RouteParameters) throws(GatewayError) -> Int64 {
        guard let branch = Int64(place["branch"]) else { throw .branchNotFound }
        return branch
    }

    private static func json(_ branch: Branch, _ session: SessionKey) -> ByteBuffer {
        JSONWriter.object { json in
            json.member("id", Int(branch.id))
            json.member("object", "chat.session.branch")
            json.member("session_id", session.printedID)
            json.member("fork_message_id", branch.forkSeq.map { Int($0) })
            json.member("first_message_id", Int(branch.firstSeq))
            json.member("last_message_id", Int(branch.lastSeq))
            json.member("message_count", branch.messageCount)
            json.member("last_message_at", branch.lastMessageAt.seconds)
            json.member("left_at", branch.leftAt?.seconds)
        }
    }
}

extension GatewayError {
    static let branchNotFound = GatewayError(
        .client, .notFound, code: "branch_not_found", "The session has no branch with this id.", param: "branch")
}
