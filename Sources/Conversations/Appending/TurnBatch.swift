import NIOCore
public import Persistence

/// Appends the turns of a batch, of any number of sessions, inside one transaction.
///
/// Locks the session rows in the order of their keys; looks for the ids of turns that were tried before, so that one whose
/// commit got no answer is not stored twice; allocates seqs from the locked rows; writes messages and turns in bulk, one
/// update per session. Without anything special that is three trips to the server: lock, write, commit; and two where
/// memory has the sessions, see `SessionClaim`.
struct TurnBatch {
    private let connection: any Connection
    private let time: Timestamp
    private var sessions: [SessionKey: Session] = [:]
    /// As they were before this batch.
    private var locked: [SessionKey: Session] = [:]
    private var stored: [StoredTurnKey: Int64] = [:]
    private var planned: [(draft: TurnDraft, plan: TurnPlan)] = []
    private var systems: [SessionKey: SystemMessages] = [:]
    /// For sessions that know no model yet.
    private var models: [SQLValue] = []
    /// Where the sessions were taken from memory: to be sent before anything else is written.
    private var claim: SessionClaim?

    /// Whether a turn's session, at the version that was found, is what its exchange took it to be.
    private let isAsAssumed: PremiseCheck

    typealias PremiseCheck = @Sendable (Premise, SessionKey, Int64?) -> Bool

    private struct StoredTurnKey: Hashable {
        let session: SessionKey
        let turn: UniqueID

        /// A turn is in one session.
        func hash(into hasher: inout Hasher) { hasher.combine(turn) }
    }

    private init(_ connection: any Connection, _ time: Timestamp, _ isAsAssumed: @escaping PremiseCheck) {
        self.connection = connection
        self.time = time
        self.isAsAssumed = isAsAssumed
    }

    /// - Parameters:
    ///   - limits: For turns of one user that no exchange has paid for yet.
    ///   - memory: Asked in the first attempt for sessions of which nothing needs to be read.
    ///   - isAsAssumed: Asked for turns with a premise.
    static func append(
        _ turns: [TurnDraft], _ connection: any Connection, at time: Timestamp,
        within limits: (MessageLimits, beside: MessageHolds)? = nil,
        memory: SessionClaim.Memory = { _ in nil }, isAsAssumed: @escaping PremiseCheck = { _, _, _ in true }
    ) throws -> [AppendOutcome] {
        let known = turns.filter { !($0.trial?.begin() ?? false) }
        var batch = TurnBatch(connection, time, isAsAssumed)
        if known.isEmpty { batch.takeSessions(of: turns, from: memory) }
        do {
            return try append(turns, lookingFor: known, batch, within: limits)
        } catch let error as DatabaseError where error.failure == .data && known.count < turns.count {
            // A caller may repeat a turn of its own accord. The second time all are looked for, and what is then refused
            // is refused for good.
            throw DatabaseError(.retryTransaction, error.reason, code: error.code)
        }
    }

    /// - Parameter known: The turns that may be stored already.
    private static func append(
        _ turns: [TurnDraft], lookingFor known: [TurnDraft], _ batch: TurnBatch,
        within limits: (MessageLimits, beside: MessageHolds)?
    ) throws -> [AppendOutcome] {
        let connection = batch.connection
        var batch = batch
        if batch.claim == nil {
            try batch.lock(turns)
            try batch.findStored(known)
        }
        if let (limits, holds) = limits { try limits.check(batch.additions(turns), beside: holds, connection) }
        var outcomes = try turns.map { try batch.plan($0) }
        var unsent = batch.claim.map { [$0.write(batch.sessions)] } ?? []
        try batch.storeSystems(behind: &unsent)
        var writes = try batch.insertions(behind: &unsent)
        if batch.planned.contains(where: { $0.plan.superseded != nil }) {
            try connection.execute(writes)
            writes = []
            try batch.supersede(&outcomes, of: turns)
        }
        try connection.execute(writes + batch.updates())
        return outcomes
    }

    private mutating func takeSessions(of turns: [TurnDraft], from memory: SessionClaim.Memory) {
        claim = SessionClaim(turns, connection.dialect, from: memory)
        sessions = claim?.sessions ?? [:]
        locked = sessions
    }

    private mutating func lock(_ turns: [TurnDraft]) throws {
        let keys = Set(turns.map(\.key)).sorted()
        for chunk in keys.chunks(ConversationSQL.lookupSize(connection.dialect)) {
            let lock = ConversationSQL.lockForAppending(chunk, connection.dialect)
            try connection.forEach(lock) { row in
                let session = try SessionRow.appending(row)
                sessions[session.key] = session
                return .next
            }
        }
        locked = sessions
    }

    /// The locked sessions, and how many messages the turns that are not stored yet add to each.
    private func additions(_ turns: [TurnDraft]) -> [(session: Session, count: Int)] {
        let new = turns.filter { stored[StoredTurnKey(session: $0.key, turn: $0.id)] == nil }
        let counts = Dictionary(new.map { ($0.key, $0.messages.count) }, uniquingKeysWith: +)
        return counts.compactMap { key, count in sessions[key].map { ($0, count) } }
    }

    private mutating func findStored(_ turns: [TurnDraft]) throws {
        for chunk in turns.chunks(ConversationSQL.lookupSize(connection.dialect)) {
            let found = try connection.rows(ConversationSQL.stored(chunk.map { ($0.key, $0.id) })) { row in
                (
                    StoredTurnKey(
                        session: SessionKey(owner: try row.value(0), session: try row.value(1)), turn: try row.value(2)),
                    try row.value(3, as: Int64.self)
                )
            }
            for (key, firstSeq) in found { stored[key] = firstSeq }
        }
    }

    /// The outcome, as if the wish to supersede had found nothing: `supersede` fills in the rest.
    private mutating func plan(_ turn: TurnDraft) throws -> AppendOutcome {
        let key = StoredTurnKey(session: turn.key, turn: turn.id)
        if let firstSeq = stored[key] { return .alreadyStored(firstSeq: firstSeq) }
        guard holdsPremise(of: turn) else { return .changedByOthers }
        guard var session = sessions[turn.key] else { return .sessionDeleted }
        let retry = try laterAttempt(of: turn, session)
        if retry == nil, let system = turn.system, system.digest != session.systemDigest { systems[turn.key] = system }
        if session.settings.lacksModel(of: turn) { models += ConversationSQL.model(of: turn) }
        let knowsBase = try retry == nil && isBaseAsKnown(turn, session)
        let plan = session.append(turn, overtakenBy: retry, knowsBase: knowsBase, at: time)
        sessions[turn.key] = session
        stored[key] = plan.firstSeq
        planned.append((turn, plan))
        return .stored(
            StoredTurn(
                firstSeq: plan.firstSeq, messageCount: turn.messages.count, version: session.version,
                superseded: plan.isAppendedInstead ? .appendedInstead : .notAsked))
    }

    /// Whether the session is as the turn's exchange took it to be. One that has expired since may be gone.
    private func holdsPremise(of turn: TurnDraft) -> Bool {
        guard let premise = turn.premise else { return true }
        let session = locked[turn.key]
        if session == nil, let expiry = premise.expiresAt, expiry <= time { return true }
        return isAsAssumed(premise, turn.key, session?.version)
    }

    /// Whether the newest turn that the exchange knew ends where it knew it to end, and so all before it is as it was.
    /// Asked only where something came meanwhile and the turn wants to take the place of what it knew.
    private func isBaseAsKnown(_ turn: TurnDraft, _ session: Session) throws -> Bool {
        guard turn.supersedes.fromSeq != nil, turn.baseSeq < session.nextSeq, case .after(let known) = turn.baseTurn
        else { return false }
        let end = try connection.first(ConversationSQL.end(of: known, in: turn.key)) { try $0.value(0, as: Int64.self) }
        return end == turn.baseSeq
    }

    /// Where the client's later attempt of the same request begins, if that one is stored already.
    ///
    /// Without an idempotency key only a cancelled turn can be overtaken: of every other one a client has seen the end.
    private func laterAttempt(of turn: TurnDraft, _ session: Session) throws -> Int64? {
        guard turn.baseSeq < session.nextSeq else { return nil }
        if turn.idempotencyKey != nil, let last = session.attempt(repeatedBy: turn) {
            return try isEarlier(turn, than: last) ? last.firstSeq : nil
        }
        guard turn.status == .cancelled else { return nil }
        let inBatch = planned.last { other in
            other.draft.key == turn.key && other.draft.baseSeq == turn.baseSeq
                && other.draft.requestDigest == turn.requestDigest && other.draft.attempt > turn.attempt
        }
        if let inBatch { return inBatch.plan.firstSeq }
        return try connection.first(ConversationSQL.laterAttempt(of: turn)) { try $0.optional(0, as: Int64.self) }
            ?? nil
    }

    /// Whether a turn answers an earlier attempt than the newest one, which came under the same key. Where neither is known
    /// to be a repetition, as each reached another process, a cancelled one is taken for the earlier.
    private func isEarlier(_ turn: TurnDraft, than last: LastTurn) throws -> Bool {
        if turn.status == .cancelled, !turn.supersedes.retriesLastTurn { return true }
        if let inBatch = planned.last(where: { $0.draft.id == last.id }) { return inBatch.draft.attempt > turn.attempt }
        let query = ConversationSQL.attempt(of: last.id, in: turn.key)
        return try connection.first(query) { try $0.value(0, as: Int64.self) } ?? 0 > Int64(turn.attempt)
    }

    /// New messages and turns, behind what has to be sent before. Their media are stored at once.
    private func insertions(behind unsent: inout [BulkWrite]) throws -> [BulkWrite] {
        let messages = BulkRows(
            width: ConversationSQL.insertMessages.width, capacity: planned.reduce(0) { $0 + $1.draft.byteCount })
        let turns = BulkRows(width: ConversationSQL.insertTurns.width, capacity: planned.count * 256)
        for (draft, plan) in planned {
            ConversationSQL.append(draft, plan.firstSeq, at: time, to: turns)
            for (index, message) in draft.messages.enumerated() {
                let body = DetachedBody(message.body)
                if !body.blobs.isEmpty { try send(&unsent) }
                try BlobStore(connection).store(body.blobs, of: draft.key)
                ConversationSQL.append(
                    message, body, plan.firstSeq + Int64(index), of: draft, at: time, to: messages)
            }
        }
        return unsent + [
            BulkWrite(ConversationSQL.insertMessages, rows: messages),
            BulkWrite(ConversationSQL.insertTurns, rows: turns),
        ]
    }

    /// In the order of the turns, so that one of this batch may supersede an earlier one of it.
    private mutating func supersede(_ outcomes: inout [AppendOutcome], of turns: [TurnDraft]) throws {
        var wishes = planned[...]
        for index in turns.indices {
            guard case .stored(var turn) = outcomes[index], let (draft, plan) = wishes.popFirst() else { continue }
            guard let range = plan.superseded else { continue }
            let by = plan.overtakenBy ?? plan.firstSeq
            let count = try connection.execute(ConversationSQL.supersede(draft.key, range, by: by))
            sessions[draft.key]?.counters.messages -= Int64(count)
            if let retry = plan.overtakenBy {
                turn.superseded = .overtaken(byRetryAt: retry)
            } else if plan.isInPart {
                turn.superseded = .doneInPart(fromSeq: range.lowerBound, messages: count)
            } else if !plan.isAppendedInstead {
                turn.superseded = .done(fromSeq: range.lowerBound, messages: count)
            }
            outcomes[index] = .stored(turn)
        }
    }

    private func storeSystems(behind unsent: inout [BulkWrite]) throws {
        if !systems.isEmpty { try send(&unsent) }
        for (key, system) in systems.sorted(by: { $0.key < $1.key }) {
            try connection.execute(ConversationSQL.setSystem(key, system, connection.dialect))
        }
    }

    /// What other statements need done first.
    private func send(_ unsent: inout [BulkWrite]) throws {
        try connection.execute(unsent)
        unsent = []
    }

    /// What the turns change of their sessions, unless that was claimed, and of what these add up to.
    private func updates() -> [BulkWrite] {
        let changed = Set(planned.map(\.draft.key)).sorted()
        let updated = claim == nil ? changed : []
        let rows = BulkRows(width: ConversationSQL.updateSessions.width, capacity: updated.count * 256)
        for key in updated { if let session = sessions[key] { ConversationSQL.append(session, to: rows) } }
        return [
            BulkWrite(ConversationSQL.fillModel, rows: models), BulkWrite(ConversationSQL.setTitle, rows: titles()),
            BulkWrite(ConversationSQL.updateSessions, rows: rows),
            SessionSums.addition(of: changed.compactMap(change), connection.dialect),
        ]
    }

    /// Of sessions that have none: the first that comes.
    private func titles() -> [SQLValue] {
        planned.flatMap { draft, _ in
            draft.title.map { [.text($0), .id(draft.key.owner), .id(draft.key.session)] } ?? [SQLValue]()
        }
    }

    private func change(of key: SessionKey) -> (SessionKey, SessionSums)? {
        guard let before = locked[key], let after = sessions[key] else { return nil }
        return (key, SessionSums(active: after) - SessionSums(active: before))
    }
}

extension Array {
    /// The elements in slices of up to `size`.
    func chunks(_ size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}

extension TurnDraft: LaneItem {
    /// Turns of one session go the same way, in order.
    public var shardKey: UInt64 { key.session.shardKey }

    public var byteCount: Int {
        let rows = 200 * (messages.count + 2)
        return messages.reduce(rows + (system?.body.readableBytes ?? 0)) {
            $0 + $1.body.readableBytes + ($1.citations?.readableBytes ?? 0)
        }
    }
}
