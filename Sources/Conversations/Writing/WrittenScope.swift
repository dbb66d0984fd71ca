import Persistence

/// What of the memory for sessions a write makes useless.
enum WrittenScope: Sendable {
    /// Nothing that is kept in memory.
    case none
    case sessions([SessionKey])
    case user(UniqueID)

    enum Part: Hashable {
        case session(SessionKey)
        case user(UniqueID)
    }

    static func session(_ key: SessionKey) -> WrittenScope { .sessions([key]) }

    var parts: [Part] {
        switch self {
        case .none: []
        case .sessions(let keys): keys.map(Part.session)
        case .user(let owner): [.user(owner)]
        }
    }

    func forget(in cache: SessionCache) {
        switch self {
        case .none: break
        case .sessions(let keys): for key in keys { cache.drop(key) }
        case .user(let owner): cache.drop(owner: owner)
        }
    }
}
