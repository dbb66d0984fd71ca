import Persistence

@testable import Conversations

extension Session {
    /// A session as the database gives it, with nothing set.
    static func sample(
        of owner: UniqueID = .generate(), externalID: String? = nil, nextSeq: Int64 = 1, version: Int64 = 1,
        lastTurn: LastTurn? = nil
    ) -> Session {
        let time = Timestamp(microseconds: 1)
        return Session(
            key: SessionKey(owner: owner, session: .generate()), externalID: externalID, conversation: nil,
            settings: SessionSettings(), systemDigest: nil, nextSeq: nextSeq, contextStartSeq: 0, version: version,
            lastTurn: lastTurn, counters: SessionCounters(), createdAt: time, updatedAt: time, lastMessageAt: time)
    }
}
