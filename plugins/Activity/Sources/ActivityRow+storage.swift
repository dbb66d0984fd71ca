import OpenAIWire
import Persistence
import TurnpikeKit

/// A row on its way to the database: one reference, where a copy of the row counts a dozen.
final class RecordedRow: LaneItem {
    let row: ActivityRow

    init(_ row: consuming ActivityRow) { self.row = row }

    init(_ exchange: Exchange, _ outcome: Outcome, _ tail: UsageTail) { row = ActivityRow(exchange, outcome, tail) }

    /// See ``RefusalGatherer``. Asked here: the row would be copied to be asked.
    var isAnonymousRefusal: Bool { row.userID == nil && row.ending == .refused }

    var shardKey: UInt64 { row.id.shardKey }

    var byteCount: Int {
        200 + row.path.utf8.count + (row.facts.requestedModel?.utf8.count ?? 0) + (row.facts.model?.utf8.count ?? 0)
    }
}

extension ActivityRow {
    /// The columns in the order of `values`.
    static let columns = [
        "created_us", "activity_id", "user_id", "key_id", "session_id", "method", "path", "endpoint", "requested_model",
        "provider", "model", "status", "upstream_status", "ending", "error_code", "streamed", "prompt_tokens",
        "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "request_bytes", "response_bytes",
        "first_byte_us", "total_us", "flags", "capture_status", "requests", "cost_micros",
        "history",
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

    /// The same for rows of which only the first `count` columns are known: those of an earlier release.
    static func insertion(_ dialect: Dialect, columns count: Int) -> BulkStatement {
        count == columns.count ? insertion(dialect) : makeInsertion(dialect, Array(columns.prefix(count)))
    }

    private static func makeInsertion(_ dialect: Dialect, _ columns: [String] = columns) -> BulkStatement {
        let places = repeatElement("?", count: columns.count).joined(separator: ",")
        return BulkStatement(
            """
            INSERT INTO activity (\(columns.joined(separator: ", "))) VALUES (\(places)) \
            \(dialect.orIgnore("activity_id"))
            """)
    }

    /// The values of rows.
    static func values(of rows: [ActivityRow]) -> BulkRows {
        let values = BulkRows(width: columns.count, capacity: rows.count * usualSize)
        for row in rows { row.append(to: values) }
        return values
    }

    /// About how many bytes the values of a row take.
    static let usualSize = 384

    /// Appends the row's values. Runs on the lane's thread, not in the exchange.
    func append(to values: BulkRows) {
        appendWhoAndWhat(to: values)
        appendResult(to: values)
    }

    private func appendWhoAndWhat(to values: BulkRows) {
        values.append(created)
        values.append(id)
        values.append(userID)
        values.append(keyID)
        values.append(facts.sessionID)
        values.append(cut(method, to: ColumnWidth.method))
        values.append(cut(path, to: ColumnWidth.path))
        values.append(cut(endpoint, to: ColumnWidth.code))
        values.append(cut(facts.requestedModel, to: ColumnWidth.label))
        values.append(cut(facts.provider, to: ColumnWidth.label))
        values.append(cut(facts.model, to: ColumnWidth.label))
    }

    private func appendResult(to values: BulkRows) {
        values.append(status)
        values.append(facts.upstreamStatus)
        values.append(ending.rawValue)
        values.append(cut(errorCode, to: ColumnWidth.code))
        values.append(facts.isStreamed)
        values.append(facts.usage?.prompt)
        values.append(facts.usage?.completion)
        values.append(facts.usage?.total)
        values.append(facts.usage?.cachedPrompt)
        values.append(facts.usage?.reasoning)
        values.append(requestBytes)
        values.append(responseBytes)
        values.append(firstByte)
        values.append(total)
        values.append(flags.isEmpty ? "" : cut(flags.joined(separator: ","), to: ColumnWidth.flags))
        values.append(cut(facts.captureStatus, to: ColumnWidth.code))
        values.append(requests)
        values.append(cost)
        values.append(cut(facts.history, to: ColumnWidth.label))
    }

    private func cut(_ text: String?, to width: Int) -> String? {
        guard let text else { return nil }
        let beginning: String = cut(text, to: width)
        return beginning
    }

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
