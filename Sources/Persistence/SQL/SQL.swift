/// A statement: text with a `?` for each value, and the values.
///
/// It is written as a string literal. What is interpolated becomes a bound value; text needs a visible word:
///
///     "SELECT title FROM sessions WHERE user_id = \(user) AND session_id IN (\(list: ids)) \(raw: dialect.forUpdate)"
///
/// so a value that came from a client cannot become part of the statement. Back ends keep one prepared statement per
/// text and connection: a text that contains changing numbers fills that cache, a bound value does not.
public struct SQL: Sendable, Hashable, ExpressibleByStringInterpolation {
    /// The text, with a `?` for each value.
    public private(set) var text: String
    /// The values, in the order of their places.
    public private(set) var values: [SQLValue]

    /// Makes a statement of a literal without interpolations.
    public init(stringLiteral text: String) {
        self.text = text
        values = []
    }

    /// Makes a statement of an interpolated literal.
    public init(stringInterpolation: StringInterpolation) {
        text = stringInterpolation.text
        values = stringInterpolation.values
    }

    /// Makes a statement of text that the caller vouches for. Nothing in it may come from outside of the program.
    public init(raw text: String, values: [SQLValue] = []) {
        self.text = text
        self.values = values
    }

    /// Joins two parts of one statement.
    public static func + (left: SQL, right: SQL) -> SQL {
        SQL(raw: left.text + right.text, values: left.values + right.values)
    }

    /// Appends another part of the same statement.
    public static func += (left: inout SQL, right: SQL) {
        left.text += right.text
        left.values += right.values
    }

    /// Collects the parts of an interpolated literal.
    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""
        fileprivate var values: [SQLValue] = []

        /// Starts an empty statement.
        public init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + 2 * interpolationCount)
            values.reserveCapacity(interpolationCount)
        }

        /// Text between two interpolations.
        public mutating func appendLiteral(_ literal: String) { text += literal }

        /// A value, which is bound.
        public mutating func appendInterpolation(_ value: some SQLBindable) {
            text += "?"
            values.append(value.sqlValue)
        }

        /// A value, or NULL.
        public mutating func appendInterpolation<Value: SQLBindable>(_ value: Value?) {
            text += "?"
            values.append(value.sqlValue)
        }

        /// Text that the caller vouches for.
        public mutating func appendInterpolation(raw: String) { text += raw }

        /// A part of a statement with its values.
        public mutating func appendInterpolation(sql: SQL) {
            text += sql.text
            values += sql.values
        }

        /// Values for `IN (…)`. The last one is repeated until their number is a power of two, so that lists of every
        /// length share a few prepared statements; an empty list matches nothing.
        public mutating func appendInterpolation(list: [some SQLBindable]) {
            guard let last = list.last else { return text += "NULL" }
            let padded = SQL.paddedCount(list.count)
            text += SQL.placeholders(padded)
            values += list.map(\.sqlValue)
            values += repeatElement(last.sqlValue, count: padded - list.count)
        }
    }

    /// The next power of two.
    package static func paddedCount(_ count: Int) -> Int {
        count <= 1 ? 1 : 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
    }

    /// `?,?,?`
    package static func placeholders(_ count: Int) -> String {
        repeatElement("?", count: count).joined(separator: ",")
    }
}
