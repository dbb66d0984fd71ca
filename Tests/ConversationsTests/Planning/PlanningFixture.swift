import NIOCore
import OpenAIWire
import Persistence
import TurnpikeKit

@testable import Conversations

/// One message in a test: `user("hi")`. Equal ones are equal messages.
struct Said: Hashable, Sendable, CustomStringConvertible {
    var role: MessageRole
    var text: String
    var description: String { "\(role):\(text)" }

    static func user(_ text: String) -> Said { Said(role: .user, text: text) }
    static func assistant(_ text: String) -> Said { Said(role: .assistant, text: text) }
    static func tool(_ text: String) -> Said { Said(role: .tool, text: text) }
    static func system(_ text: String) -> Said { Said(role: .system, text: text) }

    /// The message as a client writes it.
    var body: ByteBuffer {
        JSONWriter.object {
            $0.member("role", "\(role)")
            $0.member("content", text)
        }
    }

    var incoming: IncomingTurn.Message {
        get throws { try IncomingTurn.Message(ChatMessage(scanning: body)) }
    }
}

/// A session in memory that stores plans as the database would.
struct ModelSession {
    struct Stored {
        var said: Said
        var outline: MessageOutline
        var isActive = true
    }

    private(set) var stored: [Stored] = []
    private(set) var lastTurn: LastTurn?
    private(set) var nextSeq: Int64 = 1
    private var turnCount: UInt64 = 0

    init(_ turns: [Said]...) throws {
        for turn in turns { try append(turn, base: nextSeq, request: Self.digest(turn.dropLast())) }
    }

    var active: [Stored] { stored.filter(\.isActive) }
    var said: [Said] { active.map(\.said) }
    var outline: HistoryOutline {
        HistoryOutline(
            entries: active.map(\.outline), activeCount: active.count, nextSeq: nextSeq, lastTurn: lastTurn)
    }

    func texts(in seqs: Range<Int64>?) -> [Said] {
        guard let seqs else { return [] }
        return active.filter { seqs.contains($0.outline.seq) }.map(\.said)
    }

    /// Stores what `plan` says, and the model's answer.
    mutating func store(_ plan: HistoryPlan, of turn: IncomingTurn, _ new: [Said], answer: Said) throws {
        var from = plan.supersededFrom
        if plan.isRetry, let lastTurn, lastTurn.requestDigest == turn.digest, lastTurn.baseSeq == plan.baseSeq {
            from = min(from ?? .max, lastTurn.firstSeq)
        }
        for index in stored.indices where stored[index].outline.seq >= from ?? .max { stored[index].isActive = false }
        try append(new + [answer], base: plan.baseSeq, request: turn.digest)
    }

    mutating func append(_ messages: [Said], base: Int64, request: StoredDigest) throws {
        turnCount += 1
        let id = UniqueID(high: turnCount, low: 0)
        lastTurn = LastTurn(id: id, firstSeq: nextSeq, baseSeq: base, requestDigest: request)
        for said in messages {
            let digest = try said.incoming.digest
            stored.append(
                Stored(
                    said: said,
                    outline: MessageOutline(
                        seq: nextSeq, turnID: id, role: said.role, digest: digest,
                        digestVersion: Int(MessageDigest.version), tokens: nil)))
            nextSeq += 1
        }
    }

    static func digest(_ messages: some Sequence<Said>) throws -> StoredDigest {
        IncomingTurn(messages: try messages.map { try $0.incoming }).digest
    }
}

/// What a plan comes to, in words.
struct PlanSummary: Equatable {
    var injected: [Said]
    var new: [Said]
    /// What is left of the stored messages when the turn is stored, without the turn.
    var kept: [Said]
    var dropped = 0
}

extension ModelSession {
    /// Plans a request of `messages` and says what it comes to.
    func summary(
        _ messages: [Said], mode: HistoryMode = .auto, maxMessages: Int = 1_000, repetition: Repetition = .none
    ) throws -> (PlanSummary, HistoryPlan) {
        let turn = IncomingTurn(messages: try messages.map { try $0.incoming })
        let planner = TurnPlanner(mode: mode, maxHistoryMessages: maxMessages)
        let plan = planner.plan(turn, after: outline, repetition: repetition)
        let new = Array(messages.suffix(plan.newMessages.count))
        var after = self
        try after.store(plan, of: turn, new, answer: .assistant("…"))
        let kept = Array(after.said.dropLast(new.count + 1))
        return (PlanSummary(injected: texts(in: plan.injected), new: new, kept: kept, dropped: plan.droppedCount), plan)
    }
}
