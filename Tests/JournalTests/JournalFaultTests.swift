import Glibc
import Journal
import NIOCore
import Testing
import TurnpikeTesting

/// Everything that can fail, failing at step 0, 1, 2 … until it comes no more.
@Suite struct JournalFaultTests {
    /// What a caller was told.
    private struct Told {
        var kept: [String] = []
        var failed: [String] = []
        var done: Set<String> = []
    }

    /// Appends, acknowledges, sets aside, across several segments.
    private func use(_ journal: Journal, _ told: inout Told) async {
        for number in 0..<9 {
            let text = "record \(number)"
            do {
                let sequence = try await journal.append(text)
                told.kept.append(text)
                if number % 3 == 0 {
                    await journal.acknowledge([sequence])
                    told.done.insert(text)
                }
                if number == 4, (try? await journal.setAside(sequence, because: "bad")) != nil {
                    told.done.insert(text)
                }
            } catch {
                told.failed.append(text)
            }
        }
    }

    @Test(arguments: SimulatedDisk.Fault.allCases) func aFaultAtAnyStepLosesNothingThatWasPromised(
        fault: SimulatedDisk.Fault
    ) async throws {
        var step = 0
        while true {
            let disk = SimulatedDisk()
            var told = Told()
            let journal = try Fixture.open(disk, segment: 150)
            disk.fail(atStep: step, fault)
            await use(journal, &told)
            let isOver = disk.withdraw()
            if fault != .powerLoss {
                let texts = try await journal.texts
                #expect(texts == told.kept.filter { !told.done.contains($0) }, "step \(step)")
                #expect(try await journal.append("after") > 0, "step \(step)")
                told.kept.append("after")
            }
            await journal.close()
            disk.restart()
            try await check(disk, told, step)
            if isOver { break }
            step += 1
        }
        #expect(step > 20)
    }

    /// Everything that was kept and not done is there, in order, and nothing that failed. What is done may be there
    /// again where its mark was not written any more.
    private func check(_ disk: SimulatedDisk, _ told: Told, _ step: Int) async throws {
        try await Fixture.with(disk, segment: 150) { journal in
            let found = try await journal.texts
            let waiting = told.kept.filter { !told.done.contains($0) }
            #expect(found.filter(waiting.contains) == waiting, "step \(step)")
            #expect(found.allSatisfy { waiting.contains($0) || told.done.contains($0) || told.failed.contains($0) })
            #expect(found == found.sorted { number($0) < number($1) }, "step \(step)")
            #expect(journal.recovery.damagedPieces == 0, "step \(step)")
        }
    }

    private func number(_ text: String) -> Int { text == "after" ? 99 : Int(text.split(separator: " ")[1]) ?? -1 }

    @Test func aFailedSyncIsNeverTriedAgainOnTheSameFile() async throws {
        let disk = SimulatedDisk()
        try await Fixture.with(disk) { journal in
            try await journal.append("first")
            let file = Fixture.segments(disk)
            disk.fail(atStep: 1, .broken)
            await #expect(throws: JournalError.self) { try await journal.append("second") }
            #expect(journal.status.failure != nil)
            try await journal.append("third")
            #expect(journal.status.failure == nil)
            #expect(Fixture.segments(disk).count == 2 && Fixture.segments(disk)[0] == file[0])
            let texts = try await journal.texts
            #expect(texts == ["first", "third"])
        }
    }

    @Test func aDiskThatHasRoomAgainIsNoFailureAnyMore() async throws {
        let disk = SimulatedDisk()
        try await Fixture.with(disk) { journal in
            disk.setFree(0)
            disk.fail(atStep: 0, .full)
            await #expect(throws: JournalError.self) { try await journal.append("one") }
            #expect(journal.status.failure != nil)
        }
        try await Fixture.with(disk) { journal in
            disk.fail(atStep: 0, .full)
            await #expect(throws: JournalError.self) { try await journal.append("one") }
            disk.setFree(1 << 30)
            #expect(journal.status.failure == nil)
            disk.fail(atStep: 0, .broken)
            await #expect(throws: JournalError.self) { try await journal.append("one") }
            #expect(journal.status.failure != nil)
        }
    }

    @Test func aBatchThatDoesNotFitIsWrittenRecordByRecord() async throws {
        let gate = Gate()
        let disk = SimulatedDisk { gate.pass() }
        let journal = try Fixture.open(disk)
        async let first = journal.append("first")
        await gate.entered()
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<5 { group.addTask { (try? await journal.append("\(number)")) != nil } }
            while journal.pendingTasks < 5 { await Task.yield() }
            // The sync of the header, the first record's write and sync; then the batch, and its first record.
            disk.fail(atStep: 4, .shortWrite)
            gate.open()
            return await group.reduce(into: []) { $0.append($1) }
        }
        _ = try await first
        #expect(outcomes.filter(\.self).count >= 4)
        #expect(try await journal.texts.count == outcomes.filter(\.self).count + 1)
        await journal.close()
    }

    // MARK: Damage

    private func written(_ texts: [String]) async throws -> (disk: SimulatedDisk, path: String, bytes: [UInt8]) {
        let disk = SimulatedDisk()
        try await Fixture.with(disk) { journal in for text in texts { try await journal.append(text) } }
        let path = try #require(Fixture.segments(disk).first)
        return (disk, path, disk.bytes(of: path))
    }

    @Test func aTailThatWasCutOffAnywhereIsDropped() async throws {
        let ends = [16, 16 + 43, 16 + 43 * 2, 16 + 43 * 2 + 45]
        for length in 16...ends[3] {
            let (disk, path, bytes) = try await written(["one", "two", "three"])
            disk.edit(path) { $0 = Array(bytes[..<length]) }
            try await Fixture.with(disk) { journal in
                let whole = ends.filter { $0 <= length }.count - 1
                let texts = try await journal.texts
                #expect(texts == Array(["one", "two", "three"][..<whole]), "length \(length)")
                #expect(journal.recovery.damagedPieces == 0)
                #expect(journal.recovery.tornBytes == length - ends[whole])
            }
        }
    }

    @Test func aByteThatRotsInTheMiddleCostsOneRecordAndIsReported() async throws {
        let (_, path, bytes) = try await written(["one", "two", "three"])
        for offset in 16 + 43..<16 + 43 * 2 {
            let disk = try await written(["one", "two", "three"]).disk
            disk.edit(path) { $0[offset] ^= 0x40 }
            let damaged = Array(disk.bytes(of: path)[59..<102])
            try await Fixture.with(disk) { journal in
                // The last bytes of a header are not used.
                let isUnused = (59 + 36..<59 + 40).contains(offset)
                let texts = try await journal.texts
                #expect(texts == (isUnused ? ["one", "two", "three"] : ["one", "three"]))
                #expect(journal.recovery.damagedPieces == (isUnused ? 0 : 1), "offset \(offset)")
                let piece = disk.paths.first { $0.hasPrefix("j/dead/1-59-") && $0.hasSuffix(".damaged") }
                #expect((piece == nil) == isUnused)
                if let piece { #expect(disk.bytes(of: piece) == damaged) }
            }
            let again = try await Fixture.with(disk) { $0.recovery.damagedPieces }
            #expect(again == 0, "it is reported once")
        }
        #expect(bytes.count == 16 + 43 * 2 + 45)
    }

    @Test func piecesThatLayAtTheSamePlaceAreAllKept() async throws {
        let disk = SimulatedDisk()
        for round in 1...2 {
            // A drained directory begins with segment 1 again.
            for path in Fixture.segments(disk) { try disk.remove(path) }
            _ = try await Fixture.with(disk) { journal in try await journal.append("round \(round)") }
            let path = try #require(Fixture.segments(disk).first)
            #expect(path.hasSuffix("00000001.segment"))
            try await Fixture.with(disk) { journal in
                disk.edit(path) { $0[$0.count - 1] ^= 1 }
                let sequence = try #require(journal.entries.first).sequence
                try await journal.setAside(sequence, because: "it is damaged")
                #expect(journal.status.deadLetters == round)
            }
            #expect(disk.paths.filter { $0.hasSuffix(".damaged") }.count == round)
        }
    }

    @Test func aPieceWhoseKeepingWasCutOffIsKeptAnew() async throws {
        let (disk, path, _) = try await written(["one", "two", "three"])
        disk.edit(path) { $0[16 + 43 + 42] ^= 0x40 }
        _ = try await Fixture.with(disk) { $0.recovery }
        let piece = try #require(disk.paths.first { $0.hasSuffix(".damaged") })
        let kept = disk.bytes(of: piece)
        disk.edit(piece) { $0 = Array($0.prefix(7)) }
        #expect(try await Fixture.with(disk) { $0.recovery.damagedPieces } == 1)
        #expect(disk.bytes(of: piece) == kept)
    }

    @Test func deadLettersThatCannotBeListedAreNotNone() throws {
        let directory = "/tmp/turnpike-dead-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        #expect(mkdir(directory, 0o700) == 0)
        defer {
            unlink("\(directory)/dead")
            rmdir(directory)
        }
        let contents = try JournalContents(JournalConfiguration(directory: directory, maxBytes: 1 << 20), PosixFiles())
        #expect(try contents.damagedPieces() == [])
        close(creat("\(directory)/dead", 0o600))
        #expect(throws: JournalError.self) { try contents.damagedPieces() }
    }

    @Test func aRecordThatRotsWhileItWaitsIsNotReadAsIfItWereGood() async throws {
        let disk = SimulatedDisk()
        try await Fixture.with(disk) { journal in
            let sequence = try await journal.append("good")
            let path = try #require(Fixture.segments(disk).first)
            disk.edit(path) { $0[$0.count - 1] ^= 1 }
            await #expect(throws: JournalError.self) { try await journal.read(sequence) }
        }
    }

    @Test func bytesOfAnyKindAreReadWithoutATrap() async throws {
        let (disk, path, bytes) = try await written(["one", "two", "three"])
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            disk.edit(path) { file in
                file = bytes + Array(bytes.shuffled(using: &random).prefix(Int.random(in: 0...bytes.count)))
                for _ in 0..<Int.random(in: 0...8) {
                    file[Int.random(in: 0..<file.count)] = UInt8.random(in: 0...255)
                }
            }
            disk.restart()
            do { try await Fixture.with(disk) { _ = try? await $0.texts } } catch {
                #expect((error as? JournalError)?.failure == .unusable)
            }
        }
    }
}
