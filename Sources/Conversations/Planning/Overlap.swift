/// How the messages of a request lie against the stored ones.
enum Overlap: Equatable {
    /// All of them are new (rule a).
    case none
    /// The first `count` of them are the newest stored ones; the others are new (rule b).
    case suffix(count: Int)
    /// They are the client's view of the whole conversation, which agrees with the first `kept` stored messages, an
    /// index where a stored turn ends (rule c).
    case view(kept: Int)
}

extension Overlap {
    /// Finds the overlap, comparing what is said and in which order, never as a set.
    static func find(_ messages: [IncomingTurn.Message], in outline: HistoryOutline) -> Overlap {
        guard let lastAnswer = messages.lastIndex(where: { $0.role == .assistant }) else { return .none }
        let run = longestRunAtEnd(messages, outline.entries)
        return run > lastAnswer ? .suffix(count: run) : view(messages, of: outline)
    }

    /// Takes the messages for the whole conversation.
    static func view(_ messages: [IncomingTurn.Message], of outline: HistoryOutline) -> Overlap {
        precondition(outline.isComplete, "A client's view is compared with every active message.")
        var kept = zip(messages, outline.entries).prefix { $1.says($0) }.count
        while kept > 0, kept < outline.entries.count, !outline.beginsTurn(kept) { kept -= 1 }
        return .view(kept: kept)
    }

    /// The length of the longest run at the beginning of `messages` that the stored ones end with.
    ///
    /// Knuth, Morris and Pratt's matching, so that long and repetitive conversations take linear time.
    private static func longestRunAtEnd(_ messages: [IncomingTurn.Message], _ entries: [MessageOutline]) -> Int {
        guard !messages.isEmpty else { return 0 }
        let borders = borders(of: messages)
        var matched = 0
        for entry in entries {
            if matched == messages.count { matched = borders[matched - 1] }
            while matched > 0, !entry.says(messages[matched]) { matched = borders[matched - 1] }
            if entry.says(messages[matched]) { matched += 1 }
        }
        return matched
    }

    /// For each prefix of `messages`, the length of its longest proper prefix that it also ends with.
    private static func borders(of messages: [IncomingTurn.Message]) -> [Int] {
        var borders = [0]
        borders.reserveCapacity(messages.count)
        for index in messages.indices.dropFirst() {
            var length = borders[index - 1]
            while length > 0, messages[length].digest != messages[index].digest { length = borders[length - 1] }
            borders.append(messages[length].digest == messages[index].digest ? length + 1 : 0)
        }
        return borders
    }
}
