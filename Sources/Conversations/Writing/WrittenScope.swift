import Persistence

/// What of the memory for sessions a write makes useless.
struct WrittenScope: Sendable {
    enum Part: Hashable {
        case session(SessionKey)
        case user(UniqueID)
    }

    let parts: [Part]

    /// Nothing that is kept in memory.
    static let none = WrittenScope(parts: [])

    static func session(_ key: SessionKey) -> WrittenScope { .sessions([key]) }
    static func sessions(_ keys: [SessionKey]) -> WrittenScope { WrittenScope(parts: keys.map(Part.session)) }
    static func user(_ owner: UniqueID) -> WrittenScope { WrittenScope(parts: [.user(owner)]) }

    /// The sessions of it, in the order in which their rows are locked.
    var sessions: [SessionKey] {
        let keys = parts.compactMap { if case .session(let key) = $0 { key } else { nil } }
        return keys.count > 1 ? Set(keys).sorted() : keys
    }

    func forget(in cache: SessionCache) {
        for part in parts {
            switch part {
            case .session(let key): cache.drop(key)
            case .user(let owner): cache.drop(owner: owner)
            }
        }
    }
}
