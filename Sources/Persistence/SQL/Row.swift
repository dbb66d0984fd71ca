import NIOCore

/// What kind of value a column of a row holds.
package enum ColumnKind: Sendable {
    case null, integer, double, text, blob
}

/// The row on which a statement stands, as a back end offers it. Columns are checked by `Row` before they are read.
package protocol RowSource: AnyObject {
    var columnCount: Int { get }
    func kind(_ column: Int) -> ColumnKind
    func integer(_ column: Int) -> Int64
    func double(_ column: Int) -> Double
    /// The bytes of text or blob; the pointer is valid inside the closure only.
    func withBytes<Result>(_ column: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result
}

/// The current row of a query: typed reads that check what the column holds and throw `DatabaseError` of class `data`,
/// never trap and never convert silently.
///
/// It cannot be copied because it is only valid until the statement moves on: take the values, not the row.
public struct Row: ~Copyable {
    private let source: any RowSource

    package init(_ source: any RowSource) {
        self.source = source
    }

    /// The value of a column, counted from 0. NULL is an error: see `optional`.
    public func value<Value: ColumnValue>(_ column: Int, as type: Value.Type = Value.self) throws -> Value {
        try Value(self, column)
    }

    /// The value of a column, or nil for NULL.
    public func optional<Value: ColumnValue>(_ column: Int, as type: Value.Type = Value.self) throws -> Value? {
        try kind(column) == .null ? nil : Value(self, column)
    }

    /// An integer column.
    public func integer(_ column: Int) throws -> Int64 {
        guard try kind(column) == .integer else { throw mismatch(column, "an integer") }
        return source.integer(column)
    }

    /// What JSON carries exactly (RFC 7493): a range for ``integer(_:in:)`` of sums.
    public static let exactIntegers: ClosedRange<Int64> = -(1 << 53)...1 << 53

    /// An integer column that nothing makes as large as its type allows. A row that was written by hand may: then this is an
    /// error, so that nobody's sum overflows.
    public func integer(_ column: Int, in range: ClosedRange<Int64>) throws -> Int64 {
        let integer = try integer(column)
        guard range.contains(integer) else {
            throw mismatch(column, "from \(range.lowerBound) to \(range.upperBound)")
        }
        return integer
    }

    /// The same, or nil for NULL.
    public func optionalInteger(_ column: Int, in range: ClosedRange<Int64>) throws -> Int64? {
        try kind(column) == .null ? nil : integer(column, in: range)
    }

    /// A floating-point column; an integer is one too.
    public func double(_ column: Int) throws -> Double {
        switch try kind(column) {
        case .double: return source.double(column)
        case .integer: return Double(source.integer(column))
        case .null, .text, .blob: throw mismatch(column, "a number")
        }
    }

    /// A text column; bytes that are not UTF-8 are an error.
    public func text(_ column: Int) throws -> String {
        guard try kind(column) == .text else { throw mismatch(column, "text") }
        let text = source.withBytes(column) { String(validating: $0, as: UTF8.self) }
        guard let text else { throw mismatch(column, "valid UTF-8") }
        return text
    }

    /// The bytes of a blob column, inside the closure only.
    public func withBytes<Result>(
        _ column: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        guard try kind(column) == .blob else { throw mismatch(column, "bytes") }
        return try source.withBytes(column, body)
    }

    package func kind(_ column: Int) throws -> ColumnKind {
        guard column >= 0, column < source.columnCount else {
            throw DatabaseError(.data, "a query has no column \(column)")
        }
        return source.kind(column)
    }

    package func mismatch(_ column: Int, _ expected: String) -> DatabaseError {
        DatabaseError(.data, "column \(column) is not \(expected)")
    }
}
