/// What is known of models, by name.
public struct ModelCatalogue: Sendable {
    private var entries: [String: ModelFacts] = [:]

    public init(_ models: [ModelFacts] = []) {
        for model in models { entries[model.name] = model }
    }

    /// How many models are listed.
    public var count: Int { entries.count }

    /// This catalogue with the entries of `other`, which replace those of the same name.
    public func overridden(by other: ModelCatalogue) -> ModelCatalogue {
        var result = self
        result.entries.merge(other.entries) { $1 }
        return result
    }

    /// The facts of `model`: of the entry with its name, or else of the longest one that the name goes on from, by a
    /// version or a date behind `-`, `:` or `@`, when what precedes the last `/` is taken off.
    ///
    /// Of OpenAI's models that are not listed, the encoding at least is known by their names.
    public func facts(for model: String) -> ModelFacts? {
        if let facts = entries[model] { return facts }
        let name = Self.plainName(model)
        return listed(name) ?? TokenEncoding(openAIModel: name).map { ModelFacts(name: String(name), encoding: $0) }
    }

    /// Without what names a provider, or the owner of a fine-tuned model.
    private static func plainName(_ model: String) -> Substring {
        var name = model[...]
        if let slash = name.lastIndex(of: "/") { name = name[name.index(after: slash)...] }
        if name.hasPrefix("ft:") { name = name.dropFirst(3).prefix { $0 != ":" } }
        return name
    }

    private func listed(_ name: Substring) -> ModelFacts? {
        var name = name
        while !name.isEmpty {
            if let facts = entries[String(name)] { return facts }
            guard let cut = name.lastIndex(where: { $0 == "-" || $0 == ":" || $0 == "@" }),
                Self.isVersion(name[name.index(after: cut)...])
            else { return nil }
            name = name[..<cut]
        }
        return nil
    }

    /// A date, a build number, `latest`, `preview`: what does not make another model.
    private static func isVersion(_ suffix: Substring) -> Bool {
        ["latest", "preview"].contains(suffix) || suffix.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2E }
    }
}
