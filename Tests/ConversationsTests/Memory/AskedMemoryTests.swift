import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

/// From when on what memory has of a session is believed unasked, and when no longer.
@Suite struct AskedMemoryTests {
    /// A process that has just begun to believe its memory, in which there is a session.
    private struct Belief {
        let site: SoleUseSite
        let process: SoleUse
        let store: ConversationStore
        let session: Session

        init(
            _ base: any Database, _ durability: Durability? = nil, through database: (any Database)? = nil
        ) async throws {
            _ = try await Migrator(ConversationStore.migrations, logger: SpoolFixture.logger).migrate(base)
            site = SoleUseSite(base)
            process = site.process(.always)
            store = ConversationStore(
                database: database ?? base, durability: durability, cacheLimit: 1 << 20, soleUse: process)
            session = try await ConversationStore(database: base).create(
                SessionDraft(owner: .generate(), externalID: "s"))
            remember()
            try await look()
            site.wait(5)
            try await look()
        }

        func look() async throws { _ = try await process.look() }

        /// As when it was read.
        func remember() {
            let snapshot = SessionSnapshot(session, outlines: [], isComplete: true, bodies: [])
            store.cache.store(snapshot, readSince: store.cache.time)
        }

        /// What an exchange goes by without asking.
        var believed: Session? { store.believed(SessionReference("s"), of: session.key.owner)?.0 }
    }

    /// Others may have changed it behind the answer, before they left.
    @Test func whatWasAskedForBeforeAProcessWasAloneIsNotBelieved() async throws {
        try await SQLiteFixture().with { base in
            let (reads, gate) = (ScriptedReads(base), Gate())
            let belief = try await Belief(base, through: reads)
            reads.set { _ in gate.pass() }
            defer { gate.open() }
            belief.site.wait(2)
            let (store, owner) = (belief.store, belief.session.key.owner)
            async let asked = store.sessionOfExchange(SessionReference("s"), of: owner)
            await gate.entered()
            try await belief.look()
            #expect(belief.believed == nil)
            gate.open()
            #expect(try await asked == belief.session)
            #expect(belief.believed == nil)
            #expect(try await store.sessionOfExchange(SessionReference("s"), of: owner) == belief.session)
            #expect(belief.believed == belief.session)
        }
    }

    /// Nobody waits for it any more, and the spool does not have its turn either.
    @Test func behindACommitThatComesTooLateMemoryIsNotBelieved() async throws {
        try await SQLiteFixture().with { base in
            let (disk, gate) = (SimulatedDisk(), Gate())
            var settings = SpoolSettings(directory: "/spool")
            settings.commitDeadline = .milliseconds(100)
            let durability = try Durability(settings, on: disk, logger: SpoolFixture.logger)
            let belief = try await Belief(base, durability)
            #expect(belief.believed == nil)
            belief.remember()
            #expect(belief.believed != nil)
            defer { gate.open() }
            // SQLite has one writer.
            async let held: Void = base.write { _ in gate.pass() }
            await gate.entered()
            disk.fail(atStep: 0, .broken)
            await #expect(throws: DatabaseError.self) {
                _ = try await belief.store.append(SpoolFixture.turn("1", after: belief.session))
            }
            gate.open()
            try await held
            await belief.store.turns.drain()
            #expect(try await belief.store.read { try $0.session(belief.session.key) }?.nextSeq == 3)
            // Longer than nothing is believed behind a commit without an answer.
            belief.site.wait(300)
            try await belief.look()
            #expect(belief.process.isInForce)
            #expect(belief.believed == nil)
            await durability.close()
        }
    }
}
