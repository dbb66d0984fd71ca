import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

@Suite("A primary that becomes read-only", .timeLimit(.minutes(1))) struct ReadOnlyServerTests {
    /// Else its connections live on for as long as nobody writes, and show how things were before the switch.
    @Test func isLeftByAProcessThatOnlyReads() async throws {
        let fixture = MariaDBFixture(on: try await MariaDBServer.blocking { try MariaDBServer() })
        try await fixture.with { administrator in
            try await SoleUseSite.with(fixture) { site in
                _ = try await administrator.read { try DatabaseClock.now($0) }
                let process = site.process(.never)
                _ = try await process.look()
                try await administrator.read { _ = try $0.execute("SET GLOBAL read_only = ON") }
                try await expectUnavailable { _ = try await process.look() }
                try await expectUnavailable { _ = try await site.database.read { try DatabaseClock.now($0) } }
                try await administrator.read { _ = try $0.execute("SET GLOBAL read_only = OFF") }
                // Connecting is tried again behind a pause.
                while (try? await process.look()) == nil { await Task.yield() }
            }
        }
    }

    private func expectUnavailable(_ body: () async throws -> Void) async throws {
        let error = await #expect(throws: DatabaseError.self) { try await body() }
        #expect(error?.failure == .unavailable)
    }
}
