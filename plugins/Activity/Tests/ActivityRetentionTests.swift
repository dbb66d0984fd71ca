import Logging
import Persistence
import Synchronization
import Testing
import TurnpikeKit
import TurnpikeTesting

@testable import ActivityPlugin

@Suite struct ActivityRetentionTests {
    private static let day: Int64 = 86_400_000_000
    /// A Thursday at noon, 20,777 days after 1970.
    private static let now = Timestamp(microseconds: 20_777 * day + day / 2)

    @Test func removesOldRowsFromAFileInSmallSteps() async throws {
        let bench = try await ActivityBench()
        try await bench.chat(as: bench.alice)
        await bench.plugin.recorder.drain()
        let now = Timestamp.now()
        try await bench.database.write { connection in
            for number in 0..<1_200 {
                try connection.execute(
                    """
                    INSERT INTO activity (created_us, activity_id, method, path, status, ending, streamed, \
                    request_bytes, response_bytes, total_us, flags) \
                    VALUES (\(number), \(UniqueID.generate()), 'GET', '/', 200, 'completed', 0, 0, 0, 0, '')
                    """)
            }
        }
        let steps = Mutex(0)
        let chore = ActivityRetention(retention: .seconds(3_600)).chore()
        await chore.run(on: bench.database, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { rest in
            guard rest == chore.pause else { throw CancellationError() }
            steps.withLock { $0 += 1 }
        }
        let left = try await bench.database.read {
            try $0.rows("SELECT created_us FROM activity") { try $0.integer(0) }
        }
        #expect(left.count == 1 && left[0] > now.microseconds - Self.day * 10_000)
        #expect(steps.withLock { $0 } == 2)
    }

    @Test func dropsOldPartitionsOfAServerAndMakesNewOnes() async throws {
        let bench = try await ActivityBench(on: .mariadb)
        let now = Timestamp.now().microseconds
        let week = 7 * Self.day
        let old = (now / week - 20) * week
        try await bench.database.write { connection in
            try connection.execute(
                SQL(raw: PartitionPlan.Change.make([old, old + week, now / week * week]).statement))
            for created in [old - 1, old + 1, old + week + 1, now] {
                try connection.execute(
                    """
                    INSERT INTO activity (created_us, activity_id, method, path, status, ending, streamed, \
                    request_bytes, response_bytes, total_us, flags) \
                    VALUES (\(created), \(UniqueID.generate()), 'GET', '/', 200, 'completed', 0, 0, 0, 0, '')
                    """)
            }
        }
        let chore = ActivityRetention(retention: .seconds(90 * 86_400)).chore()
        await chore.run(on: bench.database, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { rest in
            guard rest == chore.pause else { throw CancellationError() }
        }
        let left = try await bench.database.read {
            try $0.rows("SELECT created_us FROM activity ORDER BY created_us") { try $0.integer(0) }
        }
        #expect(left == [old + week + 1, now], "what shares a partition with newer rows stays")
        let partitions = try await bench.database.read {
            try $0.rows(
                """
                SELECT partition_description FROM information_schema.partitions \
                WHERE table_schema = DATABASE() AND table_name = 'activity' ORDER BY partition_ordinal_position
                """
            ) { try $0.text(0) }
        }
        let ahead = (1...5).map { (number: Int64) in "\((now / week + number) * week)" }
        #expect(partitions == ["\(now / week * week)"] + ahead + ["MAXVALUE"])
    }

    @Test func makesPartitionsAheadOfTheFirstRow() {
        let change = PartitionPlan(bounds: [], retention: .seconds(90 * 86_400)).change(at: Self.now)
        #expect(change == .make((0...4).map { (20_783 + $0 * 7) / 7 * 7 * Self.day }.map { $0 }))
    }

    @Test func makesOnlyWhatIsMissingAndThenDropsWhatIsOld() {
        let week = 7 * Self.day
        let first = (Self.now.microseconds / week + 1) * week
        let all = (0...4).map { first + $0 * week }
        let old = [first - 20 * week, first - 14 * week]
        let plan = { PartitionPlan(bounds: $0, retention: .seconds(90 * 86_400)).change(at: Self.now) }
        #expect(plan(Array(all.dropLast(2))) == .make(Array(all.suffix(2))))
        #expect(plan(all) == nil)
        #expect(plan(old + [first - 12 * week] + all) == .drop(old))
    }

    @Test func partitionsAreADayWideWhenRowsAreKeptBriefly() {
        let change = PartitionPlan(bounds: [], retention: .seconds(2 * 86_400)).change(at: Self.now)
        #expect(change == .make((1...5).map { (20_777 + $0) * Self.day }))
    }

    @Test func aChangedWidthGoesOnBehindTheLastBound() {
        let bounds = [20_778, 20_779].map { $0 * Self.day }
        let change = PartitionPlan(bounds: bounds, retention: .seconds(90 * 86_400)).change(at: Self.now)
        guard case .make(let made) = change else {
            Issue.record("\(String(describing: change))")
            return
        }
        #expect(made.first == 20_783 / 7 * 7 * Self.day && made == made.sorted())
    }

    @Test func writesStatementsThatNameTheirBounds() {
        #expect(
            PartitionPlan.Change.make([7]).statement
                == "ALTER TABLE activity REORGANIZE PARTITION pmax INTO (PARTITION p7 VALUES LESS THAN (7), "
                + "PARTITION pmax VALUES LESS THAN MAXVALUE)")
        #expect(PartitionPlan.Change.drop([7, 9]).statement == "ALTER TABLE activity DROP PARTITION p7, p9")
    }
}
