import Persistence
import PersistenceMariaDB
import Testing

@Suite("MariaDB: servers that cannot be reached") struct UnreachableServerTests {
    /// What is said of servers on ports of this machine on which nobody listens.
    private func error(ports: [Int]) async throws -> DatabaseError? {
        let hosts = ports.map { ServerAddress.Host("127.0.0.1", port: $0) }
        return try await error(ServerAddress(place: .hosts(hosts), user: "u", password: "secret", database: "d"))
    }

    private func error(_ address: ServerAddress) async throws -> DatabaseError? {
        try await with(address) { database in
            await #expect(throws: DatabaseError.self) { try await database.number("SELECT 1") }
        }
    }

    @Test func theOnlyOneIsNamed() async throws {
        let error = try #require(try await error(ports: [1]))
        #expect(error.reason == "127.0.0.1:1: the server cannot be reached")
        #expect(error.failure == .unavailable && error.code != 0)
    }

    @Test func allOfAListAreNamedEachWithItsNumber() async throws {
        let error = try #require(try await error(ports: [2, 1]))
        let parts = error.reason.split(separator: "; ")
        #expect(parts.count == 2)
        for (part, port) in zip(parts, [2, 1]) {
            #expect(part.hasPrefix("127.0.0.1:\(port): the server cannot be reached (2"))
        }
        #expect(error.failure == .unavailable && error.code == 0)
    }

    @Test func aSocketIsNamedByItsPath() async throws {
        let path = "/nonexistent/s.sock"
        let error = try await error(ServerAddress(place: .socket(path), user: "u", password: "secret", database: "d"))
        #expect(error?.reason == "\(path): the server cannot be reached")
    }
}
