import OpenAIWire
import Persistence
import TurnpikeKit

/// A row on its way to the database: one reference, where a copy of the row counts a dozen.
final class RecordedRow: LaneItem {
    let row: ActivityRow

    init(_ row: consuming ActivityRow) { self.row = row }

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

    /// Appends the row's values. Runs on the lane's thread, not in the exchange.
    func appendValues(to values: inout [SQLValue]) {
        appendWhoAndWhat { values.append($0) }
        appendResult { values.append($0) }
    }

    private func appendWhoAndWhat(_ add: (SQLValue) -> Void) {
        add(.integer(created.microseconds))
        add(.id(id))
        add(Self.id(userID))
        add(Self.id(keyID))
        add(Self.id(facts.sessionID))
        add(text(method, ColumnWidth.method))
        add(text(path, ColumnWidth.path))
        add(text(endpoint, ColumnWidth.code))
        add(text(facts.requestedModel, ColumnWidth.label))
        add(text(facts.provider, ColumnWidth.label))
        add(text(facts.model, ColumnWidth.label))
    }

    private func appendResult(_ add: (SQLValue) -> Void) {
        add(Self.integer(status))
        add(Self.integer(facts.upstreamStatus))
        add(.text(ending.rawValue))
        add(text(errorCode, ColumnWidth.code))
        add(Self.integer(facts.isStreamed ? 1 : 0))
        add(Self.integer(facts.usage?.prompt))
        add(Self.integer(facts.usage?.completion))
        add(Self.integer(facts.usage?.total))
        add(Self.integer(facts.usage?.cachedPrompt))
        add(Self.integer(facts.usage?.reasoning))
        add(Self.integer(requestBytes))
        add(Self.integer(responseBytes))
        add(Self.integer(firstByte))
        add(Self.integer(total))
        add(text(flags.joined(separator: ","), ColumnWidth.flags))
        add(text(facts.captureStatus, ColumnWidth.code))
        add(Self.integer(requests))
        add(Self.integer(cost))
        add(text(facts.history, ColumnWidth.label))
    }

    // Of concrete types: `sqlValue` of an optional is generic, and looks its types up for every value of every row.
    private static func id(_ id: UniqueID?) -> SQLValue { if let id { .id(id) } else { .null } }
    private static func integer(_ number: Int?) -> SQLValue { if let number { .integer(Int64(number)) } else { .null } }
    private func text(_ text: String?, _ width: Int) -> SQLValue {
        if let text { .text(cut(text, to: width)) } else { .null }
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
