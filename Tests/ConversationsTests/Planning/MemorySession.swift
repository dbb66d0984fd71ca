import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

@testable import Conversations

/// A session in memory, read as the database is and appended to by the store's own rules.
final class MemorySession: HistoryReading {
    private(set) var session: Session
    private(set) var stored: [StoredMessage] = []

    init(_ session: Session) { self.session = session }

    var active: [StoredMessage] { stored.filter { $0.supersededBySeq == nil } }

    func append(_ draft: TurnDraft) {
        let plan = session.append(draft, at: Timestamp(microseconds: 1))
        if let superseded = plan.superseded {
            for index in stored.indices where superseded.contains(stored[index].seq) {
                guard stored[index].supersededBySeq == nil else { continue }
                stored[index].supersededBySeq = superseded.upperBound
                session.counters.messages -= 1
            }
        }
        for (index, message) in draft.messages.enumerated() {
            var added = StoredMessage(
                outline: MessageOutline(
                    seq: plan.firstSeq + Int64(index), turnID: draft.id, role: message.role, digest: message.digest,
                    digestVersion: message.digestVersion, tokens: message.tokens),
                body: message.body, createdAt: Timestamp(microseconds: 1))
            added.tokenEncoding = message.tokenEncoding
            added.isPartial = message.isPartial
            stored.append(added)
        }
    }

    func session(_ key: SessionKey) -> Session? { session }

    func newestRun(_ limit: Int, of key: SessionKey, from start: Int64) -> ArraySlice<StoredMessage> {
        let all = active.filter { $0.seq >= start }
        var first = max(0, all.count - limit)
        while first < all.count, first > 0, all[first].outline.turnID == all[first - 1].outline.turnID { first += 1 }
        if first == all.count, let last = all.last {
            first = all.firstIndex { $0.outline.turnID == last.outline.turnID } ?? 0
        }
        return all[first...]
    }

    func outlines(of key: SessionKey, in seqs: Range<Int64>, order: MessageOrder) -> [MessageOutline] {
        active.map(\.outline).filter { seqs.contains($0.seq) }
    }

    func messages(of key: SessionKey, in seqs: Range<Int64>) -> [StoredMessage] {
        active.filter { seqs.contains($0.seq) }
    }

    func system(_ key: SessionKey) -> SystemMessages? { nil }
}

/// Takes three bytes for a token, and remembers what it counted.
struct ThirdMeter: TokenMeter {
    let encoding: Int? = 7
    func tokens(ofMessage message: ByteBuffer) -> Int { message.readableBytes / 3 + 4 }
    func tokens(besideMessagesOf request: ChatRequest) -> Int {
        3 + (request.object.nonNull("tools")?.bytes.readableBytes ?? 0) / 3
    }
}

/// One model with a context of so many tokens.
struct OneModel: TargetModels {
    var contextWindow: Int?
    func model(of target: RouteTarget) -> TargetModel {
        TargetModel(contextWindow: contextWindow, maxOutput: nil, meter: ThirdMeter())
    }
}
