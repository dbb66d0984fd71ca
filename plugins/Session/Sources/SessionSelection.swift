import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import TurnpikeKit

/// Which session a request names, and how it wants its history to be treated.
struct SessionSelection: Sendable, Equatable {
    /// An id that the client gave.
    struct Name: Sendable, Equatable {
        var text: String
        /// It stands in the body or the query, where only an application writes it, and not just in the header.
        var isExplicit: Bool

        var reference: SessionReference { SessionReference(text) }

        /// The same id in any of its forms. Bytes are compared: what only looks the same is another name.
        func isSame(as other: Name) -> Bool {
            text.utf8.elementsEqual(other.text.utf8) || (reference.id != nil && reference.id == other.reference.id)
        }
    }

    var name: Name?
    /// The body's `session` object.
    var conversation: AgentConversation?
    var title: String?
    var sourceChannel: String?
    var mode: HistoryMode?
    /// The part of a longer work that the new messages belong to.
    var chapter: String?
    /// What the request's messages cite, see ``RequestCitations``.
    var citations: [Int: ByteBuffer] = [:]

    var notes: MessageNotes { MessageNotes(chapter: chapter, citations: citations) }

    var namesSession: Bool { name != nil || conversation != nil }

    /// Whether a selection, once it is read, surely names a session that is to be used; false is not certain.
    static func isMade(in body: JSONObject, _ head: RequestHead) -> Bool {
        guard !body.contains("history_mode"), !head.headers.contains(name: "X-History-Mode") else { return false }
        return head.headers.contains(name: "X-Session-ID") || body.nonNull("session_id") != nil
            || body.nonNull("session") != nil
    }

    /// Whether nothing in the request could be about a session; false is not certain.
    static func isAbsent(from body: JSONObject, _ head: RequestHead) -> Bool {
        head.query == nil && !ChatRequest.extensionFields.contains(where: body.contains) && !hasHeader(head.headers)
    }

    private static func hasHeader(_ headers: HTTPHeaders) -> Bool {
        headers.contains { name, _ in
            switch name.utf8.count {
            case 12: name.equalsIgnoringCase("x-session-id")
            case 14: name.equalsIgnoringCase("x-history-mode")
            default: false
            }
        }
    }

    /// Reads body, header and query; two that differ are an error.
    init(_ body: JSONObject, _ head: RequestHead) throws(GatewayError) {
        var names = Names()
        if let text = try Self.string(body, "session_id") {
            names.add(Name(text: try SessionName.check(text, "session_id"), isExplicit: true))
        }
        name = try Self.one(names, head)
        if let object = try Self.object(body, "session") { try read(object) }
        mode = try Self.mode(body, head)
        if namesSession { chapter = try Self.chapter(body) }
    }

    /// The session that query and header name; two that differ are an error.
    static func name(_ head: RequestHead) throws(GatewayError) -> Name? { try one(Names(), head) }

    /// The first of all names, and the first that means another session.
    private struct Names {
        private(set) var first: Name?
        private(set) var other: Name?

        mutating func add(_ name: Name) {
            guard let first else { return first = name }
            if other == nil, !name.isSame(as: first) { other = name }
        }
    }

    /// - Parameter names: those of the body.
    private static func one(_ names: Names, _ head: RequestHead) throws(GatewayError) -> Name? {
        var names = names
        for text in try head.target.queryValues("session_id") {
            names.add(Name(text: try SessionName.check(text, "session_id"), isExplicit: true))
        }
        for text in head.headers["X-Session-ID"] {
            names.add(Name(text: try SessionName.check(text, "X-Session-ID"), isExplicit: false))
        }
        if let other = names.other {
            throw conflict("“\(other.isExplicit ? "session_id" : "X-Session-ID")” names another session.")
        }
        return names.first
    }

    private mutating func read(_ object: JSONObject) throws(GatewayError) {
        conversation = try AgentConversation(object, within: "session.")
        title = try Self.string(object, "title", as: "session.title")
        sourceChannel = try Self.string(object, "source_channel", as: "session.source_channel")
    }

    /// The session to be made, if there is none.
    func draft(owner: UniqueID) -> SessionDraft {
        var draft = SessionDraft(owner: owner, externalID: name?.text, conversation: conversation)
        draft.settings.title = title ?? ""
        draft.settings.sourceChannel = sourceChannel
        return draft
    }

    /// Refuses a session that is not the conversation which the request names beside its id.
    func check(_ session: Session) throws(GatewayError) {
        guard let conversation else { return }
        guard let other = session.conversation, conversation.agentID.utf8.elementsEqual(other.agentID.utf8),
            (conversation.externalID ?? "").utf8.elementsEqual((other.externalID ?? "").utf8)
        else { throw Self.conflict("“session” names another conversation than the id does.") }
    }

    /// The same for a session that was found while one with that id was to be made.
    func check(_ session: Session, isNamed name: Name) throws(GatewayError) {
        guard let id = session.externalID, id.utf8.elementsEqual(name.text.utf8) else {
            throw Self.conflict("“session” names a conversation that has another id.")
        }
        try check(session)
    }

    private static func conflict(_ message: String) -> GatewayError {
        .badRequest("session_conflict", "The request names two sessions: \(message)", param: "session_id")
    }
}

// MARK: - Reading

extension SessionSelection {
    private static func mode(_ body: JSONObject, _ head: RequestHead) throws(GatewayError) -> HistoryMode? {
        let header = head.headers["X-History-Mode"]
        let written = try string(body, "history_mode")
        let modes = (written.map { [$0] } ?? []) + header
        guard let text = modes.first else { return nil }
        guard let mode = HistoryMode(rawValue: text), modes.allSatisfy({ HistoryMode(rawValue: $0) != nil }) else {
            let known = HistoryMode.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badRequest("invalid_value", "The history mode is one of \(known).", param: "history_mode")
        }
        guard modes.allSatisfy({ $0 == text }) else {
            throw .badRequest(
                "invalid_value", "history_mode and X-History-Mode name different history modes.", param: "history_mode")
        }
        return mode
    }

    private static func chapter(_ body: JSONObject) throws(GatewayError) -> String? {
        guard let chapter = try string(body, "chapter") else { return nil }
        guard !chapter.isEmpty, chapter.unicodeScalars.count <= 200 else {
            throw .badRequest("invalid_value", "A chapter has 1 to 200 characters.", param: "chapter")
        }
        return chapter
    }

    static func string(_ object: JSONObject, _ key: String, as param: String? = nil) throws(GatewayError) -> String? {
        try GatewayError.blamingClient { () throws(WireError) in try object.string(key, as: param) }
    }

    static func object(_ object: JSONObject, _ key: String) throws(GatewayError) -> JSONObject? {
        try GatewayError.blamingClient { () throws(WireError) in try object.members(key) }
    }
}

extension AgentConversation {
    /// Reads what names a conversation of an agent; its id must be there.
    init(_ object: JSONObject, within prefix: String = "") throws(GatewayError) {
        func string(_ key: String) throws(GatewayError) -> String? {
            try SessionSelection.string(object, key, as: prefix + key)
        }
        guard let externalID = try string("external_conv_id") else {
            throw GatewayError(wire: .missing(prefix + "external_conv_id"))
        }
        guard !externalID.isEmpty else {
            throw .badRequest(
                "invalid_value", "“\(prefix)external_conv_id” names the conversation.",
                param: prefix + "external_conv_id")
        }
        self.init(agentID: try string("agent_id") ?? "", externalID: externalID)
        isGroup =
            try GatewayError.blamingClient { () throws(WireError) in
                try object.bool("is_group", as: prefix + "is_group")
            } ?? false
        groupName = try string("group_name")
        participantID = try string("participant_id")
        peerAgentID = try string("peer_agent_id")
    }
}

/// The rules for ids that clients choose.
enum SessionName {
    static let maximumBytes = 200

    /// - Throws: 400 for an id that is empty, too long, or holds control characters.
    static func check(_ text: String, _ param: String) throws(GatewayError) -> String {
        guard !text.isEmpty, text.utf8.count <= maximumBytes, isPrintable(text) else {
            throw .badRequest(
                "invalid_session_id", "A session's id has 1 to \(maximumBytes) bytes and no control characters.",
                param: param)
        }
        return text
    }

    private static func isPrintable(_ text: String) -> Bool {
        // Most ids are ASCII.
        let isPlain = text.utf8.withContiguousStorageIfAvailable { $0.allSatisfy { $0 >= 0x20 && $0 < 0x7F } }
        if isPlain ?? false { return true }
        return text.unicodeScalars.allSatisfy { scalar in
            scalar.value >= 0x20 && scalar.value != 0x7F && !(0x80..<0xA0).contains(scalar.value)
        }
    }
}
