import NIOCore
import NIOHTTP1
import OpenAIWire
package import TurnpikeKit

/// Reads what one request needs of its session, and plans on it, inside one closure: on a database thread where the
/// history comes from there.
struct SessionHistory: Sendable {
    struct Found: Sendable {
        var plan: HistoryPlan
        /// The bodies of the stored messages that go in front.
        var injected: [ByteBuffer] = []
        /// The session's instructions, where the plan says so.
        var instructions: [ByteBuffer] = []
    }

    let planner: TurnPlanner
    let turn: IncomingTurn
    let repetition: Repetition
    /// Whether stored messages go upstream at all.
    let injects: Bool

    /// How often a session is read again that is written to meanwhile.
    private static let maximumReadings = 16

    /// Plans on one state of the session: two statements may see different ones, and the session's version tells.
    func read(_ reader: any HistoryReading, startingWith known: Session) throws -> Found {
        var session = known
        for _ in 0..<Self.maximumReadings {
            reader.startOver()
            let found = try plan(reader, session)
            guard let after = try reader.session(session.key) else { throw GatewayError.sessionNotFound }
            if after.version == session.version { return found }
            session = after
        }
        throw GatewayError.unavailable(
            "session_busy", "The session is being written to by too many requests at once. Try again.")
    }

    private func plan(_ reader: any HistoryReading, _ session: Session) throws -> Found {
        if planner.needsWholeOutline(for: turn, after: session.lastTurn, repetition: repetition) {
            return try planOnOutline(reader, session)
        }
        guard injects else { return try finish(Found(plan: plan(session, [])), reader, session) }
        let newest = try reader.newest(max(1, planner.maxHistoryMessages), of: session.key)
            .filter { $0.seq < session.nextSeq }
        let outline = outline(session, newest.map(\.outline))
        guard planner.canPlan(with: outline) else { return try planOnOutline(reader, session) }
        let plan = plan(outline, session)
        let injected = newest.filter { plan.injected?.contains($0.seq) ?? false }.map(\.body)
        return try finish(Found(plan: plan, injected: injected), reader, session)
    }

    private func planOnOutline(_ reader: any HistoryReading, _ session: Session) throws -> Found {
        let entries = try reader.outlines(of: session.key, in: 0..<session.nextSeq)
        let whole = HistoryOutline(
            entries: entries, activeCount: entries.count, nextSeq: session.nextSeq, lastTurn: session.lastTurn)
        var found = Found(plan: plan(whole, session))
        if injects, let seqs = found.plan.injected {
            found.injected = try reader.messages(of: session.key, in: seqs).map(\.body)
        }
        return try finish(found, reader, session)
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
    private func finish(_ found: Found, _ reader: any HistoryReading, _ session: Session) throws -> Found {
        var found = found
        guard injects else {
            found.plan.withholdHistory()
            return found
        }
        guard found.plan.instructions == .fromSession, let system = try reader.system(session.key) else { return found }
        found.instructions = try JSONArray.elements(of: system.body).map(\.bytes)
        return found
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
