import NIOCore
public import Persistence
import TurnpikeKit

/// Reads sessions and messages on one connection, inside `ConversationStore.read`.
///
/// A caller that needs several answers asks them in one closure: that is one hop to a database thread instead of one
/// per answer. Two reads in a closure may see different states; `Session.version` tells. Bodies that were superseded
/// meanwhile are still there, so what an outline named can be loaded until the session is purged.
public struct ConversationReader {
    let connection: any Connection
    /// What has ended by the moment of the reading, and is gone.
    let expiry: Expiry
    var now: Timestamp { expiry.time }
    /// What the bodies that are read are counted by, each before it is loaded; `nil` counts nothing.
    private let bodies: BufferReservation?

    init(_ connection: any Connection, at expiry: Expiry, counting bodies: BufferReservation? = nil) {
        self.connection = connection
        self.expiry = expiry
        self.bodies = bodies
    }

    /// Gives back what was counted so far: for a caller that drops what it has read and reads again.
    package func startOver() { bodies?.release() }

    private func count(_ row: borrowing Row, _ column: Int) throws {
        guard let bodies else { return }
        try bodies.take(row.withBytes(column) { $0.count })
    }

    func detached(_ row: borrowing Row) throws -> BlobStore.Detached {
        try count(row, ConversationSQL.bodyColumn)
        return try ConversationSQL.detached(row)
    }

    // MARK: Sessions

    /// A session of `owner`; nil if there is none, if it is deleted, or if it is somebody else's.
    public func session(_ reference: SessionReference, of owner: UniqueID) throws -> Session? {
        if let id = reference.id, let session = try session(SessionKey(owner: owner, session: id)) { return session }
        guard !reference.text.isEmpty else { return nil }
        return try unexpired(
            connection.first(ConversationSQL.session(owner: owner, externalID: reference.text), SessionRow.session))
    }

    public func session(_ key: SessionKey) throws -> Session? {
        try unexpired(connection.first(ConversationSQL.session(key), SessionRow.session))
    }

    private func unexpired(_ session: Session?) -> Session? {
        session.flatMap { expiry.hasEnded($0) ? nil : $0 }
    }

    /// The session that the external ids of a draft name.
    public func session(named draft: SessionDraft) throws -> Session? {
        try unexpired(SessionCreation.find(draft, connection))
    }

    /// The system and developer messages that were seen last.
    public func system(_ key: SessionKey) throws -> SystemMessages? {
        try connection.first(ConversationSQL.system(key)) { row in
            try count(row, 0)
            return SystemMessages(body: try row.value(0), digest: try row.value(1))
        }
    }

    // MARK: Messages

    /// The newest active messages, oldest first: whole turns, as many as `limit` messages allow. The newest turn is
    /// given whole even if it is longer.
    ///
    /// - Parameter start: Nothing before this seq is given.
    public func newest(_ limit: Int, of key: SessionKey, from start: Int64 = 0) throws -> [StoredMessage] {
        guard limit > 0 else { return [] }
        var messages: [BlobStore.Detached] = []
        var whole = 0
        var end = Int64.max
        // What a server has begun to send must be received, so no query asks for more than will be needed; only a newest
        // turn that is longer than the limit needs a second one.
        var rows = min(limit, 1 << 20) + 1
        var isComplete = false
        while !isComplete {
            var found = 0
            try connection.forEach(ConversationSQL.messages(key, in: start..<end, .newestFirst, limit: rows)) { row in
                let message = try detached(row)
                found += 1
                end = message.message.seq
                if let last = messages.last, last.message.outline.turnID != message.message.outline.turnID {
                    whole = messages.count
                    isComplete = whole >= limit
                    if isComplete { return .stop }
                }
                messages.append(message)
                // Beyond the limit only the newest turn goes on.
                isComplete = whole > 0 && messages.count > limit
                return isComplete ? .stop : .next
            }
            isComplete = isComplete || found < rows
            rows = min(max(rows, 32) * 2, 512)
        }
        if whole > 0, messages.count > limit { messages.removeSubrange(whole...) }
        return try attached(messages.reversed(), of: key)
    }

    /// The active messages without their bodies.
    ///
    /// - Parameter seqs: Only these.
    public func outlines(
        of key: SessionKey, in seqs: Range<Int64> = 0..<Int64.max, order: MessageOrder = .oldestFirst
    ) throws -> [MessageOutline] {
        try connection.rows(ConversationSQL.outlines(key, in: seqs, order), ConversationSQL.outline)
    }

    /// The active messages of a range, oldest first.
    public func messages(of key: SessionKey, in seqs: Range<Int64>) throws -> [StoredMessage] {
        let query = ConversationSQL.messages(key, in: seqs, .oldestFirst)
        return try attached(connection.rows(query, detached), of: key)
    }

    /// Messages by their seqs, oldest first, superseded ones too. Seqs that do not exist are left out.
    public func messages(of key: SessionKey, seqs: [Int64]) throws -> [StoredMessage] {
        let sorted = Set(seqs).sorted()
        var messages: [StoredMessage] = []
        for start in stride(from: 0, to: sorted.count, by: 256) {
            let chunk = Array(sorted[start..<min(start + 256, sorted.count)])
            let query = ConversationSQL.messages(key, seqs: chunk)
            messages += try attached(connection.rows(query, detached), of: key)
        }
        return messages
    }

    /// The messages as they came, with the media that are stored apart.
    func attached(_ rows: [BlobStore.Detached], of key: SessionKey) throws -> [StoredMessage] {
        try BlobStore(connection, counting: bodies).attach(rows, of: key.owner)
    }
}
