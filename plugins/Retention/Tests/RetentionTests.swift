import Conversations
import Testing
import TurnpikeKit

@testable import RetentionPlugin

@Suite struct RetentionTests {
    private func section(_ entries: [(String, String)]) throws -> ConfigurationSection {
        let location = ConfigurationNode.Location(file: "test.yaml", line: 1)
        return try ConfigurationSection(
            ConfigurationNode(
                .section(
                    entries.map { ($0, location, ConfigurationNode(.scalar($1, isQuoted: false), at: location)) }),
                at: location), path: "sessions",
            environment: ConfigurationEnvironment(variable: { _ in nil }, readFile: { _ in nil }))
    }

    @Test func readsItsKeys() throws {
        let section = try section([("ttl", "90d"), ("purge_after", "1h"), ("purge_every", "5s")])
        let configuration = try RetentionConfiguration(section)
        #expect(configuration.limits.timeToLive == .seconds(90 * 86_400))
        #expect(configuration.limits.purgeAfter == .seconds(3_600))
        #expect(configuration.interval == .seconds(5))
        #expect(section.unknownKeys().isEmpty)
    }

    @Test func keepsSessionsForEverUnlessToldOtherwise() throws {
        let configuration = try RetentionConfiguration(section([]))
        #expect(configuration.limits.timeToLive == nil)
        #expect(configuration.limits.purgeAfter == .seconds(30 * 86_400))
    }

    @Test(arguments: [("ttl", "0s"), ("ttl", "36526d"), ("ttl", "200000000d"), ("purge_every", "10ms")])
    func refusesWhatCannotBeMeant(key: String, value: String) {
        #expect(throws: ConfigurationError.self) { try RetentionConfiguration(section([(key, value)])) }
    }

    @Test func standsInNobodysWay() {
        #expect(!RetentionPlugin.factory.isSwitchable)
    }
}
