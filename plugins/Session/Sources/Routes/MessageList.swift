import Conversations
import NIOCore
import NIOHTTP1
import OpenAIWire
import Persistence
import Synchronization
import TurnpikeKit

/// A list of messages as an answer that has all of what was asked for, made piece by piece.
///
/// However long the list is, one piece of it is in memory; a list of one piece is an answer of known length. What is
/// written meanwhile may be in it or not; what was there when it began is, once, unless it is superseded meanwhile.
final class MessageList: Sendable {
    fileprivate struct State {
        var query: MessageQuery
        /// How many may still be shown; nil: all.
        var remaining: Int?
        /// How many are asked for at once. It follows what fits into a piece, for what a database has begun to send must
        /// be received.
        var batch = MessageList.firstBatch
        var isBegun = false
        var total = 0
        var lastShown: Int64?
        var isOver = false
    }

    fileprivate static let firstBatch = 128
    fileprivate static let maximumBatch = 1_024
    /// Most bytes of the bodies of a piece; one message is given whatever its length.
    private static let bytesPerPiece = 1 << 20

    private let store: ConversationStore
    private let session: Session
    private let form: MessageListForm
    private let held: BufferReservation
    private let state: Mutex<State>

    /// - Parameters:
    ///   - limit: Most messages; nil: all that the query finds.
    ///   - held: Counts the bodies of a piece until the next one.
    init(
        _ store: ConversationStore, _ session: Session, _ query: MessageQuery, limit: Int?, _ form: MessageListForm,
        counting held: BufferReservation
    ) {
        self.store = store
        self.session = session
        self.form = form
        self.held = held
        var query = query
        query.maximumBytes = Self.bytesPerPiece
        state = Mutex(State(query: query, remaining: limit))
    }

    /// The answer. What fails before its first piece is an error as any other.
    func response(in exchange: Exchange) async throws -> Response {
        exchange.keepToEnd(held)
        let first = try await next() ?? ByteBuffer()
        let (total, isOver) = state.withLock { ($0.total, $0.isOver) }
        var response = Response.json(first)
        if !isOver {
            let body = PulledBody(on: exchange.eventLoop, behind: first) { try await self.next() }
            response.body = .stream(body)
        }
        if form.showsTotalInHeader { response.headers.add(name: "X-Total-Count", value: "\(total)") }
        return response
    }

    /// The next piece; nil at the end. Called by one task at a time.
    private func next() async throws -> ByteBuffer? {
        var state = state.withLock { $0 }
        guard !state.isOver else { return nil }
        // One more than is shown tells whether there are more.
        state.query.limit = min(state.remaining.map { $0 + 1 } ?? .max, state.batch)
        let page = try await store.read(counting: held) { [session, query = state.query] in
            try $0.messages(of: session.key, query)
        }
        let shown = MessageObject.copies * held.bytes
        try held.take(shown)
        let beginning = state.isBegun ? nil : form.beginning
        let isFirst = state.lastShown == nil
        let (messages, end) = state.take(page)
        let piece = try await BodyWork.run(on: shown) { [form, session] in
            form.piece(beginning, messages, of: session.key, isFirst: isFirst, end)
        }
        self.state.withLock { [state] in $0 = state }
        return piece
    }
}

extension MessageList.State {
    /// Goes on behind a page.
    ///
    /// - Returns: Those of its messages that are shown, and how the list ends if it does.
    fileprivate mutating func take(_ page: Page<StoredMessage>) -> (ArraySlice<StoredMessage>, MessageListEnd?) {
        let shown = page.elements.prefix(remaining ?? .max)
        if !isBegun { total = page.total }
        isBegun = true
        remaining = remaining.map { $0 - shown.count }
        lastShown = shown.last?.seq ?? lastShown
        let isLast = page.elements.count < query.limit && !page.isCut
        let hasMore = page.elements.count > shown.count || page.isCut
        isOver = isLast || (remaining == 0 && hasMore)
        // What follows is found by the last message, whatever is stored or superseded meanwhile.
        query.after = lastShown ?? query.after
        query.offset = 0
        query.countsTotal = false
        batch = page.isCut ? shown.count + 1 : min(2 * batch, MessageList.maximumBatch)
        return (shown, isOver ? MessageListEnd(total: total, next: isLast && !hasMore ? nil : lastShown) : nil)
    }
}

/// How a list ended.
struct MessageListEnd: Sendable {
    /// How many messages there are, on other pages too.
    var total: Int
    /// The last one shown, where there are more.
    var next: Int64?
}

/// How a list looks.
struct MessageListForm: Sendable {
    /// What stands before its messages.
    var beginning: ByteBuffer
    /// The number of all messages stands in a header, as there is no place for it in the body.
    var showsTotalInHeader = false
    var message: @Sendable (MessageObject, SessionKey) -> ByteBuffer
    /// What stands behind its messages.
    var end: @Sendable (MessageListEnd) -> ByteBuffer

    /// A bare array.
    static func array(of message: @escaping @Sendable (MessageObject, SessionKey) -> ByteBuffer) -> MessageListForm {
        MessageListForm(beginning: ByteBuffer(string: "["), showsTotalInHeader: true, message: message) { _ in
            ByteBuffer(string: "]")
        }
    }

    /// An object with the messages in an array of that name, between other members.
    ///
    /// - Parameter before: Writes one or more members, as `behind` does.
    static func object(
        _ array: String, before: (inout JSONWriter) -> Void,
        message: @escaping @Sendable (MessageObject, SessionKey) -> ByteBuffer,
        behind: @escaping @Sendable (MessageListEnd, inout JSONWriter) -> Void
    ) -> MessageListForm {
        // An object without its last brace, and one without its first.
        var beginning = JSONWriter.object { before(&$0) }
        beginning.moveWriterIndex(to: beginning.writerIndex - 1)
        beginning.writeString(",\"\(array)\":[")
        return MessageListForm(beginning: beginning, message: message) { end in
            var members = JSONWriter.object { behind(end, &$0) }
            members.moveReaderIndex(forwardBy: 1)
            return ByteBuffer(string: "],\(String(buffer: members))")
        }
    }

    /// - Parameters:
    ///   - beginning: Nil where the list has begun.
    ///   - isFirst: Whether no message has been shown yet.
    fileprivate func piece(
        _ beginning: ByteBuffer?, _ messages: ArraySlice<StoredMessage>, of session: SessionKey, isFirst: Bool,
        _ end: MessageListEnd?
    ) -> ByteBuffer {
        var piece = beginning ?? ByteBuffer()
        var isFirst = isFirst
        for message in messages {
            if !isFirst { piece.writeString(",") }
            isFirst = false
            piece.writeImmutableBuffer(self.message(MessageObject(message), session))
        }
        if let end { piece.writeImmutableBuffer(self.end(end)) }
        return piece
    }
}
