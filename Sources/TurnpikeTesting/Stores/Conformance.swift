public import Persistence

/// One promise that a back end must keep, and the check of it.
///
/// A back end's tests run all of them, each on an empty database of its own:
///
///     @Test(arguments: ConformanceCase.databases)
///     func keepsThePromise(_ promise: ConformanceCase) async throws { try await promise.verify(on: fixture) }
public struct ConformanceCase: Sendable, CustomStringConvertible {
    /// The promise, as a sentence.
    public let description: String
    private let check: @Sendable (any DatabaseFixture) async throws -> Void

    package init(_ description: String, _ check: @escaping @Sendable (any DatabaseFixture) async throws -> Void) {
        self.description = description
        self.check = check
    }

    /// Runs the check; throws a `ConformanceFailure` that says what was found instead.
    public func verify(on fixture: any DatabaseFixture) async throws {
        try await check(fixture)
    }

    /// Everything about `ConversationStore`.
    public static var conversations: [ConformanceCase] {
        SessionConformance.cases + CreationConformance.cases + TurnConformance.cases + ClaimConformance.cases
            + HistoryConformance.cases
            + MediaConformance.cases
            + BranchConformance.cases + ImportConformance.cases + ChoreConformance.conversations
            + LimitConformance.cases
            + RecountConformance.cases + StrayNumberConformance.cases + MoveConformance.cases
            + RemovalConformance.cases + ListConformance.cases + IsolationConformance.cases + MemoryConformance.cases
    }

    /// Everything about `Database`, `TransactionLane` and `Migrator`.
    public static var databases: [ConformanceCase] {
        ValueConformance.cases + AccessConformance.cases + LaneConformance.cases + MigrationConformance.cases
            + ChoreConformance.cases
    }
}

/// An empty store, and the way to it. Opening it twice gives what two processes have.
public protocol DatabaseFixture: Sendable {
    /// Opens the store; the caller closes what it gets.
    func open() async throws -> any Database
}

extension DatabaseFixture {
    /// Opens the store for the time of a closure.
    public func with<Value>(_ body: (any Database) async throws -> Value) async throws -> Value {
        let database = try await open()
        return try await database.closing { try await body(database) }
    }
}

extension Database {
    /// Closes it behind `body`, whatever comes of that.
    package func closing<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            let value = try await body()
            await close()
            return value
        } catch {
            await close()
            throw error
        }
    }
}

/// A promise that was not kept.
public struct ConformanceFailure: Error, CustomStringConvertible {
    /// What was expected, what was found, and where.
    public let description: String
}

/// Fails unless both are equal.
package func expectEqual<Value: Equatable>(
    _ found: Value, _ expected: Value, _ what: String, file: StaticString = #fileID, line: UInt = #line
) throws {
    guard found != expected else { return }
    throw ConformanceFailure(
        description: "\(what): expected \(brief(expected)), found \(brief(found)) (\(file):\(line))")
}

/// Fails unless `condition` holds.
package func expect(_ condition: Bool, _ what: String, file: StaticString = #fileID, line: UInt = #line) throws {
    guard !condition else { return }
    throw ConformanceFailure(description: "\(what) (\(file):\(line))")
}

/// Fails unless `body` throws a `DatabaseError` of one of the classes.
package func expectFailure<Value>(
    _ failures: Set<DatabaseError.Failure>, _ what: String, file: StaticString = #fileID, line: UInt = #line,
    _ body: () async throws -> Value
) async throws {
    do {
        _ = try await body()
    } catch let error as DatabaseError {
        return try expect(
            failures.contains(error.failure), "\(what): \(error.debugDescription)", file: file, line: line)
    }
    throw ConformanceFailure(description: "\(what): it succeeded (\(file):\(line))")
}

private func brief(_ value: some Any) -> String {
    let text = String(describing: value)
    return text.utf8.count > 300 ? "\(text.prefix(300))…" : text
}
