import Logging
import Persistence
import Synchronization
import TurnpikeTesting

@testable import Conversations

/// Processes on one database, and their clock.
final class SoleUseSite: Sendable {
    let database: any Database
    private let milliseconds = Atomic<UInt64>(1_000_000)

    init(_ database: any Database) { self.database = database }

    /// Runs a closure with an empty database.
    static func with(
        _ fixture: any DatabaseFixture = SQLiteFixture(), _ body: (SoleUseSite) async throws -> Void
    ) async throws {
        try await fixture.with { (database: any Database) async throws -> Void in
            _ = try await Migrator([], logger: Logger(label: "test")).migrate(database)
            try await body(SoleUseSite(database))
        }
    }

    /// - Parameter other: instead of the database itself.
    func process(_ wish: SoleUse.Wish, on other: (any Database)? = nil) -> SoleUse {
        SoleUse(wish, other ?? database) { [self] in milliseconds.load(ordering: .relaxed) * 1_000_000 }
    }

    func wait(_ seconds: UInt64) { wait(milliseconds: seconds * 1_000) }
    func wait(milliseconds count: UInt64) { milliseconds.add(count, ordering: .relaxed) }
}
