import NIOCore
import OpenAIWire
import Tokens

/// What a request counts, for people and as JSON.
struct RequestReport {
    let model: String
    let method: TokenCounter.Method
    let facts: ModelFacts?
    let tokens: RequestTokens
    /// What the request allows the answer, if it says so.
    let outputLimit: Int?

    var table: String {
        var table = Table(["PART", "TOKENS", "MARGIN"])
        for (name, count) in parts { table.add([name, "\(count.tokens)", "\(count.margin)"]) }
        table.add(["output limit", outputLimit.map(String.init) ?? "-", ""])
        table.add(["context window", facts?.contextWindow.map(String.init) ?? "unknown", ""])
        if let remaining { table.add(["remaining", "\(remaining)", ""]) }
        return "\(model), \(methodName)\n\n\(table.text)"
    }

    var json: String {
        String(
            buffer: JSONWriter.object { json in
                json.member("model", model)
                json.member("method", methodName)
                write("system", tokens.system, &json)
                write("tools", tokens.tools, &json)
                write("response_format", tokens.responseFormat, &json)
                json.array("messages") { messages in
                    for count in tokens.messages { messages.element(object: { write(count, &$0) }) }
                }
                write("reply", tokens.priming, &json)
                write("total", tokens.total, &json)
                write("output_limit", outputLimit, &json)
                write("context_window", facts?.contextWindow, &json)
                write("remaining", remaining, &json)
            })
    }

    private var parts: [(String, TokenCount)] {
        let count = tokens.messages.count
        return [
            ("system", tokens.system), ("tools", tokens.tools), ("response format", tokens.responseFormat),
            ("\(count) \(count == 1 ? "message" : "messages")", tokens.messages.reduce(.zero, +)),
            ("reply", tokens.priming), ("total", tokens.total),
        ]
    }

    private var methodName: String {
        switch method {
        case .exact(let encoding): encoding.rawValue
        case .estimated: "estimated"
        }
    }

    /// What the window has left when the margin is used and the output limit is reserved.
    private var remaining: Int? {
        facts?.contextWindow.map { $0 - tokens.total.atMost - (outputLimit ?? 0) }
    }

    private func write(_ key: String, _ count: TokenCount, _ json: inout JSONWriter) {
        json.object(key) { write(count, &$0) }
    }

    private func write(_ count: TokenCount, _ json: inout JSONWriter) {
        json.member("tokens", count.tokens)
        json.member("margin", count.margin)
    }

    private func write(_ key: String, _ number: Int?, _ json: inout JSONWriter) {
        if let number { json.member(key, number) } else { json.null(key) }
    }
}
