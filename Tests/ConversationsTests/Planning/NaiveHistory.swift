import NIOCore
import OpenAIWire
import TurnpikeKit

@testable import Conversations

/// The rules of the whole history a second time, over plain texts and as slowly as they can be written: which messages a
/// model is sent, and what the session holds afterwards.
struct NaiveHistory {
    struct Item: Equatable {
        var body: String
        var turn: Int
        var seq: Int64
    }

    /// What the rules are applied with.
    struct Settings {
        var mode: HistoryMode
        var maxMessages: Int
        var isStable: Bool
        var ratio: Double
        /// Tokens that the history may have.
        var budget: Int
    }

    struct Expected: Equatable {
        /// The messages, the client's included; nil where the client's alone are too long.
        var sent: [String]
        /// What stays of the session.
        var kept: [Item]
        /// How many of the client's messages are new.
        var new: Int
        /// Where the history begins from now on; nil leaves it.
        var position: Int64?
    }

    var active: [Item] = []
    var nextSeq: Int64 = 1
    var position: Int64 = 0
    var turns = 0

    static func tokens(_ body: String) -> Int { body.utf8.count / 3 + 4 }

    private func role(_ body: String) -> String {
        String(body.dropFirst(#"{"role":""#.count).prefix { $0 != "\"" })
    }

    func expected(_ messages: [String], _ settings: Settings) -> Expected {
        let answers = messages.indices.filter { role(messages[$0]) == "assistant" }
        if settings.mode == .append { return injecting(messages, known: 0, settings) }
        if settings.mode == .replace { return view(messages) }
        guard let last = answers.last else { return injecting(messages, known: 0, settings) }
        for count in (0...min(messages.count, active.count)).reversed() where count > last {
            if Array(messages[..<count]) == active.suffix(count).map(\.body) {
                return injecting(messages, known: count, settings)
            }
        }
        return view(messages)
    }

    private func view(_ messages: [String]) -> Expected {
        var common = 0
        while common < messages.count, common < active.count, messages[common] == active[common].body { common += 1 }
        while common > 0, common < active.count, active[common - 1].turn == active[common].turn { common -= 1 }
        return Expected(sent: messages, kept: Array(active[..<common]), new: messages.count - common, position: nil)
    }

    private func mayBegin(_ index: Int) -> Bool {
        index == 0 || (active[index - 1].turn != active[index].turn && role(active[index].body) != "tool")
    }

    private func injecting(_ messages: [String], known: Int, _ settings: Settings) -> Expected {
        let end = active.count - known
        let (start, position) = start(end, messages, settings)
        let sent = shown(from: start, to: end, messages).map(\.body)
        return Expected(sent: sent, kept: active, new: messages.count - known, position: position)
    }

    /// - Returns: where the history begins, and whether that moves the position.
    private func start(_ end: Int, _ messages: [String], _ settings: Settings) -> (Int, Int64?) {
        let beginnings = active.indices.filter(mayBegin)
        // What the message limit leaves.
        var first = beginnings.first { active.count - $0 <= settings.maxMessages } ?? active.count
        if first == active.count, settings.maxMessages > 0 { first = beginnings.last ?? 0 }
        let goesOn = messages.first.map { role($0) == "tool" } ?? false
        let round = goesOn ? beginnings.last { $0 < end } : nil
        if let round { first = min(first, round) }
        first = min(first, end)
        guard first < end else { return (end, nil) }
        // Where the cut is looked for, everything counts as it is shown without one.
        let all = shown(from: first, to: end, messages)
        // A call that is shown again needs nothing of what was said since.
        let needed = all.contains { $0.place == end && role($0.body) == "assistant" } && goesOn ? nil : round
        let again = all.filter { $0.place >= end }.map(\.body).reduce(0) { $0 + Self.tokens($1) }
        let budget = max(0, settings.budget - again + messages.reduce(0) { $0 + Self.tokens($1) })
        func tokens(_ start: Int) -> Int {
            all.filter { (start..<end).contains($0.place) }.reduce(0) { $0 + Self.tokens($1.body) }
        }
        func fits(_ start: Int, _ tokenLimit: Int, _ messageLimit: Int) -> Bool {
            tokens(start) <= tokenLimit && (!settings.isStable || active.count - start <= messageLimit)
        }
        let low = Int(Double(budget) * settings.ratio)
        let lowMessages = Int(Double(settings.maxMessages) * settings.ratio)
        var start = first
        let allowed = (first..<end).filter { mayBegin($0) || $0 == first }
        let isWhole = fits(first, low, lowMessages) && (!settings.isStable || first == 0)
        if !isWhole, position > active[first].seq {
            start = (first..<end).first { active[$0].seq >= position && mayBegin($0) } ?? end
        }
        var moved: Int64?
        let isBeforeLimit = settings.isStable && first > 0 && position < active[first].seq
        let isOver = !fits(start, budget, settings.maxMessages) || isBeforeLimit
        let least = Int(Double(low) * settings.ratio) * 3 / 5
        var cut =
            allowed.first { fits($0, low, lowMessages) } ?? allowed.last.flatMap {
                tokens($0) <= budget ? $0 : nil
            }
            ?? end
        if !isOver, start == first || tokens(start) >= least || cut > start { cut = start }
        // A request with a much smaller budget than the one before it cuts for itself.
        let newest = allowed.last.map { tokens(max($0, start)) } ?? 0
        let isOwn = isOver && tokens(start) - newest > budget + budget / 4
        if isOwn {
            let fitting = allowed.filter { $0 <= cut && fits($0, budget, settings.maxMessages) }
            start = roundest(fitting, allowed) ?? cut
        } else if cut != start {
            let sent = min(cut, needed ?? cut)
            moved = sent < end ? active[sent].seq : nextSeq
            start = cut
        }
        return (min(start, needed ?? start), moved)
    }

    /// The one whose turn's beginning is at, or next behind, the multiple of the highest power of two.
    private func roundest(_ fitting: [Int], _ allowed: [Int]) -> Int? {
        for power in (0..<62).reversed() {
            let found = fitting.last { index in
                let before = allowed.last { $0 < index }.map { active[$0].seq } ?? active[index].seq - 1
                return active[index].seq >> Int64(power) > before >> Int64(power)
            }
            if let found { return found }
        }
        return nil
    }

    /// What a model is shown, the request's messages included, each with its index; those are counted from `end` on.
    ///
    /// Calls stand in front of their results. Those that nobody answered are not shown. The calls of these tests say
    /// nothing beside.
    private func shown(from start: Int, to end: Int, _ messages: [String]) -> [(place: Int, body: String)] {
        let all = active[..<end].map(\.body) + messages
        var found: [(place: Int, body: String, ids: [String])] = []
        var answered: Set<String> = []
        var front: Int?
        for place in start..<all.count {
            let isOwn = place >= end
            if role(all[place]) == "tool" {
                let id = Self.result(all[place])
                let callers = ((isOwn ? 0 : start)..<place).filter { Self.calls(all[$0]).contains(id) }
                let open = callers.last { !answered.contains("\($0) \(id)") }
                guard let caller = callers.first(where: { $0 == front }) ?? open ?? callers.last else {
                    if isOwn { found.append((place, all[place], [])) }
                    continue
                }
                if caller != front, caller < end { found.append((place, all[caller], [])) }
                front = caller
                answered.insert("\(caller) \(id)")
                if let last = found.lastIndex(where: { role($0.body) == "assistant" }) { found[last].ids.append(id) }
                found.append((place, all[place], []))
            } else {
                front = Self.calls(all[place]).isEmpty ? nil : place
                found.append((place, all[place], []))
            }
        }
        return found.compactMap { entry in
            let ids = Self.calls(entry.body)
            let isOwn = entry.place >= end && all[entry.place] == entry.body
            let kept = ids.filter(entry.ids.contains)
            if ids.isEmpty || isOwn || kept == ids { return (entry.place, entry.body) }
            return kept.isEmpty ? nil : (entry.place, ConversationScript.calling(kept))
        }
    }

    static func result(_ body: String) -> String {
        body.components(after: #""tool_call_id":""#).first ?? ""
    }

    static func calls(_ body: String) -> [String] {
        body.components(after: #""id":""#)
    }

    /// Stores the turn as the session is to hold it.
    mutating func store(_ expected: Expected, _ messages: [String], answer: String) {
        // A turn that repeats the newest one does not move it back.
        if let moved = expected.position {
            position = expected.kept.count == active.count ? moved : max(position, moved)
        }
        if expected.kept.count < active.count { position = min(position, active[expected.kept.count].seq) }
        active = expected.kept
        append(messages.suffix(expected.new) + [answer])
    }

    /// A turn that was planned before the last one was stored: it goes behind it, and moves nothing.
    mutating func storeBehind(_ expected: Expected, _ messages: [String], answer: String) {
        append(messages.suffix(expected.new) + [answer])
    }

    private mutating func append(_ bodies: [String]) {
        turns += 1
        for body in bodies {
            active.append(Item(body: body, turn: turns, seq: nextSeq))
            nextSeq += 1
        }
    }

    /// The session as it was before its newest turn.
    var withoutLastTurn: NaiveHistory {
        var earlier = self
        earlier.active.removeAll { $0.turn == turns }
        return earlier
    }
}

extension String {
    /// What stands between each occurrence of `mark` and the next quote.
    fileprivate func components(after mark: String) -> [String] {
        var rest = self[...]
        var found: [String] = []
        while let range = rest.firstRange(of: mark) {
            rest = rest[range.upperBound...]
            found.append(String(rest.prefix { $0 != "\"" }))
        }
        return found
    }
}
