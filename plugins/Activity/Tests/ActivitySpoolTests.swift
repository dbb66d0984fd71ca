import Glibc
import Logging
import NIOCore
import Persistence
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import ActivityPlugin

@Suite struct ActivitySpoolTests {
    /// A recorder whose database can be away, and the directory of its spool.
    private final class Outage: Sendable {
        let bench: ActivityBench
        let database: AbsentDatabase
        private let files = TemporaryDirectory("activity")
        var directory: String { files.path }

        init(_ tested: TestedDatabase = .sqlite) async throws {
            bench = try await ActivityBench(on: tested)
            database = AbsentDatabase(bench.database)
        }

        func recorder() -> ActivityRecorder {
            ActivityRecorder(
                database: database, clock: bench.time.clock,
                spool: ActivitySpool.Settings(directory: "\(directory)/spool"),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }

        func record(_ count: Int, in recorder: ActivityRecorder) {
            for _ in 0..<count {
                recorder.record(ActivityRow(bench.exchange(as: bench.alice), Outcome(ending: .completed, status: 200)))
                bench.time.advance(by: 1)
            }
        }

        /// Leaves rows to the spool while the database is away; it is there again behind this.
        func spool(_ count: Int, by recorder: ActivityRecorder) async {
            database.isAway = true
            record(count, in: recorder)
            await recorder.drain()
            database.isAway = false
        }

        /// Puts a file where the spool's directory would be, so that the disk takes nothing until it is gone.
        func blockDisk() { fclose(fopen("\(directory)/spool", "w")) }

        func stored() async throws -> Int { try await bench.rows(of: bench.alice).count }
    }

    @Test(arguments: TestedDatabase.allCases)
    func storesWhatAnOutageHeldBackOnceItIsOver(_ tested: TestedDatabase) async throws {
        let outage = try await Outage(tested)
        let recorder = outage.recorder()
        outage.database.isAway = true
        outage.record(100, in: recorder)
        await recorder.drain()
        let spool = try #require(recorder.spool)
        #expect(spool.status.records >= 1 && spool.status.rows == 0)
        await spool.tick()
        #expect(try await outage.stored() == 0)

        outage.database.isAway = false
        await spool.tick()
        #expect(try await outage.stored() == 0, "it was tried a moment ago")
        outage.bench.time.advance(by: 1_000_000)
        await spool.tick()
        #expect(try await outage.stored() == 100)
        #expect(spool.status.records == 0)
        #expect(recorder.lost == 0)
    }

    @Test func theNextProcessStoresWhatTheFormerOneKept() async throws {
        let outage = try await Outage()
        outage.database.isAway = true
        try await {
            let recorder = outage.recorder()
            outage.record(3, in: recorder)
            await recorder.drain()
            try await #require(recorder.spool).close()
        }()
        outage.database.isAway = false
        let next = outage.recorder()
        await next.spool?.tick()
        #expect(try await outage.stored() == 3)
    }

    @Test func aRecordThatWasDamagedOnTheDiskIsSetAsideAndBlocksNothing() async throws {
        let outage = try await Outage()
        let recorder = outage.recorder()
        outage.database.isAway = true
        for _ in 0..<2 {
            outage.record(3, in: recorder)
            await recorder.drain()
        }
        let spool = try #require(recorder.spool)
        #expect(spool.status.records == 2)
        let file = fopen("\(outage.directory)/spool/00000001.segment", "r+")
        fseek(file, 100, SEEK_SET)
        fputs("damage", file)
        fclose(file)
        outage.database.isAway = false
        outage.bench.time.advance(by: 1_000_000)
        await spool.tick()
        #expect(try await outage.stored() == 3)
        #expect(spool.status.records == 0)
        #expect(access("\(outage.directory)/spool/dead", F_OK) == 0)
    }

    @Test func aRowWhoseStoringGotNoAnswerIsThereOnce() async throws {
        let outage = try await Outage()
        let recorder = outage.recorder()
        await outage.spool(2, by: recorder)
        outage.database.losesAnswers = true
        await recorder.spool?.tick()
        #expect(try await outage.stored() == 2)
        outage.database.losesAnswers = false
        outage.bench.time.advance(by: 1_000_000)
        await recorder.spool?.tick()
        #expect(try await outage.stored() == 2)
        #expect(recorder.spool?.status.records == 0)
    }

    @Test func whatTheDiskDoesNotTakeWaitsInMemory() async throws {
        let outage = try await Outage()
        outage.blockDisk()
        let recorder = outage.recorder()
        outage.database.isAway = true
        outage.record(5, in: recorder)
        await recorder.drain()
        #expect(recorder.spool?.status.rows == 5)
        unlink("\(outage.directory)/spool")
        await recorder.spool?.flush()
        #expect(recorder.spool?.status.rows == 0 && recorder.spool?.status.records == 1)
    }

    @Test func whatFollowsOnAFailureIsWrittenInBatches() async throws {
        let outage = try await Outage()
        outage.blockDisk()
        let spool = try #require(outage.recorder().spool)
        let row = ActivityRow(outage.bench.exchange(), Outcome(ending: .completed, status: 200))
        for _ in 0..<1_000 { #expect(spool.take(row)) }
        await spool.flush()
        #expect(spool.status.rows == 1_000)
        for _ in 0..<300 { #expect(spool.take(row)) }
        unlink("\(outage.directory)/spool")
        await spool.flush()
        #expect(spool.status.rows == 0 && spool.status.records == 3)
    }

    @Test func rowsThatTheDatabaseRefusesAreGivenUpWithItsReason() async throws {
        let outage = try await Outage()
        let recorder = outage.recorder()
        for count in [2, 3] { await outage.spool(count, by: recorder) }
        #expect(recorder.spool?.status.records == 2)
        outage.database.refuses = true
        let givenUp = try #require(await recorder.spool?.tick())
        #expect(givenUp.rows == 5)
        #expect((givenUp.error as? DatabaseError)?.failure == .data)
        #expect(recorder.spool?.status.records == 0)
    }

    @Test func countsWhatFitsNowhere() async throws {
        let outage = try await Outage()
        let spool = ActivitySpool(
            ActivitySpool.Settings(directory: "/proc/none/spool"), database: outage.database,
            clock: outage.bench.time.clock, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let row = ActivityRow(outage.bench.exchange(), Outcome(ending: .completed, status: 200))
        for _ in 0..<ActivitySpool.waitingLimit { #expect(spool.take(row)) }
        #expect(!spool.take(row))
    }

    @Test func readsWhatItWroteAndNothingElse() async throws {
        let bench = try await ActivityBench()
        let exchange = bench.exchange("/v1/ü", as: bench.alice)
        exchange.note { $0.requestedModel = "🍣" }
        let rows = [exchange, bench.exchange()].map { ActivityRow($0, Outcome(ending: .clientLeft, status: 0)) }
        let record = ActivityBatchCoding.encode(rows)
        let expected = ActivityRow.values(of: rows).values
        let (columns, values) = try ActivityBatchCoding.decode(record)
        #expect(columns == ActivityRow.columns.count && values == expected)
        for length in 0..<record.readableBytes {
            let cut = try #require(record.getSlice(at: 0, length: length))
            let found = try? ActivityBatchCoding.decode(cut)
            #expect(found.map { $0.values.count == expected.count / 2 || $0.values.isEmpty } ?? true)
        }
    }
}

/// A database that answers nothing while it is away, stores without saying so, or takes no value.
private final class AbsentDatabase: Database {
    private let base: any Database
    private let state = Mutex((isAway: false, losesAnswers: false, refuses: false))

    init(_ base: any Database) { self.base = base }

    var isAway: Bool {
        get { state.withLock { $0.isAway } }
        set { state.withLock { $0.isAway = newValue } }
    }
    var losesAnswers: Bool {
        get { state.withLock { $0.losesAnswers } }
        set { state.withLock { $0.losesAnswers = newValue } }
    }
    var refuses: Bool {
        get { state.withLock { $0.refuses } }
        set { state.withLock { $0.refuses = newValue } }
    }

    var dialect: Dialect { base.dialect }
    var threads: DatabaseThreads { base.threads }

    func blockingRead<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        if isAway { throw DatabaseError(.unavailable, "the test says so") }
        return try base.blockingRead(body)
    }

    func blockingWrite<Value>(_ body: (any Connection) throws -> Value) throws -> Value {
        if isAway { throw DatabaseError(.unavailable, "the test says so") }
        if refuses { throw DatabaseError(.data, "the test says so") }
        let value = try base.blockingWrite(body)
        if losesAnswers { throw DatabaseError(.unknownAtCommit, "the test says so") }
        return value
    }

    func close() async { await base.close() }
}
