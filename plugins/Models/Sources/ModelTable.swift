import Tokens
import TurnpikeKit

/// Which model name leads to which providers.
struct ModelTable: Sendable {
    /// One name or pattern of the configuration.
    struct Entry: Sendable {
        var targets: [WeightedTarget]
        /// Names that are resolved in turn when all targets have failed.
        var fallback: [String]
    }

    struct WeightedTarget: Sendable {
        /// With the provider's own name for the model, where it is not the client's.
        var place: RouteTarget
        var weight: Int

        var provider: Provider { place.provider }

        /// - Parameters:
        ///   - model: the provider's own name for the model; `nil` keeps the client's.
        ///   - reasoning: what the model gets back of its reasoning; `nil` keeps the provider's setting.
        init(provider: Provider, model: String?, weight: Int, reasoning: ReasoningReplay? = nil) {
            place = RouteTarget(provider: provider, model: model, reasoning: reasoning)
            self.weight = weight
        }
    }

    private let named: [String: Entry]
    /// Prefixes of patterns such as `gpt-4*`, the longest first; `*` alone is the empty prefix.
    private let patterns: [(prefix: String, entry: Entry)]

    private let catalogue: ModelCatalogue

    init(_ entries: [String: Entry], catalogue: ModelCatalogue = ModelCatalogue()) {
        self.catalogue = catalogue
        named = entries.filter { !$0.key.hasSuffix("*") }
        patterns = entries.filter { $0.key.hasSuffix("*") }
            .map { (prefix: String($0.key.dropLast()), entry: $0.value) }
            .sorted { $0.prefix.utf8.count > $1.prefix.utf8.count }
    }

    /// The names that stand in the configuration themselves, in alphabetical order, and who provides them.
    var listed: [(name: String, provider: String)] {
        named.map { (name: $0.key, provider: $0.value.targets.first?.provider.name ?? "") }.sorted { $0.name < $1.name }
    }

    /// The provider of names that nobody listed, if there is one.
    var wildcard: Provider? { patterns.first { $0.prefix.isEmpty }?.entry.targets.first?.provider }

    func isListed(_ model: String) -> Bool { named[model] != nil }

    /// The targets for `model` in the order in which they are to be tried; empty for a name that leads nowhere.
    ///
    /// The first target is drawn by weight with `ticket`, any number: the same one draws the same target, so a caller
    /// that wants a conversation to stay at one provider passes the same ticket for all of it.
    func targets(for model: String, ticket: UInt64) -> [RouteTarget] {
        // Most names lead to one target, and need no book of those that were visited.
        if let entry = entry(for: model), entry.targets.count == 1, entry.fallback.isEmpty {
            return [target(entry.targets[0], model)]
        }
        var result: [RouteTarget] = []
        var visited: Set<String> = []
        collect(model, ticket: ticket, into: &result, visited: &visited)
        return result
    }

    private func collect(_ model: String, ticket: UInt64, into result: inout [RouteTarget], visited: inout Set<String>)
    {
        guard visited.insert(model).inserted, let entry = entry(for: model) else { return }
        for weighted in Self.order(entry.targets, ticket: ticket) { result.append(target(weighted, model)) }
        for name in entry.fallback { collect(name, ticket: ticket, into: &result, visited: &visited) }
    }

    private func target(_ target: WeightedTarget, _ model: String) -> RouteTarget {
        let name = target.place.model ?? model
        return target.place.asked(for: name, facts: catalogue.facts(for: name))
    }

    private func entry(for model: String) -> Entry? {
        named[model] ?? patterns.first { model.hasPrefix($0.prefix) }?.entry
    }

    /// The drawn target first, the others behind it in their own order.
    private static func order(_ targets: [WeightedTarget], ticket: UInt64) -> [WeightedTarget] {
        let total = targets.reduce(0) { $0 + $1.weight }
        guard targets.count > 1, total > 0 else { return targets }
        var rest = Int(ticket % UInt64(total))
        var ordered = targets
        for (index, target) in targets.enumerated() {
            if rest < target.weight {
                ordered.remove(at: index)
                return [target] + ordered
            }
            rest -= target.weight
        }
        return targets
    }
}
