import Glibc
import Journal
import Logging
import NIOCore
import Persistence
import Testing
import TurnpikeTesting

@Suite struct JournalTests {
    @Test func recordsAreThereAgainInOrderAfterTheProcessHasEnded() async throws {
        let disk = SimulatedDisk()
        try await Fixture.with(disk, segment: 256) { journal in
            for number in 0..<20 { try await journal.append("record \(number)") }
        }
        #expect(Fixture.segments(disk).count > 3)
        try await Fixture.with(disk, segment: 256) { journal in
            let texts = try await journal.texts
            #expect(texts == (0..<20).map { "record \($0)" })
            #expect(journal.recovery.records == 20 && journal.recovery.tornBytes == 0)
            try await journal.append("next")
            #expect(try await journal.texts.last == "next")
        }
    }

    @Test func concurrentAppendsShareOneSync() async throws {
        let gate = Gate()
        let disk = SimulatedDisk { gate.pass() }
        let journal = try Fixture.open(disk)
        async let first = journal.append("first")
        await gate.entered()
        try await withThrowingTaskGroup { group in
            for number in 0..<100 { group.addTask { try await journal.append("\(number)") } }
            while journal.pendingTasks < 100 { await Task.yield() }
            gate.open()
            try await group.waitForAll()
        }
        _ = try await first
        // One for the segment's header, one for the first record, one for all others.
        #expect(disk.syncs == 3)
        #expect(journal.status.records == 101)
        await journal.close()
    }

    @Test func acknowledgedRecordsAreGoneForGoodAndTheirFilesToo() async throws {
        let disk = SimulatedDisk()
        try await Fixture.with(disk, segment: 100) { journal in
            var sequences: [UInt64] = []
            for number in 0..<10 { sequences.append(try await journal.append("record \(number)")) }
            await journal.acknowledge(Array(sequences[..<4]))
            await journal.acknowledge(Array(sequences[..<5]) + [9_999])
            let texts = try await journal.texts
            #expect(texts == (5..<10).map { "record \($0)" })
        }
        disk.restart()
        try await Fixture.with(disk, segment: 100) { journal in
            let texts = try await journal.texts
            #expect(texts == (5..<10).map { "record \($0)" })
            #expect(Fixture.segments(disk).count < 10)
            await journal.acknowledge(journal.entries.map(\.sequence))
            #expect(Fixture.segments(disk).isEmpty && journal.status.bytes == 0)
        }
    }

    @Test func aSequenceIsNotUsedTwiceWhileItsRecordIsThere() async throws {
        let disk = SimulatedDisk()
        let first = try await Fixture.with(disk) { try await $0.append("a") }
        let second = try await Fixture.with(disk) { try await $0.append("b") }
        #expect(second > first)
    }

    @Test func erasedRecordsLeaveNothingOnTheDisk() async throws {
        let disk = SimulatedDisk()
        try await Fixture.with(disk) { journal in
            let secret = try await journal.append("the secret")
            try await journal.append("the other")
            await journal.acknowledge([secret], erasing: true)
            let bytes = Fixture.segments(disk).flatMap { disk.bytes(of: $0) }
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(!text.contains("the secret") && text.contains("the other"))
        }
        try await Fixture.with(disk) { journal in
            let texts = try await journal.texts
            #expect(texts == ["the other"])
            #expect(journal.recovery.damagedPieces == 0)
        }
    }

    @Test func aRecordThatIsSetAsideIsADeadLetterAndWaitsNoMore() async throws {
        let disk = SimulatedDisk()
        try await Fixture.with(disk) { journal in
            let bad = try await journal.append("bad")
            try await journal.append("good")
            try await journal.setAside(bad, because: "it was refused")
            let texts = try await journal.texts
            #expect(texts == ["good"])
            #expect(journal.status.deadLetters == 1)
        }
        disk.restart()
        let contents = try JournalContents(JournalConfiguration(directory: "j", maxBytes: 1), disk)
        let letters = try contents.deadLetters()
        #expect(letters.map(\.reason) == ["it was refused"])
        #expect(letters.map { String(buffer: $0.payload) } == ["bad"])
        let waiting = try contents.entries.map { String(buffer: try contents.payload($0)) }
        #expect(waiting == ["good"])
    }

    // MARK: Room

    @Test func whatIsReservedCanBeAppendedWhenTheRestIsFull() async throws {
        try await Fixture.with(SimulatedDisk(), max: 1_000) { journal in
            let reservation = try journal.reserve(500)
            for _ in 0..<4 { try await journal.append(String(repeating: "x", count: 50)) }
            await #expect(throws: JournalError.self) { try await journal.append(String(repeating: "x", count: 100)) }
            #expect(throws: JournalError.self) { try journal.reserve(100) }
            _ = try await journal.append(ByteBuffer(repeating: 1, count: 500), from: reservation)
            reservation.release()
            reservation.release()
            #expect(journal.status.reserved == 0)
        }
    }

    @Test func aReservationGrowsAsFarAsThereIsRoomAndGoesWithItsOwner() async throws {
        try await Fixture.with(SimulatedDisk(), max: 1_000) { journal in
            do {
                let reservation = try journal.reserve(100)
                #expect(reservation.grow(to: 50) && reservation.bytes == 140)
                #expect(reservation.grow(to: 900) && reservation.bytes == 940)
                #expect(!reservation.grow(to: 2_000) && reservation.bytes == 940)
            }
            #expect(journal.status.reserved == 0)
        }
    }

    @Test func aRecordThatCanNeverFitIsToldApartFromAFullJournal() async throws {
        try await Fixture.with(SimulatedDisk(), max: 1_000) { journal in
            #expect(failure { try journal.reserve(1_000) } == .tooLarge)
            _ = try journal.reserve(900)
            #expect(failure { try journal.reserve(900) } == .full || journal.status.reserved == 0)
        }
    }

    @Test func nothingIsReservedThatTheDiskHasNoRoomFor() async throws {
        let disk = SimulatedDisk()
        disk.setFree(100)
        try await Fixture.with(disk) { journal in
            #expect(failure { try journal.reserve(200) } == .full)
            _ = try journal.reserve(20)
        }
    }

    private func failure<Value>(_ body: () throws -> Value) -> JournalError.Failure? {
        do { _ = try body() } catch { return (error as? JournalError)?.failure }
        return nil
    }

    // MARK: The real disk

    @Test func aDirectoryHasOneOwnerWhoIsNamed() async throws {
        let directory = TemporaryDirectory()
        let configuration = JournalConfiguration(directory: "\(directory.path)/a/b", maxBytes: 1 << 20)
        let journal = try Journal(configuration, logger: Fixture.logger)
        let refusal = JournalError(.owned, "\(directory.path)/a/b: process \(getpid()) is using it")
        #expect(throws: refusal) { () throws in _ = try Journal(configuration, logger: Fixture.logger) }
        try await journal.append("kept")
        await journal.close()
        await #expect(throws: JournalError.self) { try await journal.append("late") }
        let again = try Journal(configuration, logger: Fixture.logger)
        #expect(try await again.texts == ["kept"])
        await again.acknowledge(again.entries.map(\.sequence))
        await again.close()
        #expect(try PosixFiles().names(in: configuration.directory) == ["lock"])
    }
}
