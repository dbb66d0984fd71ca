import NIOCore
import OpenAIWire

/// The tokens of tool definitions.
///
/// How a provider writes them into the prompt is not published. For OpenAI's models this is the rule of its cookbook
/// ("How to count tokens with tiktoken", section 7), applied to nested schemas too; it knows names, types, descriptions
/// and enumerations. What else a schema says counts as the margin, with a tenth of the whole. Other models mostly get
/// the JSON as it is, behind some sentences of their template.
struct ToolTokens {
    let counter: TokenCounter

    /// The cookbook's numbers for GPT-4 and GPT-3.5; for GPT-4o a function begins with 7.
    private static let functionEnd = 12
    private static let (propertiesStart, property) = (3, 3)
    private static let (enumerationStart, enumerationItem) = (-3, 3)
    private static let templateMargin = 160
    /// Deeper schemas count as text.
    private static let deepest = 32

    func count(_ tools: JSONValue) -> TokenCount {
        guard let elements = try? tools.array(), !elements.isEmpty else { return .zero }
        guard case .exact(let encoding) = counter.method else {
            let text = counter.count(text: tools.bytes)
            return TokenCount(text.tokens, margin: text.margin + Self.templateMargin)
        }
        let start = encoding == .o200k ? 7 : 10
        var count = elements.reduce(TokenCount(Self.functionEnd)) { $0 + tool($1, start: start) }
        count.margin += count.tokens / 10 + Self.functionEnd
        return count
    }

    private func tool(_ tool: JSONValue, start: Int) -> TokenCount {
        guard let object = try? tool.object() else { return counter.count(text: tool.bytes) }
        guard let function = (try? object.members("function")) ?? functionLike(object) else {
            return counter.count(text: tool.bytes)
        }
        var count = TokenCount(start)
        count += line([function["name"]?.string, description(function)])
        if let parameters = try? function.members("parameters") { count += schema(parameters, depth: 0) }
        return count
    }

    /// An element of `functions` is what `function` is in an element of `tools`.
    private func functionLike(_ object: JSONObject) -> JSONObject? {
        object["name"] != nil && object["type"] == nil ? object : nil
    }

    /// Properties, and what stands beside them.
    private func schema(_ schema: JSONObject, depth: Int) -> TokenCount {
        var count = rest(schema)
        guard depth < Self.deepest else { return counter.count(text: schema.bytes) }
        if let properties = try? schema.members("properties"), properties.count > 0 {
            count += TokenCount(Self.propertiesStart)
            for (name, value) in properties.all { count += property(name, value, depth: depth) }
        }
        if let items = try? schema.members("items") { count += property("items", items, depth: depth) }
        return count
    }

    private func property(_ name: String, _ value: JSONValue, depth: Int) -> TokenCount {
        guard let object = try? value.object() else { return counter.count(text: value.bytes) }
        return property(name, object, depth: depth)
    }

    private func property(_ name: String, _ property: JSONObject, depth: Int) -> TokenCount {
        var count = TokenCount(Self.property)
        if let items = try? property["enum"]?.array() {
            count += TokenCount(Self.enumerationStart)
            for item in items {
                count += TokenCount(Self.enumerationItem) + counter.count(text: item.text ?? item.bytes)
            }
        }
        let type = property["type"].map { $0.string ?? String(buffer: $0.bytes) }
        count += line([name, type, description(property)])
        return count + schema(property, depth: depth + 1)
    }

    private func description(_ object: JSONObject) -> String? {
        guard let text = object["description"]?.string else { return nil }
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }

    private func line(_ parts: [String?]) -> TokenCount {
        counter.count(text: parts.compactMap(\.self).joined(separator: ":"))
    }

    private static let known: Set<String> = ["type", "description", "properties", "items", "enum", "required", "name"]

    /// What the rule does not know: the margin has all of it.
    private func rest(_ schema: JSONObject) -> TokenCount {
        schema.all.reduce(.zero) { sum, member in
            guard !Self.known.contains(member.key) else { return sum }
            let text = counter.count(text: member.value.bytes)
            return sum + TokenCount(0, margin: text.atMost + Self.property)
        }
    }
}
