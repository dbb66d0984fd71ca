import Persistence

/// A user's sessions, newest activity first: own chats and groups as one list.
///
/// Each kind lies in order along the index, and the two do not together. They are read in batches and merged as they are
/// taken, so that nothing is read twice.
struct NewestFirst<Element> {
    /// Reads some of a kind behind a place, in order.
    typealias Fetch = (_ groups: Bool, _ cursor: SessionCursor?, _ limit: Int) throws -> [Element]

    private struct Kind {
        let isGroup: Bool
        var cursor: SessionCursor?
        var buffer: ArraySlice<Element> = []
        var isExhausted = false
    }

    private var kinds: [Kind]
    private let batch: Int
    private let place: (Element) -> SessionCursor
    private let fetch: Fetch

    /// - Parameter batch: How many are read at once.
    init(
        after cursor: SessionCursor?, includesGroups: Bool, batch: Int, place: @escaping (Element) -> SessionCursor,
        fetch: @escaping Fetch
    ) {
        kinds = (includesGroups ? [false, true] : [false]).map { Kind(isGroup: $0, cursor: cursor) }
        self.batch = batch
        self.place = place
        self.fetch = fetch
    }

    /// The next one; nil at the end.
    mutating func next() throws -> Element? {
        var newest: (index: Int, place: SessionCursor)?
        for index in kinds.indices {
            try fill(index)
            guard let first = kinds[index].buffer.first.map(place) else { continue }
            if newest.map({ $0.place.isBehind(first) }) ?? true { newest = (index, first) }
        }
        return newest.flatMap { kinds[$0.index].buffer.popFirst() }
    }

    private mutating func fill(_ index: Int) throws {
        guard kinds[index].buffer.isEmpty, !kinds[index].isExhausted else { return }
        let found = try fetch(kinds[index].isGroup, kinds[index].cursor, batch)
        kinds[index].buffer = found[...]
        kinds[index].isExhausted = found.count < batch
        kinds[index].cursor = found.last.map(place) ?? kinds[index].cursor
    }
}

extension SessionCursor {
    /// Whether this place comes later in a list than `other`.
    func isBehind(_ other: SessionCursor) -> Bool {
        (lastMessageAt, session) < (other.lastMessageAt, other.session)
    }
}
