import Persistence

/// How a session is looked up: by what a client calls it, or by the external ids of one that may have to be made.
enum SessionLookup: Sendable {
    case reference(SessionReference, of: UniqueID)
    case draft(SessionDraft)

    func find(_ reader: ConversationReader) throws -> Session? {
        switch self {
        case .reference(let reference, let owner): try reader.session(reference, of: owner)
        case .draft(let draft): try reader.session(named: draft)
        }
    }
}
