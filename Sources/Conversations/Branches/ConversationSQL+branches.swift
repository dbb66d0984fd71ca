import Persistence

/// A message lies in a branch if a turn behind it superseded it. (An attempt that its own retry overtook lies behind
/// that retry, and is no branch.)
extension ConversationSQL {
    static func branches(_ key: SessionKey, limit: Int, offset: Int) -> SQL {
        """
        SELECT superseded_by_seq, MIN(seq), MAX(seq), COUNT(*), MAX(created_us) \(sql: ofSession(key)) \
        AND superseded_by_seq > seq GROUP BY superseded_by_seq ORDER BY superseded_by_seq DESC \
        LIMIT \(limit) OFFSET \(offset)
        """
    }

    static func branchCount(_ key: SessionKey) -> SQL {
        "SELECT COUNT(DISTINCT superseded_by_seq) \(sql: ofSession(key)) AND superseded_by_seq > seq"
    }

    static func fork(of branch: Branch, _ key: SessionKey) -> SQL {
        """
        SELECT MAX(seq) \(sql: ofSession(key)) AND seq < \(branch.firstSeq) \
        AND (superseded_by_seq IS NULL OR superseded_by_seq >= \(branch.id))
        """
    }

    static func createdAt(_ seq: Int64, _ key: SessionKey) -> SQL {
        "SELECT created_us \(sql: ofSession(key)) AND seq = \(seq)"
    }

    static func seqs(ofBranch id: Int64, _ key: SessionKey, limit: Int, offset: Int = 0) -> SQL {
        """
        SELECT seq \(sql: ofSession(key)) AND superseded_by_seq = \(id) AND seq < \(id) ORDER BY seq \
        LIMIT \(limit) OFFSET \(offset)
        """
    }

    private static let copiedColumns =
        "role, digest, digest_version, tokens, created_us, chapter, citations, body, token_encoding, is_partial, media, "
        + "model, status, metadata"

    static func copyMessages(of turn: CopiedTurn, _ key: SessionKey, to seq: Int64) -> SQL {
        """
        INSERT INTO messages (user_id, session_id, seq, turn_id, \(raw: copiedColumns)) \
        SELECT user_id, session_id, seq + \(seq - turn.seqs.lowerBound), \(turn.new), \(raw: copiedColumns) \
        \(sql: ofSession(key)) AND seq >= \(turn.seqs.lowerBound) AND seq < \(turn.seqs.upperBound)
        """
    }

    /// What it cost is counted where it was paid for, and not once more.
    static func copyTurn(_ turn: CopiedTurn, _ key: SessionKey, to seq: Int64) -> SQL {
        """
        INSERT INTO turns (user_id, session_id, turn_id, first_seq, message_count, base_seq, request_digest, status, \
        model, provider, created_us, attempt) \
        SELECT user_id, session_id, \(turn.new), \(seq), message_count, \(seq), request_digest, status, model, \
        provider, created_us, attempt FROM turns \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND turn_id = \(turn.old)
        """
    }

    static func lastTurn(_ id: UniqueID, _ key: SessionKey) -> SQL {
        """
        SELECT first_seq, base_seq, request_digest FROM turns \
        WHERE user_id = \(key.owner) AND session_id = \(key.session) AND turn_id = \(id)
        """
    }
}
