import Glibc
import Journal
import NIOCore
import Testing
import TurnpikeTesting

/// A directory on a real disk that somebody takes away while it is in use.
@Suite struct JournalDirectoryTests {
    private let parent = TemporaryDirectory("journal")
    private var directory: String { "\(parent.path)/spool" }
    private var away: String { "\(parent.path)/away" }

    private func open() throws -> Journal {
        try Journal(JournalConfiguration(directory: directory, maxBytes: 1 << 20), logger: Fixture.logger)
    }

    /// Runs a closure with a journal.
    private func with(_ body: (Journal) async throws -> Void) async throws {
        let journal = try open()
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(journal)) } catch { outcome = .failure(error) }
        await journal.close()
        try outcome.get()
    }

    @Test func nothingIsKeptInADirectoryThatWasTakenAwayUntilItIsBack() async throws {
        try await with { journal in
            let first = try await journal.append("one")
            rename(directory, away)
            await #expect(throws: JournalError.self) { try await journal.append("two") }
            await #expect(throws: JournalError.self) { try await journal.read(first) }
            #expect(journal.status.failure?.contains("removed or replaced") == true)
            #expect(access(directory, F_OK) != 0, "it is not made anew without its lock")
            rename(away, directory)
            #expect(journal.status.failure == nil)
            try await journal.append("three")
            #expect(try await journal.texts == ["one", "three"])
        }
    }

    @Test func aDirectoryThatIsGoneIsToldBeforeAnybodyWritesToIt() async throws {
        try await with { journal in
            #expect(journal.status.failure == nil)
            rename(directory, away)
            #expect(journal.status.failure?.contains("removed or replaced") == true)
            rename(away, directory)
            #expect(journal.status.failure == nil)
            await journal.close()
            #expect(journal.status.failure == nil, "it is given up, not gone")
        }
    }

    @Test func whatAnotherProcessHasInTheSamePlaceIsNeitherReadNorRemoved() async throws {
        try await with { journal in
            let mine = try await journal.append("mine")
            rename(directory, away)
            let other = try open()
            let theirs = try await other.append("theirs")
            #expect(mine == theirs)
            await #expect(throws: JournalError.self) { try await journal.read(mine) }
            await journal.acknowledge([mine], erasing: true)
            #expect(try await other.texts == ["theirs"])
            await other.close()
        }
    }

    @Test func aFileThatWasRemovedIsNotWrittenToAnyMore() async throws {
        try await with { journal in
            try await journal.append("one")
            for name in try PosixFiles().names(in: directory) where name.hasSuffix(".segment") {
                unlink("\(directory)/\(name)")
            }
            let second = try await journal.append("two")
            #expect(try await journal.read(second).map { String(buffer: $0) } == "two")
            await journal.close()
            let next = try open()
            #expect(try await next.texts == ["two"])
            await next.close()
        }
    }

    @Test func aDirectoryThatIsReachedByAnotherPathHasOneOwner() async throws {
        try await with { _ in
            #expect(symlink(directory, away) == 0)
            defer { unlink(away) }
            let configuration = JournalConfiguration(directory: away, maxBytes: 1 << 20)
            #expect { try Journal(configuration, logger: Fixture.logger) } throws: { error in
                (error as? JournalError)?.failure == .owned
            }
        }
    }
}
