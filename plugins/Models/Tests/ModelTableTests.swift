import Testing
import TurnpikeKit

@testable import ModelsPlugin

@Suite struct ModelTableTests {
    private let providers = Providers(
        [Provider(name: "one", baseURL: "http://one/v1"), Provider(name: "two", baseURL: "http://two/v1")],
        fallback: nil)

    private func table(_ text: [(String, ConfigurationNode)]) throws -> ModelTable {
        try ModelTable(section(text), providers: providers)
    }

    private func targets(_ table: ModelTable, _ model: String, ticket: UInt64 = 0) -> [String] {
        table.targets(for: model, ticket: ticket).map { "\($0.provider.name)/\($0.model ?? "")" }
    }

    @Test func theMostSpecificNameWins() throws {
        let table = try table([
            ("*", one()), ("gpt-4*", entry([("provider", "two")])),
            ("gpt-4o", entry([("provider", "one"), ("model", "renamed")])),
        ])
        #expect(targets(table, "gpt-4o") == ["one/renamed"])
        #expect(targets(table, "gpt-4.1") == ["two/gpt-4.1"])
        #expect(targets(table, "llama") == ["one/llama"])
    }

    @Test func anUnknownNameLeadsNowhereWithoutAWildcard() throws {
        #expect(try targets(table([("gpt-4o", one())]), "llama").isEmpty)
    }

    @Test func withoutASectionEverythingGoesToTheDefaultProvider() throws {
        let table = try ModelTable(section([]), providers: Providers(providers.all, fallback: providers.all[1]))
        #expect(targets(table, "any") == ["two/any"])
        #expect(table.wildcard?.name == "two")
    }

    @Test func theDrawFollowsTheWeightsAndTheTicket() throws {
        let table = try table([
            ("fast", list([("provider", "one"), ("weight", "3")], [("provider", "two"), ("model", "small")]))
        ])
        let drawn = (0..<400).map { targets(table, "fast", ticket: UInt64($0))[0] }
        #expect(drawn.count { $0 == "one/fast" } == 300)
        #expect(targets(table, "fast", ticket: 3) == ["two/small", "one/fast"], "the others follow the drawn one")
        #expect(targets(table, "fast", ticket: 3) == targets(table, "fast", ticket: 7))
    }

    @Test func fallbackNamesAreResolvedOnceEvenInACircle() throws {
        let table = try table([
            ("a", entry([("provider", "one")], fallback: ["b"])), ("b", entry([("provider", "two")], fallback: ["a"])),
        ])
        #expect(targets(table, "a") == ["one/a", "two/b"])
    }

    @Test func refusesAFallbackThatLeadsNowhere() throws {
        let large = ("large", one())
        let error = #expect(throws: ConfigurationError.self) {
            try self.table([large, ("small", entry([("provider", "one")], fallback: ["large", "lagre"]))])
        }
        #expect(error?.key == "models.small.fallback")
        #expect(error?.description.hasSuffix("no entry of “models” is for “lagre”; did you mean “large”?") == true)
        _ = try table([("lag*", one()), ("small", entry([("provider", "one")], fallback: ["lagre"]))])
    }

    @Test func whatAModelGetsBackOfItsReasoningIsItsOwnOrItsProviders() throws {
        let table = try table([
            ("kept", one()), ("dropped", entry([("provider", "one"), ("reasoning", "drop")])),
            ("listed", list([("provider", "one"), ("reasoning", "tool_calls")])),
        ])
        let replay = { (name: String) in table.targets(for: name, ticket: 0)[0].reasoning }
        #expect(replay("kept") == .keep && replay("dropped") == .drop && replay("listed") == .toolCalls)
        #expect(throws: ConfigurationError.self) {
            try self.table([("m", entry([("provider", "one"), ("reasoning", "some")]))])
        }
    }

    @Test func aWeightOfZeroIsOnlyAFallback() throws {
        let table = try table([("m", list([("provider", "one"), ("weight", "0")], [("provider", "two")]))])
        for ticket in 0..<10 { #expect(targets(table, "m", ticket: UInt64(ticket)) == ["two/m", "one/m"]) }
    }

    @Test(arguments: [
        (entry([("provider", "three")]), "there is no provider “three”; known: one, two"),
        (entry([]), "missing; name a provider, or a list of targets"),
        (entry([("model", "x")]), "missing; name a provider, or a list of targets"),
    ])
    func refusesAnEntryThatLeadsNowhere(node: ConfigurationNode, expected: String) {
        #expect { try table([("m", node)]) } throws: { "\($0)".contains(expected) }
    }
}

// Configuration as a file would give it.

private let place = ConfigurationNode.Location(file: "t.yaml", line: 1)

private func section(_ entries: [(String, ConfigurationNode)]) throws -> ConfigurationSection {
    try ConfigurationSection(
        mapping(entries), path: "models",
        environment: ConfigurationEnvironment(variable: { _ in nil }, readFile: { _ in nil }))
}

private func mapping(_ entries: [(String, ConfigurationNode)]) -> ConfigurationNode {
    ConfigurationNode(.section(entries.map { (key: $0.0, location: place, node: $0.1) }), at: place)
}

private func scalar(_ text: String) -> ConfigurationNode {
    ConfigurationNode(.scalar(text, isQuoted: false), at: place)
}

private func entry(_ values: [(String, String)], fallback: [String] = []) -> ConfigurationNode {
    var entries = values.map { ($0.0, scalar($0.1)) }
    if !fallback.isEmpty { entries.append(("fallback", ConfigurationNode(.list(fallback.map(scalar)), at: place))) }
    return mapping(entries)
}

private func list(_ targets: [(String, String)]...) -> ConfigurationNode {
    mapping([("targets", ConfigurationNode(.list(targets.map { entry($0) }), at: place))])
}

private func one() -> ConfigurationNode { entry([("provider", "one")]) }
