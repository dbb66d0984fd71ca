import NIOCore
import Persistence
import TurnpikeKit

/// The media of all messages of a user, each stored once, on one connection inside a transaction.
struct BlobStore {
    /// A message as its row has it, and where its media belong.
    typealias Detached = (message: StoredMessage, references: ByteBuffer?)

    private let connection: any Connection
    /// What the media that are read are counted by; `nil` counts nothing.
    private let bodies: BufferReservation?

    init(_ connection: any Connection, counting bodies: BufferReservation? = nil) {
        self.connection = connection
        self.bodies = bodies
    }

    /// Stores what is not there yet, and that `session` holds it.
    func store(_ blobs: [DetachedBody.Blob], of session: SessionKey) throws {
        for blob in blobs {
            try connection.execute(ConversationSQL.insert(blob, of: session.owner, connection.dialect))
            try connection.execute(ConversationSQL.insertUse(of: blob.sha256, session, connection.dialect))
        }
    }

    /// The messages with their media put back; what several of them share is read once.
    func attach(_ rows: [Detached], of owner: UniqueID) throws -> [StoredMessage] {
        var known: [StoredDigest: ByteBuffer] = [:]
        // What is read is held beside the messages until all of them have it.
        let read = bodies?.another()
        defer { read?.release() }
        return try rows.map { message, references in
            guard let references else { return message }
            var message = message
            message.body = try DetachedBody.attached(message.body, references) { sha256 in
                let data = try known[sha256] ?? blob(sha256, of: owner, counting: read)
                try bodies?.take(data.readableBytes)
                known[sha256] = data
                return data
            }
            return message
        }
    }

    private func blob(
        _ sha256: StoredDigest, of owner: UniqueID, counting read: BufferReservation?
    ) throws -> ByteBuffer {
        let data = try connection.first(ConversationSQL.blob(sha256, of: owner)) { row in
            try read?.take(row.withBytes(0) { $0.count })
            return try row.value(0, as: ByteBuffer.self)
        }
        guard let data else { throw DatabaseError(.data, "a message's media are missing") }
        return data
    }

    /// Takes a session's hold on some of its media away, and those along that no other session of the user holds.
    ///
    /// The blobs are locked before they are looked up: a turn that stores one of them again has either been committed
    /// by then and is seen, or waits and inserts it anew.
    ///
    /// - Returns: How many it held of them; 0 when it holds none.
    func releaseSome(of session: SessionKey, limit: Int) throws -> Int {
        let some = try connection.rows(ConversationSQL.uses(of: session, limit: limit)) {
            try $0.value(0, as: StoredDigest.self)
        }
        guard !some.isEmpty else { return 0 }
        _ = try connection.rows(ConversationSQL.lock(some, of: session.owner, connection.dialect)) { _ in }
        for sha256 in some { try connection.execute(ConversationSQL.deleteUse(of: sha256, session)) }
        try connection.execute(ConversationSQL.deleteUnused(some, of: session.owner))
        return some.count
    }
}

extension ConversationSQL {
    static func insert(_ blob: DetachedBody.Blob, of owner: UniqueID, _ dialect: Dialect) -> SQL {
        """
        INSERT INTO blobs (user_id, sha256, data) VALUES (\(owner), \(blob.sha256), \(blob.data)) \
        \(raw: dialect.orIgnore("user_id"))
        """
    }

    static func insertUse(of sha256: StoredDigest, _ session: SessionKey, _ dialect: Dialect) -> SQL {
        """
        INSERT INTO blob_uses (user_id, session_id, sha256) VALUES (\(session.owner), \(session.session), \(sha256)) \
        \(raw: dialect.orIgnore("user_id"))
        """
    }

    static func blob(_ sha256: StoredDigest, of owner: UniqueID) -> SQL {
        "SELECT data FROM blobs WHERE user_id = \(owner) AND sha256 = \(sha256)"
    }

    static func uses(of session: SessionKey, limit: Int) -> SQL {
        """
        SELECT sha256 FROM blob_uses WHERE user_id = \(session.owner) AND session_id = \(session.session) \
        ORDER BY sha256 LIMIT \(limit)
        """
    }

    static func lock(_ blobs: [StoredDigest], of owner: UniqueID, _ dialect: Dialect) -> SQL {
        """
        SELECT sha256 FROM blobs WHERE user_id = \(owner) AND sha256 IN (\(list: blobs)) ORDER BY sha256 \
        \(raw: dialect.forUpdate)
        """
    }

    static func deleteUse(of sha256: StoredDigest, _ session: SessionKey) -> SQL {
        """
        DELETE FROM blob_uses WHERE user_id = \(session.owner) AND session_id = \(session.session) \
        AND sha256 = \(sha256)
        """
    }

    static func deleteUnused(_ blobs: [StoredDigest], of owner: UniqueID) -> SQL {
        """
        DELETE FROM blobs WHERE user_id = \(owner) AND sha256 IN (\(list: blobs)) AND NOT EXISTS \
        (SELECT 1 FROM blob_uses WHERE blob_uses.user_id = blobs.user_id AND blob_uses.sha256 = blobs.sha256)
        """
    }
}
