import TurnpikeKit
import TurnpikeTesting

@testable import Conversations

/// Clients by chance: what each of them sends next, in few different words so that everything repeats.
struct ConversationScript {
    var random: SeededGenerator
    private var callCount = 0

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// One request.
    struct Step {
        var messages: [String]
        var mode = HistoryMode.auto
        var isRetry = false
        /// The client sends nothing but what is new.
        var isNewOnly = false
    }

    static func user(_ text: String) -> String { "{\"role\":\"user\",\"content\":\"\(text)\"}" }

    static func calling(_ ids: [String]) -> String {
        let calls = ids.map {
            "{\"id\":\"\($0)\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
        }
        return "{\"role\":\"assistant\",\"tool_calls\":[\(calls.joined(separator: ","))]}"
    }

    private mutating func question() -> String {
        switch random.below(5) {
        case 0: return Self.user("yes")
        case 1:
            return
                #"{"role":"user","content":[{"type":"text","text":"look \#(random.below(9))"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}],"x":1}"#
        default: return Self.user(String(repeating: "q", count: 1 + random.below(60)))
        }
    }

    /// What the model says: text, or one to three calls at once.
    mutating func answer() -> String {
        guard random.below(4) == 0 else {
            return "{\"role\":\"assistant\",\"content\":\"\(String(repeating: "a", count: 1 + random.below(60)))\"}"
        }
        let ids = (0...random.below(3)).map { _ -> String in
            callCount += 1
            return "call_\(callCount)"
        }
        return Self.calling(ids)
    }

    /// What follows the conversation: a question, or the results of the calls at its end; rarely of some of them, or none.
    mutating func next(after view: [String]) -> [String] {
        if random.below(5) == 0, let late = late(view) { return late }
        var ids = view.last.map(NaiveHistory.calls) ?? []
        guard !ids.isEmpty, view.last?.hasPrefix(#"{"role":"assistant""#) == true, random.below(6) > 0 else {
            return [question()]
        }
        if random.below(8) == 0 { ids.removeLast() }
        let results = ids.map(Self.result)
        return results.isEmpty ? [question()] : results
    }

    static func result(_ id: String) -> String {
        "{\"role\":\"tool\",\"tool_call_id\":\"\(id)\",\"content\":\"r\"}"
    }

    /// Results of calls that were passed over, up to three of any of them and in any order; nil where there are none.
    mutating func late(_ view: [String]) -> [String]? {
        let given = view.map(NaiveHistory.result)
        var open = view.flatMap(NaiveHistory.calls).filter { !given.contains($0) }
        guard !open.isEmpty else { return nil }
        var results: [String] = []
        for _ in 0...random.below(3) where !open.isEmpty {
            results.append(Self.result(open.remove(at: random.below(open.count))))
        }
        return results
    }

    /// The next request of a client that knows `view`.
    mutating func step(_ view: [String], last: Step?) -> Step {
        switch random.below(12) {
        case 0...4: return Step(messages: next(after: view), isNewOnly: true)
        case 5...6: return Step(messages: view + next(after: view))
        case 7: return Step(messages: view.suffix(random.below(view.count + 1)) + next(after: view))
        case 8: return Step(messages: view.prefix(random.below(view.count + 1)) + [question()])
        case 9 where view.count > 1: return Step(messages: Array(view.dropLast()))
        case 10:
            guard var last else { return Step(messages: [question()], isNewOnly: true) }
            last.isRetry = true
            return last
        default:
            let example = [question(), #"{"role":"assistant","content":"ok"}"#, question()]
            return Step(messages: example, mode: random.pick([.auto, .append, .replace]))
        }
    }
}
