import Logging
import NIOCore
import OpenAIWire
import Persistence
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

/// Conversations by chance through the whole planning, with budgets and cuts, against the naive rules: no message lost,
/// doubled or reordered, no result without its call, no budget exceeded, no prefix that changes between cuts.
@Suite struct HistoryPropertyTests {
    @Test func theModelSeesWhatTheNaiveRulesSay() async throws {
        let files = SQLiteFixture()
        let database = try await files.open()
        _ = try await Migrator(ConversationStore.migrations, logger: Logger(label: "test")).migrate(database)
        let session = try await ConversationStore(database: database).create(SessionDraft(owner: .generate()))
        await database.close()
        for seed in UInt64(1)...60 {
            var run = Run(seed: seed, session)
            for step in 0..<60 {
                if let difference = try run.step() {
                    Issue.record("seed \(seed), step \(step): \(difference)")
                    return
                }
            }
        }
    }
}

/// One conversation.
private struct Run {
    private var script: ConversationScript
    private var naive = NaiveHistory()
    private let memory: MemorySession
    private let rules: HistoryRules
    /// The contexts of the model that the conversation is mostly led with, and of another one.
    private let windows: (Int, Int)
    private var window: Int
    private var last: (step: ConversationScript.Step, base: Int64)?
    private var before: (sent: [String], first: Int64)?

    init(seed: UInt64, _ session: Session) {
        script = ConversationScript(seed: seed)
        memory = MemorySession(session)
        var rules = HistoryRules()
        rules.maxMessages = script.random.pick([0, 1, 3, 6, 20, 1_000])
        rules.truncation = script.random.pick([.rolling, .stable])
        rules.retentionRatio = script.random.pick([0.3, 0.7, 1])
        rules.reservedOutput = script.random.pick([0, 30])
        self.rules = rules
        windows = (
            script.random.pick([60, 200, 500, 2_000, 100_000]), script.random.pick([60, 200, 500, 2_000, 100_000])
        )
        window = windows.0
    }

    /// One request, or two at once; nil if all is as it should be.
    mutating func step() throws -> String? {
        window = script.random.below(6) == 0 ? windows.1 : windows.0
        let view = naive.active.map(\.body)
        let step = script.step(view, last: last?.step)
        let known = step.isRetry && last != nil ? naive.withoutLastTurn : naive
        guard let one = try planned(step, known) else { return nil }
        if let difference = one.difference ?? check(one, step) { return difference }
        let result = script.random.below(2) == 0 ? script.late(view) : nil
        let beside = ConversationScript.Step(messages: result ?? [ConversationScript.user("beside")], isNewOnly: true)
        let other = script.random.below(12) == 0 ? try planned(beside, naive) : nil
        before =
            step.isNewOnly && !step.isRetry && !one.borrows ? one.plan.injected.map { (one.sent, $0.lowerBound) } : nil
        last = (step, one.plan.baseSeq)
        let answer = script.answer()
        memory.append(try one.draft(answer))
        naive.store(one.expected, step.messages, answer: answer)
        if let other {
            if let difference = other.difference { return difference }
            memory.append(try other.draft(answer))
            naive.storeBehind(other.expected, beside.messages, answer: answer)
            (last, before) = (nil, nil)
        }
        if memory.active.map({ String(buffer: $0.body) }) != naive.active.map(\.body) { return "the session differs" }
        if Int(memory.session.counters.messages) != naive.active.count { return "the counter differs" }
        return memory.session.contextStartSeq == naive.position
            ? nil
            : "the position is \(memory.session.contextStartSeq), not \(naive.position); retry \(step.isRetry), other \(other?.plan.contextStart as Any), moved \(one.plan.contextStart as Any) \(one.expected.position as Any), sent from \(one.plan.injected as Any), unlisted \(one.history.snapshot.plan.droppedCount), \(rules), repeats \(one.plan.repeatsLastTurn), superseded \(one.plan.supersededFrom as Any)"
    }

    private struct Planned {
        let history: PlannedHistory
        let fitted: PlannedHistory.Fitted
        let context: SessionContext
        let expected: NaiveHistory.Expected
        var plan: HistoryPlan { fitted.plan }
        var sent: [String] { (fitted.messages ?? history.turn.messages.map(\.body)).map { String(buffer: $0) } }
        var difference: String? {
            sent == expected.sent ? nil : "sent \(sent), expected \(expected.sent); \(plan.summary)"
        }

        /// Whether the request answers a call that lies before what is sent: that is shown for it alone.
        var borrows: Bool {
            guard let first = plan.injected?.lowerBound else { return false }
            let snapshot = history.snapshot
            let start = snapshot.stored.indices.first { snapshot.stored[$0].seq >= first } ?? 0
            return snapshot.replayed(from: start)?.shown.contains { $0 < start } ?? false
        }

        func draft(_ answer: String) throws -> TurnDraft {
            let turn = PlannedTurn(history, plan, context, target: Run.target)
            return try TurnDraft(
                id: .generate(), turn, in: context.session.key, answer: ByteBuffer(string: answer))
        }
    }

    fileprivate static let target = RouteTarget(provider: Provider(name: "p", baseURL: "http://p"), model: "m")

    /// The plan of both; nil where both refuse what the client sent. What is read has room for calls that nobody answered:
    /// they count for the reading and not for the sending.
    private func planned(_ step: ConversationScript.Step, _ known: NaiveHistory) throws -> Planned? {
        let body = "{\"model\":\"m\",\"messages\":[\(step.messages.joined(separator: ","))]}"
        let request = try ChatRequest(scanning: ByteBuffer(string: body))
        let turn = try IncomingTurn(request)
        let mostTokens = 4 * window
        let context = SessionContext(session: memory.session, mode: step.mode, attempt: step.isRetry ? 1 : 0)
        let reading = SessionHistory(
            planner: TurnPlanner(mode: step.mode, maxHistoryMessages: rules.maxMessages), turn: turn,
            repetition: context.repetition(earlier: step.isRetry ? last?.base : nil), rules: rules,
            mostTokens: mostTokens)
        let snapshot = try reading.read(memory, startingWith: memory.session).snapshot
        let history = PlannedHistory(
            request, turn, snapshot, in: memory.session.key, rules: rules, models: OneModel(contextWindow: window))
        let fixed = step.messages.reduce(3) { $0 + NaiveHistory.tokens($1) }
        let budget = window - fixed - min(rules.reservedOutput, window / 4)
        let settings = NaiveHistory.Settings(
            mode: step.mode, maxMessages: rules.maxMessages, isStable: rules.truncation == .stable,
            ratio: rules.retentionRatio, budget: max(0, budget))
        let expected = known.expected(step.messages, settings)
        do {
            let fitted = try history.fit(to: Self.target)
            return Planned(history: history, fitted: fitted, context: context, expected: expected)
        } catch {
            #expect(error.code == "context_length_exceeded")
            let goesOn = step.messages.contains { $0.hasPrefix(#"{"role":"tool""#) }
            // The call that a result of the request answers is sent in any case.
            #expect(fixed > window || (goesOn && Self.tokens(expected.sent) + 100 > window))
            return nil
        }
    }

    private static func tokens(_ messages: [String]) -> Int { messages.reduce(3) { $0 + NaiveHistory.tokens($1) } }

    /// What has to hold whatever the rules say.
    private func check(_ one: Planned, _ step: ConversationScript.Step) -> String? {
        let injected = one.sent.dropLast(step.messages.count)
        if Self.tokens(step.messages) > window { return "what the client sent is too long and was not refused" }
        if !injected.isEmpty, step.messages[0].hasPrefix(#"{"role":"user""#), Self.tokens(one.sent) > window {
            return "the budget is exceeded"
        }
        for (index, message) in injected.enumerated() where message.hasPrefix(#"{"role":"tool""#) {
            let call = one.sent[..<index].last { !$0.hasPrefix(#"{"role":"tool""#) } ?? ""
            let isAnswer = NaiveHistory.calls(call).contains(NaiveHistory.result(message))
            if !isAnswer, !step.messages.contains(message) { return "a result without its call: \(message)" }
        }
        if let before, step.isNewOnly, !step.isRetry, one.plan.injected?.lowerBound == before.first {
            if !one.sent.starts(with: before.sent) { return "the prefix changed without a cut" }
        }
        return nil
    }
}
