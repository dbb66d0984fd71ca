import NIOCore
import NIOHTTP1
import OpenAIWire
package import TurnpikeKit

/// Reads what one request needs of its session, and plans on it, inside one closure: on a database thread where the
/// history comes from there.
struct SessionHistory: Sendable {
    /// What was read: a reference, so that async functions hold a word of it.
    final class Found: Sendable {
        let snapshot: HistorySnapshot
        init(_ snapshot: consuming HistorySnapshot) { self.snapshot = snapshot }
    }

    let planner: TurnPlanner
    let turn: IncomingTurn
    let repetition: Repetition
    /// `nil` where no stored message goes upstream at all.
    let rules: HistoryRules?
    /// Tokens that no target has room for: what is older than so much need not be read. Asked for long histories only.
    let mostTokens: @Sendable () -> Int

    init(
        planner: TurnPlanner, turn: IncomingTurn, repetition: Repetition, rules: HistoryRules?,
        mostTokens: @autoclosure @escaping @Sendable () -> Int
    ) {
        self.planner = planner
        self.turn = turn
        self.repetition = repetition
        self.rules = rules
        self.mostTokens = mostTokens
    }

    /// How often a session is read again that is written to meanwhile.
    private static let maximumReadings = 16
    /// Above this limit on messages their bodies are read only after it is known how many of them can be sent.
    private static let maximumBlindMessages = 256

    /// Plans on one state of the session: two statements may see different ones, and the session's version tells.
    func read(_ reader: any HistoryReading, startingWith known: Session) throws -> Found {
        var session = known
        for _ in 0..<Self.maximumReadings {
            reader.startOver()
            var snapshot = try plan(reader, session)
            snapshot.knownTurn = KnownTurn(session)
            let older = try answeredCalls(before: snapshot, reader, session)
            guard let after = try reader.session(session.key) else { throw GatewayError.sessionNotFound }
            if after.version == session.version {
                snapshot.contextStart = session.contextStartSeq
                snapshot.show(
                    ToolRounds(
                        snapshot.stored, older: older, before: turn.messages,
                        replaysPartial: rules?.replaysPartialAnswers ?? true))
                return Found(snapshot)
            }
            session = after
        }
        throw GatewayError.unavailable(
            "session_busy", "The session is being written to by too many requests at once. Try again.")
    }

    /// How many messages before those that are sent are looked at for a call that the request answers.
    private static let maximumSearchedMessages = 512

    /// The messages before the stored ones whose calls the request answers: the conversation has gone on since.
    private func answeredCalls(before snapshot: HistorySnapshot, _ reader: any HistoryReading, _ session: Session)
        throws -> [StoredMessage]
    {
        guard snapshot.plan.droppedCount > 0 else { return [] }
        var missing = ToolRounds.missingCalls(of: turn.messages, in: snapshot.stored)
        guard !missing.isEmpty else { return [] }
        // Where none are injected, those that the client repeats lie behind them.
        let dropped = try reader.outlines(of: session.key, in: 0..<(snapshot.stored.first?.seq ?? session.nextSeq))
            .prefix(snapshot.plan.droppedCount)
        var found: [StoredMessage] = []
        for outline in dropped.suffix(Self.maximumSearchedMessages).reversed()
        where outline.role == .assistant && !missing.isEmpty {
            for message in try reader.messages(of: session.key, in: outline.seq..<outline.seq + 1) {
                let ids = missing.intersection((try? ChatMessage(scanning: message.body))?.toolCallIDs ?? [])
                guard !ids.isEmpty else { continue }
                missing.subtract(ids)
                found.insert(message, at: 0)
            }
        }
        return found
    }

    private func plan(_ reader: any HistoryReading, _ session: Session) throws -> HistorySnapshot {
        if planner.needsWholeOutline(for: turn, after: session.lastTurn, repetition: repetition) {
            return try planOnOutline(reader, session)
        }
        guard rules != nil else { return try finish(HistorySnapshot(plan: plan(session, [])), reader, session) }
        guard planner.maxHistoryMessages <= Self.maximumBlindMessages else {
            return try planOnOutline(reader, session)
        }
        var newest = try reader.newestRun(max(1, planner.maxHistoryMessages), of: session.key)
        if let last = newest.last, last.seq >= session.nextSeq { newest = newest.prefix { $0.seq < session.nextSeq } }
        let outline = outline(session, StoredRun(newest).outlines)
        guard planner.canPlan(with: outline) else { return try planOnOutline(reader, session) }
        let plan = plan(outline, session)
        let stored = StoredRun(plan.injected.map { Self.messages(newest, in: $0) } ?? [])
        return try finish(HistorySnapshot(plan: plan, stored: stored), reader, session)
    }

    /// Those of a range, which mostly are all of them.
    private static func messages(_ all: ArraySlice<StoredMessage>, in seqs: Range<Int64>) -> ArraySlice<StoredMessage> {
        all.drop { $0.seq < seqs.lowerBound }.prefix { $0.seq < seqs.upperBound }
    }

    private func planOnOutline(_ reader: any HistoryReading, _ session: Session) throws -> HistorySnapshot {
        var entries = try reader.outlines(of: session.key, in: 0..<session.nextSeq)
        try renewDigests(&entries, reader, session)
        let whole = HistoryOutline(
            entries: entries, activeCount: entries.count, nextSeq: session.nextSeq, lastTurn: session.lastTurn)
        var snapshot = HistorySnapshot(plan: plan(whole, session))
        if rules != nil, snapshot.plan.injected != nil {
            snapshot.plan.leaveOut(whole, beyond: mostTokens())
            if let seqs = snapshot.plan.injected {
                snapshot.stored = StoredRun(try reader.messages(of: session.key, in: seqs)[...])
            }
        }
        return try finish(snapshot, reader, session)
    }

    /// How many bodies are read at once to make their digests anew.
    private static let renewedAtOnce = 64

    /// Makes the digests anew that an earlier release made by other rules.
    private func renewDigests(_ entries: inout [MessageOutline], _ reader: any HistoryReading, _ session: Session)
        throws
    {
        let current = Int(MessageDigest.version)
        guard turn.showsAnswers || planner.mode == .replace else { return }
        let old = entries.indices.filter { entries[$0].digestVersion != current }
        for chunk in old.chunks(Self.renewedAtOnce) {
            guard let first = chunk.first, let last = chunk.last else { continue }
            let seqs = entries[first].seq..<entries[last].seq + 1
            var bodies: [Int64: ByteBuffer] = [:]
            for message in try reader.messages(of: session.key, in: seqs) { bodies[message.seq] = message.body }
            for index in chunk {
                guard let body = bodies[entries[index].seq] else { continue }
                entries[index].digest = StoredDigest(try MessageDigest(messageJSON: body))
                entries[index].digestVersion = current
            }
        }
    }

    private func plan(_ session: Session, _ entries: [MessageOutline]) -> HistoryPlan {
        plan(outline(session, entries), session)
    }

    private func plan(_ outline: HistoryOutline, _ session: Session) -> HistoryPlan {
        planner.plan(
            turn, after: outline, hasStoredInstructions: session.systemDigest != nil, repetition: repetition)
    }

    private func outline(_ session: Session, _ entries: [MessageOutline]) -> HistoryOutline {
        HistoryOutline(
            entries: entries, activeCount: max(entries.count, Int(session.counters.messages)),
            nextSeq: session.nextSeq, lastTurn: session.lastTurn)
    }

    /// Adds the session's instructions, or takes away what is not to be sent.
    private func finish(_ snapshot: consuming HistorySnapshot, _ reader: any HistoryReading, _ session: Session) throws
        -> HistorySnapshot
    {
        guard rules != nil else {
            snapshot.plan.withholdHistory()
            return snapshot
        }
        guard snapshot.plan.instructions == .fromSession, let system = try reader.system(session.key) else {
            return snapshot
        }
        snapshot.instructions = try JSONArray.elements(of: system.body).map(\.bytes)
        return snapshot
    }
}

extension HistoryPlan {
    /// Makes it a plan that sends the request as it is. What the turn stores and supersedes stays.
    mutating func withholdHistory() {
        injected = nil
        injectedCount = 0
        droppedCount = 0
        instructions = .fromRequest
        reason = .switchedOff
    }

    /// Leaves the oldest messages out that no model has room for, as far as their stored counts tell: they are not even
    /// read. Counts of another encoding may be twice as high. Calls that nobody answered count here, where nobody can tell
    /// them yet, and are not sent: a session full of them sends less than there would be room for.
    fileprivate mutating func leaveOut(_ outline: HistoryOutline, beyond tokens: Int) {
        guard let seqs = injected else { return }
        var sum = 0
        var first = seqs.upperBound
        for index in outline.entries.indices.reversed() where seqs.contains(outline.entries[index].seq) {
            sum += (outline.entries[index].tokens ?? 0) / 2
            // The newest turn is always read: the request may answer its call.
            if sum > tokens, first < seqs.upperBound { break }
            if outline.mayBegin(index) || outline.entries[index].seq == seqs.lowerBound {
                first = outline.entries[index].seq
            }
        }
        let left = outline.entries.count { seqs.contains($0.seq) && $0.seq < first }
        guard left > 0 else { return }
        injected = first..<seqs.upperBound
        injectedCount -= left
        droppedCount += left
        reason = .tokenBudget
    }
}

extension GatewayError {
    /// The stored messages that would go in front of a request are more than one request may have.
    static func historyTooLarge(limit: Int) -> GatewayError {
        GatewayError(
            .client, .payloadTooLarge, code: "history_too_large",
            "The session's history is larger than the \(limit) bytes that can be sent with a request. "
                + "Lower max_history_messages, or begin a new session.", param: "session_id")
    }

    /// There is no such session for this user: whether somebody else has one is not told.
    package static let sessionNotFound = GatewayError(
        .client, .notFound, code: "session_not_found", "There is no session with this id.", param: "session_id")
}
