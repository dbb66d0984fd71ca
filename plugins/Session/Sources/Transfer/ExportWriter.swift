import Conversations
import NIOCore
import OpenAIWire
import Persistence
import Synchronization
import TurnpikeKit

/// Writes an export piece by piece: sessions newest first, the messages of each oldest first.
///
/// A piece is one page of sessions' heads or of messages. What is written meanwhile may be in it or not; what was there
/// when the export began is.
final class ExportWriter: Sendable {
    private enum Place {
        case beginning
        case sessions
        /// At the messages of the first of the sessions that were read, behind a seq.
        case messages(after: Int64)
        case end
    }

    private struct State {
        var place = Place.beginning
        var sessions: ArraySlice<Session> = []
        var cursor: SessionCursor?
        var isFirst = true
        var isExhausted = false
    }

    private let store: ConversationStore
    private let owner: UniqueID
    /// Only this session; nil: all of the user.
    private let only: Session?
    private let form: any ExportForm
    private let held: BufferReservation
    private let state = Mutex(State())

    /// Most messages of one piece, and most bytes of their bodies (one message is given whatever its length).
    private static let messagesPerPiece = 256
    private static let bytesPerPiece = 256 << 10
    private static let sessionsPerPage = 64

    /// - Parameter held: Counts the bodies of a piece until the next one.
    init(
        _ store: ConversationStore, owner: UniqueID, only: Session?, form: any ExportForm,
        counting held: BufferReservation
    ) {
        self.store = store
        self.owner = owner
        self.only = only
        self.form = form
        self.held = held
    }

    /// The next piece; nil at the end. Called by one task at a time.
    func next() async throws -> ByteBuffer? {
        while true {
            let state = state.withLock { $0 }
            switch state.place {
            case .beginning:
                self.state.withLock { $0.place = .sessions }
                return form.beginning
            case .sessions:
                if let session = state.sessions.first { return try await begin(session, isFirst: state.isFirst) }
                guard !state.isExhausted else {
                    self.state.withLock { $0.place = .end }
                    return form.end
                }
                try await readSessions(behind: state.cursor)
            case .messages(let seq):
                guard let session = state.sessions.first else { return nil }
                return try await messages(of: session, after: seq)
            case .end: return nil
            }
        }
    }

    private func readSessions(behind cursor: SessionCursor?) async throws {
        let owner = owner
        let page: [Session]
        if let only {
            page = [only]
        } else {
            let query = SessionQuery(limit: Self.sessionsPerPage, after: cursor)
            page = try await store.read { try $0.sessions(of: owner, query).elements }
        }
        state.withLock { state in
            state.sessions = page[...]
            state.cursor = page.last.map(SessionCursor.init)
            state.isExhausted = only != nil || page.isEmpty
        }
    }

    private func begin(_ session: Session, isFirst: Bool) async throws -> ByteBuffer {
        let (system, feedback) = try await store.read(counting: held) { reader in
            (try reader.system(session.key), try reader.feedback(of: session.key, seq: nil))
        }
        let piece = try await write { [form] in
            form.beginning(of: session, system: system?.body, feedback, isFirst: isFirst)
        }
        state.withLock { state in
            state.isFirst = false
            state.place = .messages(after: 0)
        }
        return piece
    }

    /// Writes what was just read, with its copies counted.
    private func write(_ piece: @escaping @Sendable () -> ByteBuffer) async throws -> ByteBuffer {
        let shown = MessageObject.copies * held.bytes
        try held.take(shown)
        return try await BodyWork.run(on: shown, piece)
    }

    private func messages(of session: Session, after seq: Int64) async throws -> ByteBuffer {
        var query = MessageQuery(limit: Self.messagesPerPiece)
        query.after = seq
        query.maximumBytes = Self.bytesPerPiece
        let (found, feedback) = try await store.read(counting: held) { [query] reader in
            let found = try reader.messages(of: session.key, query)
            guard let last = found.elements.last?.seq else { return (found, [Int64: Feedback]()) }
            let feedback = try reader.feedback(of: session.key, in: seq + 1...last)
            return (found, Dictionary(feedback.map { ($0.seq ?? 0, $0) }) { $1 })
        }
        let page = found.elements
        let isLast = page.count < Self.messagesPerPiece && !found.isCut
        let piece = try await write { [form] in
            var piece = ByteBuffer()
            for (index, message) in page.enumerated() {
                form.write(
                    message, feedback[message.seq], of: session, isFirst: seq == 0 && index == 0, to: &piece)
            }
            if isLast { form.writeEnd(of: session, to: &piece) }
            return piece
        }
        state.withLock { state in
            if isLast { _ = state.sessions.popFirst() }
            state.place = isLast ? .sessions : .messages(after: page.last?.seq ?? seq)
        }
        return piece
    }
}

/// How an export looks.
protocol ExportForm: Sendable {
    var contentType: String { get }
    var beginning: ByteBuffer { get }
    var end: ByteBuffer { get }
    func beginning(of session: Session, system: ByteBuffer?, _ feedback: Feedback?, isFirst: Bool) -> ByteBuffer
    func write(
        _ message: StoredMessage, _ feedback: Feedback?, of session: Session, isFirst: Bool, to piece: inout ByteBuffer)
    func writeEnd(of session: Session, to piece: inout ByteBuffer)
}

/// `{"object":"chat.export","version":1,"sessions":[{…,"system":[…],"messages":[…]}]}`: what import reads.
struct JSONExport: ExportForm {
    let contentType = "application/json"
    let beginning = ByteBuffer(string: #"{"object":"chat.export","version":1,"sessions":["#)
    let end = ByteBuffer(string: "]}")
    private let object = SessionObject(defaultTitle: SessionConfiguration.defaultTitle)

    func beginning(of session: Session, system: ByteBuffer?, _ feedback: Feedback?, isFirst: Bool) -> ByteBuffer {
        var piece = ByteBuffer(string: isFirst ? "" : ",")
        // The session's object goes on with its messages.
        piece.writeUnclosed(object.json(session))
        if let feedback { piece.writeMember(feedback, of: session.key) }
        piece.writeString(#","system":"#)
        piece.writeImmutableBuffer(system ?? ByteBuffer(string: "[]"))
        piece.writeString(#","messages":["#)
        return piece
    }

    func write(
        _ message: StoredMessage, _ feedback: Feedback?, of session: Session, isFirst: Bool, to piece: inout ByteBuffer
    ) {
        if !isFirst { piece.writeString(",") }
        piece.writeUnclosed(MessageObject(message).json(of: session.key))
        if let feedback { piece.writeMember(feedback, of: session.key) }
        piece.writeString("}")
    }

    func writeEnd(of session: Session, to piece: inout ByteBuffer) { piece.writeString("]}") }
}

extension ByteBuffer {
    /// An object without its last brace, so that members can follow.
    fileprivate mutating func writeUnclosed(_ object: ByteBuffer) {
        writeImmutableBuffer(object)
        moveWriterIndex(to: writerIndex - 1)
    }

    fileprivate mutating func writeMember(_ feedback: Feedback, of session: SessionKey) {
        writeString(#","feedback":"#)
        writeImmutableBuffer(FeedbackObject.json(feedback, of: session))
    }
}

/// For people: a heading for each session, another for each message. ``MarkdownReader`` reads it.
struct MarkdownExport: ExportForm {
    let contentType = "text/markdown; charset=utf-8"
    let beginning = ByteBuffer()
    let end = ByteBuffer()
    private let object = SessionObject(defaultTitle: SessionConfiguration.defaultTitle)

    func beginning(of session: Session, system: ByteBuffer?, _ feedback: Feedback?, isFirst: Bool) -> ByteBuffer {
        let title = object.title(session).split(whereSeparator: \.isNewline).joined(separator: " ")
        var text = (isFirst ? "" : "\n\(MarkdownText.separator)\n\n") + "# \(title)\n\n"
        text += "\(session.printedID), \(ISOTime.text(session.createdAt))\n"
        for message in (system.flatMap { try? JSONArray.elements(of: $0) }) ?? [] {
            let role = (try? JSONObject(scanning: message.bytes))?["role"]?.string ?? "system"
            text += Self.message(role, nil, message.bytes)
        }
        return ByteBuffer(string: text)
    }

    func write(
        _ message: StoredMessage, _ feedback: Feedback?, of session: Session, isFirst: Bool, to piece: inout ByteBuffer
    ) {
        piece.writeString(Self.message(MessageObject(message).role, message.createdAt, message.body))
    }

    private static func message(_ role: String, _ time: Timestamp?, _ body: ByteBuffer) -> String {
        "\n\(MarkdownText.heading(role: role, time))\n\n\(MarkdownText.escaped(MessageText.of(body)))\n"
    }

    func writeEnd(of session: Session, to piece: inout ByteBuffer) {}
}
