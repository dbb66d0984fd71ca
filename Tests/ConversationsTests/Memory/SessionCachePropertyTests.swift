import NIOCore
import Persistence
import Testing
import TurnpikeTesting

@testable import Conversations

/// The cache of sessions against a naive model: random readings, turns, foreign changes and evictions in any order.
@Suite struct SessionCachePropertyTests {
    @Test(arguments: 1...20)
    func whatIsGivenForAVersionIsWhatTheDatabaseHadAtIt(_ seed: UInt64) throws {
        var world = CacheWorld(seed: seed, limit: 40_000)
        for _ in 0..<2_000 {
            world.step()
            try world.check()
        }
        #expect(world.hits > 200, "the cache answers at all")
        #expect(world.misses > 20, "and not always")
        #expect(world.provisional > 5, "of turns that wait, too")
    }

    @Test func whatWasNotUsedForLongestGoesFirst() {
        let sessions = (0..<20).map { _ in NaiveSession() }
        let cache = SessionCache(limit: 200_000)
        for session in sessions { cache.store(session.snapshot(of: 1_000, bodies: true), readSince: cache.time) }
        var recent: [SessionKey] = []
        var chance = SeededGenerator(seed: 7)
        for _ in 0..<400 {
            guard let session = sessions.randomElement(using: &chance) else { continue }
            var grown = session
            for _ in 0..<40 { grown.append(bodyBytes: 200) }
            cache.store(grown.snapshot(of: 1_000, bodies: true), readSince: cache.time)
            recent.removeAll { $0 == session.key }
            recent.append(session.key)
            #expect(cache.byteCount <= 200_000)
            // Those that are there were used after all of those that are not.
            let known = recent.map { cache.holds($0) }
            let first = known.firstIndex(of: true) ?? known.endIndex
            #expect(!known[first...].contains(false), "\(known)")
            #expect(known.last == true)
        }
    }

    @Test func aSessionLargerThanItsShareKeepsItsNewestBodies() throws {
        let cache = SessionCache(limit: 40_000)
        var session = NaiveSession()
        for _ in 0..<30 { session.append(bodyBytes: 1_000) }
        cache.store(session.snapshot(of: 1_000, bodies: true), readSince: cache.time)
        let found = try #require(cache.snapshot(of: session.row))
        #expect(found.outlines.count == 60)
        #expect(found.bodyBytes <= 10_000)
        #expect(found.bodies.map(\.seq) == Array((61 - Int64(found.bodies.count))..<61))
    }
}

/// What the database has of a session: every turn appended, nothing clever.
private struct NaiveSession {
    var row: Session
    var messages: [StoredMessage] = []
    /// Turns in the spool.
    var waiting: [TurnDraft] = []
    var key: SessionKey { row.key }

    init() {
        row = Session.sample()
    }

    /// Somebody changes the session otherwise than by a turn.
    mutating func change() {
        row.version += 1
        row.settings.maxHistory = Int(row.version)
    }

    /// A turn of two messages is stored.
    @discardableResult
    mutating func append(bodyBytes: Int) -> TurnDraft {
        let turn = turn(bodyBytes: bodyBytes)
        append(turn)
        return turn
    }

    /// A turn of two messages.
    func turn(bodyBytes: Int) -> TurnDraft {
        let digest = StoredDigest(bytes: Array(repeating: 1, count: 32))
        guard let digest else { preconditionFailure("32 bytes are a digest") }
        let drafts = [MessageRole.user, .assistant].map { role in
            NewMessage(
                role: role,
                body: ByteBuffer(string: "\(row.nextSeq) \(role) " + String(repeating: "x", count: bodyBytes)),
                digest: digest)
        }
        return TurnDraft(key: key, baseSeq: row.nextSeq, requestDigest: digest, messages: drafts)
    }

    mutating func append(_ turn: TurnDraft) {
        for (index, draft) in turn.messages.enumerated() {
            let outline = MessageOutline(
                seq: row.nextSeq + Int64(index), turnID: turn.id, role: draft.role, digest: draft.digest,
                digestVersion: 1,
                tokens: nil)
            messages.append(
                StoredMessage(
                    outline: outline, body: draft.body, supersededBySeq: nil, createdAt: Timestamp(microseconds: 1)))
        }
        row.nextSeq += 2
        row.version += 1
        row.counters.messages += 2
        row.counters.turns += 1
        row.lastTurn = LastTurn(
            id: turn.id, firstSeq: row.nextSeq - 2, baseSeq: turn.baseSeq, requestDigest: turn.requestDigest,
            idempotencyKey: nil)
    }

    /// A reading of all messages, with the turns that wait behind them.
    func snapshotWithSpooledTurns() -> SessionSnapshot {
        var snapshot = snapshot(of: 1_000, bodies: true)
        for turn in waiting {
            do {
                try snapshot.append(turn, at: Timestamp(microseconds: 1))
            } catch {
                preconditionFailure("A whole snapshot takes every turn: \(error)")
            }
        }
        return snapshot
    }

    /// A reading of the newest `count` messages, whole turns.
    func snapshot(of count: Int, bodies: Bool) -> SessionSnapshot {
        let newest = messages.suffix(count / 2 * 2)
        return SessionSnapshot(
            row, outlines: newest.map(\.outline), isComplete: newest.count == messages.count,
            bodies: bodies ? Array(newest) : [])
    }
}

/// A cache, the sessions that it caches, and chance.
private struct CacheWorld {
    let cache: SessionCache
    let limit: Int
    var sessions = (0..<6).map { _ in NaiveSession() }
    var chance: SeededGenerator
    var hits = 0
    var provisional = 0
    var misses = 0

    init(seed: UInt64, limit: Int) {
        self.limit = limit
        cache = SessionCache(limit: limit)
        chance = SeededGenerator(seed: seed)
    }

    mutating func step() {
        let index = Int.random(in: sessions.indices, using: &chance)
        switch Int.random(in: 0..<15, using: &chance) {
        case 0...2: storeTurn(index)
        case 3: sessions[index].append(bodyBytes: 50)
        case 4...7: read(index)
        case 8: cache.drop(sessions[index].key)
        case 9: sessions[index].change()
        case 10: findTurn(index)
        case 11: spoolTurn(index)
        case 12...13: replayTurn(index)
        default: replace(index)
        }
    }

    /// A turn that this process stores. What it is told may come after somebody else's.
    private mutating func storeTurn(_ index: Int) {
        // Behind turns that wait it would go the same way.
        guard sessions[index].waiting.isEmpty else { return spoolTurn(index) }
        let turn = sessions[index].append(bodyBytes: Int.random(in: 0...400, using: &chance))
        let stored = StoredTurn(
            firstSeq: sessions[index].row.nextSeq - 2, messageCount: 2, version: sessions[index].row.version,
            superseded: .notAsked)
        if Bool.random(using: &chance) { sessions[index].append(bodyBytes: 10) }
        cache.append(turn, stored, at: Timestamp(microseconds: 1))
    }

    /// A reading in which this process may store a turn.
    private mutating func read(_ index: Int) {
        guard sessions[index].waiting.isEmpty else { return replace(index) }
        let start = cache.time
        let count = [2, 8, 1_000].randomElement(using: &chance) ?? 2
        let snapshot = sessions[index].snapshot(of: count, bodies: Bool.random(using: &chance))
        if Int.random(in: 0..<4, using: &chance) == 0 { storeTurn(index) }
        cache.store(snapshot, readSince: start)
    }

    private mutating func replace(_ index: Int) {
        let start = cache.time
        let snapshot = sessions[index].snapshotWithSpooledTurns()
        if Bool.random(using: &chance) { storeTurn(index) }
        cache.replace(snapshot, readSince: start)
    }

    /// A turn that is spooled: memory shows it, the database does not have it yet.
    private mutating func spoolTurn(_ index: Int) {
        guard sessions[index].waiting.count < 3 else { return }
        let turn = sessions[index].turn(bodyBytes: 30)
        sessions[index].waiting.append(turn)
        cache.append(turn, nil, at: Timestamp(microseconds: 1))
    }

    /// The oldest spooled turn is stored behind what others did meanwhile, as the replay does it, or found stored.
    private mutating func replayTurn(_ index: Int) {
        guard !sessions[index].waiting.isEmpty else { return }
        let turn = sessions[index].waiting.removeFirst()
        let expected = cache.snapshot(turn.key)?.firstSeq(of: turn.id)
        let firstSeq = sessions[index].row.nextSeq
        sessions[index].append(turn)
        guard firstSeq == expected else { return cache.drop(turn.key) }
        if Int.random(in: 0..<4, using: &chance) == 0 { return cache.noteFound(turn.key, at: firstSeq) }
        let stored = StoredTurn(
            firstSeq: firstSeq, messageCount: 2, version: sessions[index].row.version, superseded: .notAsked)
        cache.confirm(turn.key, stored)
    }

    /// A turn whose commit had no answer, and that is found stored, maybe behind somebody else's change.
    private mutating func findTurn(_ index: Int) {
        guard sessions[index].waiting.isEmpty else { return }
        if Bool.random(using: &chance) { sessions[index].change() }
        let turn = sessions[index].append(bodyBytes: 40)
        cache.append(turn, foundAt: sessions[index].row.nextSeq - 2, at: Timestamp(microseconds: 1))
    }

    /// What an exchange goes by that has read the session's row: with spooled turns what was built on that row.
    private func known(_ session: NaiveSession) -> SessionSnapshot? {
        guard !session.waiting.isEmpty else { return cache.snapshot(of: session.row) }
        return cache.snapshot(session.key).flatMap { $0.confirmedVersion == session.row.version ? $0 : nil }
    }

    mutating func check() throws {
        #expect(cache.byteCount <= limit)
        for stored in sessions {
            var session = stored
            guard let found = known(session) else {
                misses += 1
                continue
            }
            hits += 1
            provisional += found.isConfirmed ? 0 : 1
            for turn in stored.waiting { session.append(turn) }
            #expect(found.session.version == session.row.version)
            #expect(found.session.settings == session.row.settings && found.session.lastTurn == session.row.lastTurn)
            #expect(found.session.nextSeq == session.row.nextSeq)
            #expect(found.session.counters == session.row.counters)
            #expect(found.outlines == session.messages.suffix(found.outlines.count).map(\.outline))
            if found.isComplete { #expect(found.outlines.count == session.messages.count) }
            let bodies = Dictionary(uniqueKeysWithValues: session.messages.map { ($0.seq, $0.body) })
            #expect(found.bodies.allSatisfy { bodies[$0.seq] == $0.body })
            #expect(found.bodies.map(\.seq) == found.bodies.map(\.seq).sorted())
            #expect(found.bodyBytes == found.bodies.reduce(0) { $0 + $1.body.readableBytes })
        }
    }
}

extension SessionCache {
    /// Whether it knows a session; unlike `snapshot` this is no use of it.
    fileprivate func holds(_ key: SessionKey) -> Bool { keys.contains(key) }
}
