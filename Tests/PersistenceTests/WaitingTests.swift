import Synchronization
import Testing

@testable import Persistence

/// How long callers wait for a database that hangs.
@Suite("Waiting for a database") struct WaitingTests {
    @Test func aReadIsGivenUpWhileNobodyIsAnswered() async throws {
        try await withHangingDatabase { database in
            #expect(await failure(of: database) == DatabaseError(.unavailable, "the database did not answer in time"))
        }
    }

    @Test func aReadThatIsSlowHasMoreTimeWhileOthersAreAnswered() async throws {
        try await withHangingDatabase(patience: .milliseconds(200)) { database in
            let isOver = Monitor(false)
            async let end: Void = Self.answerOthers(of: database) { isOver.withLock { $0 } }
            let failure = await failure(of: database)
            isOver.withLock { $0 = true }
            await end
            #expect(failure == DatabaseError(.overloaded, "it took too long"))
        }
    }

    /// A thread of its own: on a busy machine tasks may rest for longer than a caller waits.
    private static func answerOthers(of database: HangingDatabase, until isOver: @escaping @Sendable () -> Bool) async {
        let threads = WorkerThreads("others", count: 1)
        try? await threads.run {
            while !isOver() {
                database.threads.noteAnswer()
                BlockingThread.sleep(nanoseconds: 1_000_000)
            }
        }
        await threads.close()
    }

    private func failure(of database: HangingDatabase) async -> DatabaseError? {
        await Self.outcome { try await database.read { _ in } }
    }

    private static func outcome(_ call: () async throws -> Void) async -> DatabaseError? {
        do {
            try await call()
            return nil
        } catch {
            return error as? DatabaseError
        }
    }

    @Test func aPatientReadWaits() async throws {
        try await withHangingDatabase { database in
            async let answer = database.read(.patiently) { _ in 7 }
            _ = try? await database.read { _ in }
            database.goOn()
            let seven = try await answer
            #expect(seven == 7)
        }
    }

    @Test func whatNobodyWaitsForIsNotBegun() async throws {
        let begun = Atomic(0)
        try await withHangingDatabase { database in
            for _ in 0..<3 { _ = try? await database.read { _ in begun.add(1, ordering: .relaxed) } }
            database.goOn()
            _ = try await database.read(.patiently) { _ in }
        }
        // The first may have begun, and hung; on a busy machine it may have been given up before.
        #expect(begun.load(ordering: .relaxed) <= 1)
    }

    @Test func aWriteThatIsGivenUpIsNotCommitted() async throws {
        try await withHangingDatabase { database in
            let outcome = await Self.outcome { try await database.write { _ in } }
            #expect(outcome?.failure == .overloaded)
            database.goOn()
            try await database.write(.patiently) { _ in }
            #expect(database.commits == 1)
        }
    }

    @Test func aWriteThatIsGivenUpAmidItsStatementsIsNotCommitted() async throws {
        try await withHangingDatabase { database in
            database.goOn()
            let (attempt, mayEnd) = (WriteAttempt(), Monitor(false))
            let (begun, beginning) = AsyncStream.makeStream(of: Void.self)
            let answer = FirstAnswer<Void>()
            try database.startWrite(attempt) { _ in
                beginning.finish()
                mayEnd.wait { $0 ? .found(()) : .wait }
            } completion: {
                answer.give($0)
            }
            for await _ in begun {}
            #expect(attempt.giveUp().failure == .retryTransaction)
            mayEnd.withLock { $0 = true }
            mayEnd.broadcast()
            await answer.arrival.wait()
            #expect(throws: DatabaseError.self) { try answer.take() }
            #expect(database.commits == 0)
        }
    }

    @Test func whateverIsAnsweredShowsThatTheDatabaseIsThere() async throws {
        try await withHangingDatabase { database in
            database.goOn()
            let lane = TransactionLane<Item, Void>("test", on: database) { _, items in items.map { _ in } }
            let calls: [@Sendable () async throws -> Void] = [
                { _ = try await database.read(.patiently) { _ in } },
                { try await database.write(.patiently) { _ in } },
                { try await lane.write(Item()) },
            ]
            for (index, call) in calls.enumerated() {
                database.threads.lastAnswer.store(0, ordering: .relaxed)
                try await call()
                #expect(database.threads.lastAnswer.load(ordering: .relaxed) > 0, "call \(index)")
            }
        }
    }

    private struct Item: LaneItem {
        let shardKey: UInt64 = 0
        let byteCount = 1
    }

    /// The one that is silent is the clock of this test: behind it the other one would have been given up, too.
    @Test(.timeLimit(.minutes(5))) func theEndWaitsForADatabaseThatAnswersAndHardlyForAnother() async throws {
        try await withHangingDatabase { answering in
            let silent = HangingDatabase(.seconds(1))
            let (mayEnd, waitsInVain) = (Arrival(), Arrival())
            answering.threads.noteAnswer()
            async let isDone = answering.threads.waitAtEnd(.seconds(20)) { await mayEnd.wait() }
            #expect(await !silent.threads.waitAtEnd(.seconds(30)) { await waitsInVain.wait() })
            mayEnd.announce()
            #expect(await isDone)
            waitsInVain.announce()
            await silent.close()
        }
    }

    private func withHangingDatabase(
        patience: Duration = .milliseconds(20), _ body: (HangingDatabase) async throws -> Void
    ) async throws {
        let database = HangingDatabase(patience)
        defer { database.goOn() }
        try await body(database)
        database.goOn()
        await database.close()
    }
}

/// Answers nobody until it is told to go on.
private final class HangingDatabase: Database {
    let dialect = Dialect.sqlite
    let threads: DatabaseThreads
    private let mayGoOn = Monitor(false)
    private let committed = Atomic(0)

    init(_ patience: Duration) {
        threads = DatabaseThreads("hanging", readers: 1, writers: 1, shards: 1, patience: patience)
    }

    var commits: Int { committed.load(ordering: .relaxed) }

    func goOn() {
        mayGoOn.withLock { $0 = true }
        mayGoOn.broadcast()
    }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        mayGoOn.wait { $0 ? .found(()) : .wait }
        return try body(NoConnection())
    }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        mayGoOn.wait { $0 ? .found(()) : .wait }
        let value = try body(NoConnection())
        committed.add(1, ordering: .relaxed)
        return value
    }

    func close() async { await threads.close() }
}

private final class NoConnection: Connection {
    let dialect = Dialect.sqlite
    func execute(_ sql: SQL) throws -> Int { 0 }
    func execute(_ statement: BulkStatement, rows: BulkRows) throws {}
    func forEach(_ sql: SQL, _ body: (borrowing Row) throws -> RowStep) throws {}
}
