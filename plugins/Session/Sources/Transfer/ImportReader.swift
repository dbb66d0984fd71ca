import Conversations
import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

/// Stores what an export holds as new sessions of the user, each in one transaction.
struct ImportReader {
    let owned: OwnedSessions

    /// Reads all of a file before any of it is stored: what cannot be read leaves nothing behind.
    static func read(_ body: ByteBuffer, for owner: UniqueID) throws -> [ImportedSession] {
        guard let elements = try RequestFields(body).elements("sessions") else {
            throw GatewayError(wire: .missing("sessions"))
        }
        return try elements.enumerated().map { try ImportedSession($1, of: owner, param: "sessions[\($0)]") }
    }

    /// - Returns: What became of each session, in the order of the file, and how many messages they have.
    func store(_ read: [ImportedSession]) async throws -> (sessions: [Imported], messages: Int) {
        var imports = read
        try await owned.check(adding: imports)
        // Of sessions with one name the first of the file keeps it.
        var names = TakenNames()
        for index in imports.indices { names.take(from: &imports[index].whole.draft) }
        try owned.validate(imports.map(\.whole))
        // An export has the newest first: made last, it is the newest again.
        var sessions: [Imported] = []
        for element in imports.reversed() {
            sessions.append(Imported(former: element.former, session: try await owned.store(element.whole)))
        }
        return (sessions.reversed(), imports.reduce(0) { $0 + $1.messageCount })
    }
}

/// What became of a session of an import.
struct Imported: Sendable {
    var former: FormerName
    var session: Session
}

/// What a session was called where it comes from.
struct FormerName: Sendable {
    /// The id that a server made.
    var id: String?
    var externalID: String?
    var conversation: String?
}

/// Names that a file gives to sessions, by their bytes.
private struct TakenNames {
    private var ids: Set<[UInt8]> = []
    private var conversations: Set<[[UInt8]]> = []

    mutating func take(from draft: inout SessionDraft) {
        if let id = draft.externalID, !ids.insert(Array(id.utf8)).inserted { draft.externalID = nil }
        guard let conversation = draft.conversation, let id = conversation.externalID else { return }
        if !conversations.insert([Array(conversation.agentID.utf8), Array(id.utf8)]).inserted {
            draft.conversation?.externalID = nil
        }
    }
}

extension OwnedSessions {
    /// Refuses what could not be stored: one session that is wrong would leave those before it behind.
    fileprivate func validate(_ imports: [SessionImport]) throws {
        do {
            for whole in imports { try whole.validate() }
        } catch let error as ConversationError {
            throw GatewayError(error)
        }
    }

    /// Refuses an import that would be too much, before any of it is stored.
    fileprivate func check(adding imports: [ImportedSession]) async throws {
        let limit = limits.messages.perSession
        if let limit, imports.contains(where: { $0.messageCount > limit }) {
            throw GatewayError(.tooManyMessages(limit: limit, of: .session))
        }
        try await blamingClient {
            try await store.check(
                owner, adding: imports.count, maximum: limits.maximumSessions,
                messages: imports.reduce(0) { $0 + $1.messageCount }, within: limits.messages)
        }
    }

    fileprivate func store(_ whole: SessionImport) async throws -> Session {
        var whole = whole
        limits.apply(to: &whole.draft)
        let (store, limited) = (store, whole)
        return try await blamingClient { try await store.create(limited, within: limits.messages) }
    }
}
