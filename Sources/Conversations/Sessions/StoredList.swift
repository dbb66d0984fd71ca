import NIOCore
import OpenAIWire
import Persistence

/// A list of short texts in one column, as a JSON array; an empty one is NULL.
enum StoredList {
    static func read(_ row: borrowing Row, _ column: Int) throws -> [String] {
        guard let text: String = try row.optional(column) else { return [] }
        let elements = (try? JSONArray.elements(of: ByteBuffer(string: text))) ?? []
        return elements.compactMap(\.string)
    }
}

extension [String] {
    /// The column's value.
    var stored: String? {
        guard !isEmpty else { return nil }
        return String(buffer: JSONWriter.array { json in for text in self { json.element(text) } })
    }
}
