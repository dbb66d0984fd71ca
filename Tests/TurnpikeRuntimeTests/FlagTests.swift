import Testing
import TurnpikeKit

@testable import TurnpikeRuntime

@Suite struct FlagTests {
    private func flag(_ text: String) throws -> Flag {
        let flags = try configuration("flags: { capture: \(text) }").flags.flags
        return try #require(flags["capture"])
    }

    private func subject(_ user: String?, key: String? = nil, model: String? = nil) -> FlagSubject {
        FlagSubject(user: user, key: key, model: model)
    }

    @Test func aPlainFlagIsForEverybody() throws {
        #expect(try flag("true").isOn("capture", for: subject("alice")))
        #expect(try !flag("false").isOn("capture", for: subject("alice")))
    }

    @Test func aRolloutIsStablePerUserAndNearItsShare() throws {
        let quarter = try flag("{ rollout: 25 }")
        let chosen = (0..<4_000).filter { quarter.isOn("capture", for: subject("user\($0)")) }
        #expect((800...1_200).contains(chosen.count))
        #expect(chosen == (0..<4_000).filter { quarter.isOn("capture", for: subject("user\($0)")) })
        let other = (0..<4_000).filter { quarter.isOn("history", for: subject("user\($0)")) }
        #expect(chosen != other, "two flags choose different users")
    }

    @Test func aGrowingRolloutKeepsThoseWhoHadIt() throws {
        let small = try flag("{ rollout: 10 }")
        let large = try flag("{ rollout: 60 }")
        for index in 0..<500 where small.isOn("capture", for: subject("user\(index)")) {
            #expect(large.isOn("capture", for: subject("user\(index)")))
        }
    }

    @Test func allowAloneIsForThoseOnly() throws {
        let some = try flag("{ allow: { users: [alice], models: [\"gpt-4*\"] } }")
        #expect(some.isOn("capture", for: subject("alice")))
        #expect(some.isOn("capture", for: subject("bob", model: "gpt-4o")))
        #expect(!some.isOn("capture", for: subject("bob", model: "gpt-3.5")))
        #expect(!some.isOn("capture", for: subject(nil)))
    }

    @Test func denyWinsOverAllow() throws {
        let some = try flag("{ rollout: 100, allow: { users: [alice] }, deny: { keys: [ci] } }")
        #expect(!some.isOn("capture", for: subject("alice", key: "ci")))
        #expect(some.isOn("capture", for: subject("bob", key: "laptop")))
    }
}
