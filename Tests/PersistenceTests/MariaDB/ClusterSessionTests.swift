import Persistence
import Testing
import TurnpikeTesting

@testable import PersistenceMariaDB

/// The settings of a session on a node of a Galera cluster. Debian's server knows them without being one, so they can be
/// read back on any.
@Suite("MariaDB: sessions on a cluster") struct ClusterSessionTests {
    private static let node = [
        "wsrep_on": "ON", "wsrep_ready": "ON", "wsrep_cluster_status": "Primary",
        "wsrep_local_state_comment": "Synced",
    ]

    private func waitsForOthers(_ role: ConnectionRole, said: [String: String]) async throws -> Int {
        let fixture = MariaDBFixture()
        let address = try await fixture.address()
        // The database is there as long as the fixture is.
        defer { withExtendedLifetime(fixture) {} }
        return try await MariaDBServer.blocking {
            try Connector(address: address, said: said) { _ in }.connect(to: 0, for: role)
                .number("SELECT @@SESSION.wsrep_sync_wait")
        }
    }

    @Test(arguments: [ConnectionRole.reading, .writing])
    func whatOthersHaveCommittedIsWaitedForOnANode(_ role: ConnectionRole) async throws {
        #expect(try await waitsForOthers(role, said: Self.node) == 1)
        #expect(try await waitsForOthers(role, said: [:]) == 0)
    }

    /// Many rows in one command are answered with success there although a conflict has rolled the transaction back.
    @Test func everyRowOnANodeIsACommandOfItsOwn() async throws {
        #expect(try await sendsRowsTogether(said: Self.node) == false)
        #expect(try await sendsRowsTogether(said: [:]) == Statement.takesRows)
    }

    private func sendsRowsTogether(said: [String: String]) async throws -> Bool {
        let fixture = MariaDBFixture()
        let address = try await fixture.address()
        // The database is there as long as the fixture is.
        defer { withExtendedLifetime(fixture) {} }
        return try await MariaDBServer.blocking {
            try Connector(address: address, said: said) { _ in }.connect(to: 0, for: .writing).sendsRowsTogether
        }
    }
}
