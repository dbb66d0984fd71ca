import NIOCore
import OpenAIWire

/// Stored messages as they are shown to a model again: byte for byte, except for what no model accepts.
///
/// No upstream takes a call of tools without its results, nor a result without its call in front of it:
/// - Calls that the messages right behind them do not answer are taken out of their message, and the message with them if
///   nothing else is said in it.
/// - Results that come later, because others spoke meanwhile or the first ones were sent alone, have their call shown again
///   right in front of them, without what was said beside it. What a model was sent before stays as it was.
/// - A stored result whose call is not among what is shown is left out. What the request itself sends never is.
struct ReplayedMessages: Sendable {
    /// The stored bodies, each `nil` where the message is left out.
    fileprivate(set) var bodies: [ByteBuffer?]
    /// Calls that are shown again, by the index of the result that they stand in front of. The request's messages are
    /// counted behind the stored ones.
    fileprivate(set) var calls: [Int: ByteBuffer] = [:]
    /// The indices of stored messages of which some part is shown; negative for those that are older than the stored ones.
    fileprivate(set) var shown: Set<Int> = []

    /// Whether calls of tools stand in a message, whose results are to follow it.
    static func callsTools(_ message: StoredMessage) -> Bool {
        message.outline.role == .assistant && MessageMembers.callsTools(message.body)
    }
}

/// The tool calls among stored messages and a request's, and the results that answer them: looked at once, shown from
/// wherever a cut leaves the history.
struct ToolRounds: Sendable {
    fileprivate enum Part: Sendable {
        case call(ids: [String])
        case result(id: String?)
        case other
        /// An answer that broke off, where such are not shown.
        case hidden
    }

    private let stored: StoredRun
    private let older: [StoredMessage]
    private let parts: [Part]
    private let olderIDs: [[String]]

    /// - Parameters:
    ///   - older: messages before the stored ones whose calls the request answers, oldest first.
    ///   - next: the client's messages, which may answer stored calls.
    /// - Returns: nil where all are shown as they are stored.
    init?(
        _ stored: StoredRun, older: [StoredMessage] = [], before next: [IncomingTurn.Message], replaysPartial: Bool
    ) {
        // Memory has looked: most histories need no second look at each message.
        let isPlain = stored.withMessages { messages in
            messages.indices.allSatisfy {
                messages[$0].callsTools == false && !messages[$0].isPartial && messages[$0].outline.role != .tool
            }
        }
        if isPlain, older.isEmpty { return nil }
        self.stored = stored
        self.older = older
        parts =
            stored.map { $0.isPartial && !replaysPartial ? .hidden : Self.part($0) }
            + next.map { Self.part($0.role, $0.body) }
        olderIDs = older.map { Self.callIDs($0.body) }
    }

    private static func part(_ message: StoredMessage) -> Part {
        message.callsTools == false && message.outline.role != .tool ? .other : part(message.outline.role, message.body)
    }

    private static func part(_ role: MessageRole, _ body: ByteBuffer) -> Part {
        switch role {
        case .assistant: MessageMembers.callsTools(body) ? .call(ids: callIDs(body)) : .other
        case .tool: .result(id: resultID(body))
        default: .other
        }
    }

    private static func callIDs(_ body: ByteBuffer) -> [String] {
        (try? ChatMessage(scanning: body))?.toolCallIDs ?? []
    }

    private static func resultID(_ body: ByteBuffer) -> String? { (try? ChatMessage(scanning: body))?.toolCallID }

    /// The ids of the request's results in front of which nothing calls them, neither stored messages nor its own. What is
    /// answered is not called: some clients use an id again for each of their calls.
    static func missingCalls(of next: [IncomingTurn.Message], in stored: StoredRun) -> Set<String> {
        let ids = Set(next.filter { $0.role == .tool }.compactMap { resultID($0.body) })
        if ids.isEmpty { return [] }
        var (open, missing): ([String: Int], Set<String>) = ([:], [])
        func look(_ part: Part, isStored: Bool) {
            switch part {
            case .call(let called): for id in called where ids.contains(id) { open[id, default: 0] += 1 }
            case .result(let id?) where open[id, default: 0] > 0: open[id, default: 0] -= 1
            case .result(let id?) where !isStored: missing.insert(id)
            case .result, .other, .hidden: break
            }
        }
        for message in stored { look(part(message), isStored: true) }
        for message in next { look(part(message.role, message.body), isStored: false) }
        return missing
    }

    /// What is shown of a history that begins with the stored message at `start`.
    ///
    /// The request's results find calls before `start` too: they cannot be left out.
    func replayed(from start: Int = 0) -> ReplayedMessages {
        var placing = Placing()
        for place in start..<stored.count { placing.take(parts[place], at: place) }
        placing.addCalls(before: earlierCalls(than: start))
        for place in stored.count..<parts.count { placing.take(parts[place], at: place) }
        var replayed = ReplayedMessages(bodies: Array(repeating: nil, count: stored.count))
        let answeredAtOnce = placing.answeredAtOnce
        for place in start..<stored.count {
            guard let body = body(place, placing.answers, answeredAtOnce) else { continue }
            replayed.bodies[place] = body
            replayed.shown.insert(place)
        }
        // A call of the request's own stays where its client put it.
        for round in placing.rounds where round.isAgain && round.caller < stored.count {
            let body = round.caller < 0 ? older[older.count + round.caller].body : stored[round.caller].body
            replayed.calls[round.first] = ToolCalls(body).shownAgain(with: round.ids)
            replayed.shown.insert(round.caller)
        }
        return replayed
    }

    private func earlierCalls(than start: Int) -> [(caller: Int, ids: [String])] {
        var calls = olderIDs.enumerated().map { (caller: $0.offset - older.count, ids: $0.element) }
        for place in 0..<start {
            if case .call(let ids) = parts[place] { calls.append((place, ids)) }
        }
        return calls
    }

    private func body(_ place: Int, _ answers: Set<Int>, _ answeredAtOnce: [Int: Set<String>]) -> ByteBuffer? {
        switch parts[place] {
        case .other: stored[place].body
        case .hidden: nil
        case .result: answers.contains(place) ? stored[place].body : nil
        case .call: ToolCalls(stored[place].body).shown(with: answeredAtOnce[place] ?? [])
        }
    }
}

/// Finds the call of each result, going through the messages in order. What comes later changes nothing of what was found.
private struct Placing {
    /// Results that follow one call without a gap.
    struct Round {
        let caller: Int
        /// Where the first of the results is.
        let first: Int
        /// Whether something else lies between the call and them.
        let isAgain: Bool
        var ids: Set<String> = []
    }

    private(set) var rounds: [Round] = []
    /// The results whose call is there.
    private(set) var answers: Set<Int> = []
    /// The ids that each call has, and those of them that are answered.
    private var called: [Int: Set<String>] = [:]
    private var answered: [Int: Set<String>] = [:]
    /// Who called each id, in order. Answered ones go when they are come upon at the end: some clients use an id for each of
    /// their calls, and nobody may go through all of them for each result.
    private var open: [String: [Int]] = [:]
    /// Who called each id last.
    private var newest: [String: Int] = [:]
    /// Whether the last round goes on.
    private var isOpen = false

    /// The ids that are answered right behind their call, by its index.
    var answeredAtOnce: [Int: Set<String>] {
        var ids: [Int: Set<String>] = [:]
        for round in rounds where !round.isAgain { ids[round.caller] = round.ids }
        return ids
    }

    mutating func take(_ part: ToolRounds.Part, at place: Int) {
        switch part {
        case .hidden: return
        case .other: isOpen = false
        case .call(let ids):
            for id in ids {
                open[id, default: []].append(place)
                newest[id] = place
            }
            called[place] = Set(ids)
            rounds.append(Round(caller: place, first: place + 1, isAgain: false))
            isOpen = true
        case .result(let id):
            guard let id, let caller = caller(of: id) else { return }
            if !isOpen || rounds.last?.caller != caller {
                rounds.append(Round(caller: caller, first: place, isAgain: true))
                isOpen = true
            }
            rounds[rounds.count - 1].ids.insert(id)
            answered[caller, default: []].insert(id)
            answers.insert(place)
        }
    }

    /// The call that a result answers: the one in front of it, else the newest that nobody answered, else the newest.
    private mutating func caller(of id: String) -> Int? {
        guard let newest = newest[id] else { return nil }
        if isOpen, let last = rounds.last?.caller, called[last]?.contains(id) ?? false { return last }
        while let last = open[id]?.last, answered[last]?.contains(id) ?? false { open[id]?.removeLast() }
        return open[id]?.last ?? newest
    }

    /// Calls that lie further back than everything until now.
    mutating func addCalls(before calls: [(caller: Int, ids: [String])]) {
        var earlier: [String: [Int]] = [:]
        for call in calls {
            for id in call.ids { earlier[id, default: []].append(call.caller) }
            called[call.caller] = Set(call.ids)
        }
        for (id, callers) in earlier {
            open[id] = callers + (open[id] ?? [])
            newest[id] = newest[id] ?? callers.last
        }
    }
}

/// A message that calls tools.
private struct ToolCalls {
    private let message: ByteBuffer
    init(_ message: ByteBuffer) { self.message = message }

    /// The message with the calls of these ids; nil where nothing is left of it.
    func shown(with ids: Set<String>) -> ByteBuffer? {
        guard let (object, calls, kept) = calls(ids) else { return message }
        if kept.count == calls.count { return message }
        if !kept.isEmpty { return object.edited([.set("tool_calls", elements: kept.map(\.bytes))]) }
        return Self.saysSomething(object) ? object.edited([.remove("tool_calls")]) : nil
    }

    /// The calls of these ids without what is said beside them, which is shown where it was said.
    func shownAgain(with ids: Set<String>) -> ByteBuffer {
        guard let (object, calls, kept) = calls(ids) else { return message }
        var edits: [JSONEdit] = []
        if kept.count < calls.count { edits.append(.set("tool_calls", elements: kept.map(\.bytes))) }
        if Self.saysSomething(object) {
            edits += [.set("content", ByteBuffer(string: "null")), .remove("refusal"), .remove("audio")]
        }
        return edits.isEmpty ? message : object.edited(edits)
    }

    private func calls(_ ids: Set<String>) -> (JSONObject, calls: [JSONValue], kept: [JSONValue])? {
        guard let object = try? JSONObject(scanning: message), let calls = try? object["tool_calls"]?.array()
        else { return nil }
        let kept = calls.filter { call in (try? call.object())?["id"]?.string.map(ids.contains) ?? false }
        return (object, calls, kept)
    }

    private static func saysSomething(_ message: JSONObject) -> Bool {
        for name in ["content", "refusal", "audio"] {
            guard let value = message.nonNull(name) else { continue }
            if value.kind != .string || value.bytes.readableBytes > 2 { return true }
        }
        return false
    }
}
