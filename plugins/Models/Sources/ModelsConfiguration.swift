import Tokens
import TurnpikeKit

extension ModelTable {
    /// Reads the `models` section: each key is a name or a pattern with a trailing `*`.
    ///
    /// Without the section, every name goes to the default provider.
    init(_ section: ConfigurationSection, providers: Providers, catalogue: ModelCatalogue = ModelCatalogue()) throws {
        guard !section.names.isEmpty else {
            let everything = providers.fallback.map {
                Entry(targets: [WeightedTarget(provider: $0, model: nil, weight: 1)], fallback: [])
            }
            self.init(everything.map { ["*": $0] } ?? [:], catalogue: catalogue)
            return
        }
        var entries: [String: Entry] = [:]
        for name in section.names {
            entries[name] = try Entry(section.section(name), providers: providers)
        }
        self.init(entries, catalogue: catalogue)
        for name in section.names { try checkFallback(of: name, in: section.section(name)) }
    }

    /// A name that leads nowhere would be passed over when it is needed, and not before.
    private func checkFallback(of name: String, in section: ConfigurationSection) throws {
        for other in try section.strings("fallback") ?? [] where targets(for: other, ticket: 0).isEmpty {
            let near = Spelling.nearest(to: other, among: listed.map(\.name)).map { "; did you mean “\($0)”?" } ?? ""
            throw section.error("fallback", "no entry of “models” is for “\(other)”\(near)")
        }
    }
}

extension ModelTable.Entry {
    fileprivate init(_ section: ConfigurationSection, providers: Providers) throws {
        let listed = try section.sections("targets").map { try ModelTable.WeightedTarget($0, providers: providers) }
        fallback = try section.strings("fallback") ?? []
        let single = try section.string("provider")
        let model = try section.string("model")
        let reasoning = try section.reasoning()
        switch (single, listed.isEmpty) {
        case (nil, true): throw section.missing("provider", "name a provider, or a list of targets")
        case (_?, false): throw section.error("provider", "stands beside targets: use one of them")
        case (nil, false):
            guard model == nil else {
                throw section.error("model", "stands beside targets: name the model in each target")
            }
            guard reasoning == nil else {
                throw section.error("reasoning", "stands beside targets: say it in each target")
            }
            targets = listed
        case (let name?, true):
            let provider = try section.provider(name, among: providers)
            targets = [.init(provider: provider, model: model, weight: 1, reasoning: reasoning)]
        }
    }
}

extension ModelTable.WeightedTarget {
    fileprivate init(_ section: ConfigurationSection, providers: Providers) throws {
        guard let name = try section.string("provider") else { throw section.missing("provider") }
        self.init(
            provider: try section.provider(name, among: providers), model: try section.string("model"),
            weight: try section.int("weight", default: 1, in: 0...1_000_000), reasoning: try section.reasoning())
    }
}

extension ConfigurationSection {
    /// `reasoning` (`keep`, `tool_calls` or `drop`); `nil` where it is not there.
    fileprivate func reasoning() throws -> ReasoningReplay? {
        try has("reasoning") ? choice("reasoning", default: .keep) : nil
    }

    fileprivate func provider(_ name: String, among providers: Providers) throws -> Provider {
        guard let provider = providers[name] else {
            let known = providers.all.map(\.name).joined(separator: ", ")
            throw error("provider", "there is no provider “\(name)”; known: \(known)")
        }
        return provider
    }
}
