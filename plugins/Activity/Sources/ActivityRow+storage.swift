import OpenAIWire
import Persistence
import TurnpikeKit

extension ActivityRow: LaneItem {
    var shardKey: UInt64 { id.shardKey }

    var byteCount: Int {
        200 + path.utf8.count + (facts.requestedModel?.utf8.count ?? 0) + (facts.model?.utf8.count ?? 0)
    }
}

extension ActivityRow {
    /// The columns in the order of `values`.
    static let columns = [
        "created_us", "activity_id", "user_id", "key_id", "session_id", "method", "path", "endpoint", "requested_model",
        "provider", "model", "status", "upstream_status", "ending", "error_code", "streamed", "prompt_tokens",
        "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "request_bytes", "response_bytes",
        "first_byte_us", "total_us", "flags", "capture_status",
    ]

    /// Inserts rows. A row that is there already is left alone: after a lost answer to COMMIT a batch is done again.
    static func insertion(_ dialect: Dialect) -> BulkStatement {
        switch dialect {
        case .sqlite: sqliteInsertion
        case .mariadb: mariadbInsertion
        }
    }

    private static let sqliteInsertion = makeInsertion(.sqlite)
    private static let mariadbInsertion = makeInsertion(.mariadb)

    private static func makeInsertion(_ dialect: Dialect) -> BulkStatement {
        let places = repeatElement("?", count: columns.count).joined(separator: ",")
        return BulkStatement(
            """
            INSERT INTO activity (\(columns.joined(separator: ", "))) VALUES (\(places)) \
            \(dialect.orIgnore("activity_id"))
            """)
    }

    /// Appends the row's values. Runs on the lane's thread, not in the exchange.
    func appendValues(to values: inout [SQLValue]) {
        values += [
            created.sqlValue, .id(id), userID.sqlValue, keyID.sqlValue, facts.sessionID.sqlValue,
            .text(cut(method, to: ColumnWidth.method)), .text(cut(path, to: ColumnWidth.path)), endpoint.sqlValue,
            label(facts.requestedModel), label(facts.provider), label(facts.model), status.sqlValue,
            facts.upstreamStatus.sqlValue, .text(ending.rawValue),
            errorCode.map { cut($0, to: ColumnWidth.code) }.sqlValue, facts.isStreamed.sqlValue,
        ]
        values += [
            facts.usage?.prompt, facts.usage?.completion, facts.usage?.total, facts.usage?.cachedPrompt,
            facts.usage?.reasoning, requestBytes, responseBytes, firstByte, total,
        ].map(\.sqlValue)
        values += [
            .text(cut(flags.joined(separator: ","), to: ColumnWidth.flags)),
            facts.captureStatus.map { cut($0, to: ColumnWidth.code) }.sqlValue,
        ]
    }

    private func label(_ text: String?) -> SQLValue { text.map { cut($0, to: ColumnWidth.label) }.sqlValue }

    /// The beginning of what is longer than its column: a label that no real one reaches, so it ends with an ellipsis.
    private func cut(_ text: String, to width: Int) -> String {
        guard text.utf8.count > width, text.unicodeScalars.count > width else { return text }
        var scalars = String.UnicodeScalarView(text.unicodeScalars.prefix(width - 1))
        scalars.append("…")
        return String(scalars)
    }
}

/// In Unicode scalars, as MariaDB counts the length of a VARCHAR.
enum ColumnWidth {
    static let method = 16
    static let path = 500
    static let label = 200
    static let code = 64
    static let flags = 1_000
}
