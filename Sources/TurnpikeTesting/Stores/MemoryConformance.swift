import Conversations
import NIOCore
import Persistence
import TurnpikeKit

/// What a process keeps of sessions in memory is never what an exchange goes by once another process has changed it.
enum MemoryConformance {
    static var cases: [ConformanceCase] {
        [
            Promise("an exchange sees every change that another process made", otherProcess),
            Promise("64 exchanges at once get their own sessions, and strangers none", manyAtOnce),
            Promise("names that only look the same are two sessions in memory too", exactNames),
            Promise("of a session in memory an exchange reads the version, and nothing else", oneStatement),
            Promise("of a session that was just made an exchange reads nothing", newSession),
            Promise("alone on its database, of a session in memory an exchange reads nothing", noStatement),
            Promise("alone on its database, a process sees every change that it made itself", ownChanges),
            Promise("alone on its database, turns go on beside what the process changes itself", ownChangesMeanwhile),
            Promise("what another process changed is seen as soon as it has come", anotherComes),
            Promise("what others changed before they left is seen by the one who stays", changedByThoseWhoLeft),
            Promise("no turn is built on what another process had changed, whoever believed what", othersChanges),
            Promise("nor on what memory has of that by now", failedPremise),
        ].flatMap { promise in
            [
                ConformanceCase(promise.text) { try await with($0, isDurable: false, promise.check) },
                ConformanceCase("\(promise.text), with a spool") { try await with($0, isDurable: true, promise.check) },
            ]
        }
    }

    /// What a store with a memory promises, whether or not it has a spool.
    private struct Promise: Sendable {
        let text: String
        let check: @Sendable (Processes) async throws -> Void

        init(_ text: String, _ check: @escaping @Sendable (Processes) async throws -> Void) {
            (self.text, self.check) = (text, check)
        }
    }

    /// Two processes on one database, one of which remembers.
    struct Processes: Sendable {
        let store: ConversationStore
        /// Of `store`.
        let database: FaultyDatabase
        /// Of the sole use of the database.
        let clock: TestClock
        let other: ConversationSamples
    }

    static let owner = UniqueID.generate()

    private static func with(
        _ fixture: any DatabaseFixture, isDurable: Bool, _ body: @Sendable (Processes) async throws -> Void
    ) async throws {
        try await ConversationSamples.with(fixture) { samples in
            try await fixture.with { second in
                let database = FaultyDatabase(second)
                let clock = TestClock()
                let store = ConversationStore(
                    database: database, durability: isDurable ? try durability() : nil, cacheLimit: 1 << 20,
                    soleUse: SoleUse(.always, database) { clock.nanoseconds })
                do {
                    try await body(Processes(store: store, database: database, clock: clock, other: samples))
                } catch {
                    await store.closeSpool()
                    throw error
                }
                await store.closeSpool()
            }
        }
    }

    /// With deadlines that no machine is too slow for: here the database is never away.
    private static func durability() throws -> Durability {
        var settings = SpoolSettings(directory: "/spool")
        settings.commitDeadline = .seconds(60)
        return try Durability(settings, on: SimulatedDisk(), logger: MigrationConformance.logger)
    }

    /// Finds a session as an exchange does, and reads its history, so that both are in memory.
    static func visit(_ store: ConversationStore, _ name: String, of owner: UniqueID = owner) async throws
        -> Session?
    {
        guard let session = try await store.sessionOfExchange(SessionReference(name), of: owner) else { return nil }
        try await readHistory(store, session)
        return session
    }

    /// The same for a session without a name.
    static func visit(_ store: ConversationStore, _ session: Session) async throws -> Session? {
        try await visit(store, "\(session.key.session)", of: session.key.owner)
    }

    private static func readHistory(_ store: ConversationStore, _ session: Session) async throws {
        try await store.readHistory(of: session, counting: BufferReservation(BufferBudget(limit: 1 << 20))) {
            _ = try $0.newestRun(20, of: session.key, from: session.contextStartSeq)
            _ = try $0.system(session.key)
            // What was read is kept only if it is known to be of one version.
            _ = try $0.session(session.key)
        }
    }

    @Sendable private static func otherProcess(_ processes: Processes) async throws {
        let (store, other) = (processes.store, processes.other)
        let name = "shared"
        let made = try await other.store.create(SessionDraft(owner: owner, externalID: name))
        let changes: [@Sendable () async throws -> Void] = [
            {
                try await other.append(
                    ConversationSamples.turn(try await other.current(made), ["question", "answer"]))
            },
            { _ = try await other.store.update(made.key) { $0.maxHistory = 3 } },
            { _ = try await other.store.update(made.key, conversation: { $0.groupName = "g" }) { _ in } },
            { _ = try await other.store.delete(made.key) },
            { _ = try await other.store.create(SessionDraft(owner: owner, externalID: name)) },
        ]
        for (index, change) in changes.enumerated() {
            _ = try await visit(store, name)
            try expectEqual(
                try await visit(store, name), try await other.store.session(SessionReference(name), of: owner),
                "the session before change \(index)")
            try await change()
            try expectEqual(
                try await visit(store, name), try await other.store.session(SessionReference(name), of: owner),
                "the session after change \(index)")
        }
    }

    @Sendable private static func manyAtOnce(_ processes: Processes) async throws {
        let (store, other) = (processes.store, processes.other)
        for index in 0..<64 {
            try await other.store.create(SessionDraft(owner: owner, externalID: "id-\(index)"))
            _ = try await visit(store, "id-\(index)")
        }
        let stranger = UniqueID.generate()
        try await withThrowingTaskGroup { group in
            for index in 0..<64 {
                group.addTask {
                    let found = try await visit(store, "id-\(index)")
                    try expectEqual(found?.externalID, "id-\(index)", "the session")
                    try expect(try await visit(store, "id-\(index)", of: stranger) == nil, "a stranger's")
                }
            }
            try await group.waitForAll()
        }
    }

    /// The second statement would fail.
    @Sendable private static func oneStatement(_ processes: Processes) async throws {
        let (store, other) = (processes.store, processes.other)
        let made = try await other.store.create(SessionDraft(owner: owner, externalID: "known"))
        try await other.append(ConversationSamples.turn(made, ["question", "answer"]))
        _ = try await visit(store, "known")
        for _ in 0..<3 {
            processes.database.fail(atStep: 1, with: .data)
            try expect(try await visit(store, "known") != nil, "the session")
            try expect(processes.database.withdraw(), "a second statement was run")
        }
        processes.database.fail(atStep: 0, with: .data)
        try await expectFailure([.data], "the version is asked for") { try await visit(store, "known") }
    }

    /// The first statement would fail.
    @Sendable private static func newSession(_ processes: Processes) async throws {
        let (store, other) = (processes.store, processes.other)
        let made = try await store.findOrCreate(SessionDraft(owner: owner, externalID: "new")).session
        processes.database.fail(atStep: 0, with: .data)
        try await readHistory(store, made)
        try expect(processes.database.withdraw(), "a statement was run")
        try await other.append(ConversationSamples.turn(made, ["question", "answer"]))
        try expectEqual(try await visit(store, "new")?.nextSeq, 3, "the turn of another process is seen")
    }

    @Sendable private static func exactNames(_ processes: Processes) async throws {
        let (store, other) = (processes.store, processes.other)
        let names = ["\u{e9}", "e\u{301}"]
        for name in names { try await other.store.create(SessionDraft(owner: owner, externalID: name)) }
        for name in names + names {
            let found = try await visit(store, name)
            try expect(found?.externalID?.utf8.elementsEqual(name.utf8) ?? false, "the session of that very name")
        }
    }
}
