import NIOCore
import Persistence

extension ConversationSQL {
    private static let outline = "seq, turn_id, role, digest, digest_version, tokens"
    private static let message =
        "\(outline), chapter, citations, superseded_by_seq, created_us, body, token_encoding, is_partial, media, model, "
        + "status, metadata"
    /// Where `message` has the body.
    static let bodyColumn = 10

    static func ofSession(_ key: SessionKey) -> SQL {
        "FROM messages WHERE user_id = \(key.owner) AND session_id = \(key.session)"
    }

    static func outlines(_ key: SessionKey, in seqs: Range<Int64>, _ order: MessageOrder) -> SQL {
        """
        SELECT \(raw: outline) \(sql: ofSession(key)) AND seq >= \(seqs.lowerBound) AND seq < \(seqs.upperBound) \
        AND superseded_by_seq IS NULL ORDER BY seq \(raw: order.sql)
        """
    }

    /// What was active before the message with this seq was stored.
    static func outlines(_ key: SessionKey, before seq: Int64) -> SQL {
        """
        SELECT \(raw: outline) \(sql: ofSession(key)) AND seq < \(seq) \
        AND (superseded_by_seq IS NULL OR superseded_by_seq >= \(seq)) ORDER BY seq
        """
    }

    static func messages(_ key: SessionKey, in seqs: Range<Int64>, _ order: MessageOrder, limit: Int? = nil) -> SQL {
        let sql: SQL = """
            SELECT \(raw: message) \(sql: ofSession(key)) AND seq >= \(seqs.lowerBound) AND seq < \(seqs.upperBound) \
            AND superseded_by_seq IS NULL ORDER BY seq \(raw: order.sql)
            """
        return limit.map { sql + " LIMIT \($0)" } ?? sql
    }

    static func messages(_ key: SessionKey, seqs: [Int64]) -> SQL {
        "SELECT \(raw: message) \(sql: ofSession(key)) AND seq IN (\(list: seqs)) ORDER BY seq"
    }

    static func messages(_ key: SessionKey, _ query: MessageQuery) -> SQL {
        var sql: SQL = "SELECT \(raw: message) \(sql: ofSession(key))"
        sql += condition(query)
        if let seq = query.after { sql += query.order == .oldestFirst ? " AND seq > \(seq)" : " AND seq < \(seq)" }
        return sql + " ORDER BY seq \(raw: query.order.sql) LIMIT \(query.limit) OFFSET \(query.offset)"
    }

    /// Counted by the session's row, except where a chapter is asked for.
    static func total(_ key: SessionKey, _ query: MessageQuery) -> SQL {
        guard query.chapter == nil else { return "SELECT COUNT(*) \(sql: ofSession(key))" + condition(query) }
        let column = query.includesSuperseded ? "next_seq - 1" : "message_count"
        return "SELECT \(raw: column) FROM sessions WHERE user_id = \(key.owner) AND session_id = \(key.session)"
    }

    private static func condition(_ query: MessageQuery) -> SQL {
        var sql: SQL = query.includesSuperseded ? "" : " AND superseded_by_seq IS NULL"
        if let chapter = query.chapter { sql += " AND chapter = \(chapter)" }
        return sql
    }

    static func outline(_ row: borrowing Row) throws -> MessageOutline {
        MessageOutline(
            seq: try row.integer(0, in: SessionRow.counts), turnID: try row.value(1),
            role: MessageRole(rawValue: try row.value(2)) ?? .other, digest: try row.value(3),
            digestVersion: try row.value(4), tokens: try row.optionalInteger(5, in: SessionRow.tokens).map(Int.init))
    }

    /// The message without its media, and where they belong.
    static func detached(_ row: borrowing Row) throws -> BlobStore.Detached {
        (try message(row), try row.optional(13))
    }

    private static func message(_ row: borrowing Row) throws -> StoredMessage {
        StoredMessage(
            outline: try outline(row), body: try row.value(bodyColumn), tokenEncoding: try row.optional(11),
            isPartial: try row.value(12), annotations: try annotations(row), supersededBySeq: try row.optional(8),
            createdAt: try row.value(9))
    }

    private static func annotations(_ row: borrowing Row) throws -> StoredMessage.Annotations {
        StoredMessage.Annotations(
            chapter: try row.optional(6), citations: try row.optional(7), model: try row.optional(14),
            status: try row.optional(15), metadata: try row.optional(16))
    }
}
