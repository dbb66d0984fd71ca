/// The prepared statements of one connection by their texts: the ones used last, because the server limits how many
/// there are in all.
struct StatementCache {
    private struct Entry {
        let statement: Statement
        var lastUse: UInt64
    }

    private let limit: Int
    private var entries: [String: Entry] = [:]
    private var clock: UInt64 = 0

    init(limit: Int = 128) { self.limit = limit }

    /// The statement for a text, made by `prepare` where it is not there.
    mutating func statement(_ text: String, prepare: () throws -> Statement) throws -> Statement {
        clock += 1
        if let index = entries.index(forKey: text) {
            entries.values[index].lastUse = clock
            return entries.values[index].statement
        }
        let statement = try prepare()
        if entries.count >= limit, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key {
            entries[oldest] = nil
        }
        entries[text] = Entry(statement: statement, lastUse: clock)
        return statement
    }

    mutating func remove(_ text: String) { entries[text] = nil }

    /// Closes all of them; before the connection is.
    mutating func removeAll() { entries = [:] }

    var count: Int { entries.count }
}
