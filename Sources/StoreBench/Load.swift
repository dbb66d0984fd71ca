import Conversations
import NIOCore
import Persistence

/// Clients that append one turn after the other, each to sessions of its own, whose turns it knows as an exchange does that
/// has them from memory. A turn is a question of 300 bytes and an answer of 1,500.
struct Load: Sendable {
    /// Taken by the clients in turn.
    let stores: [ConversationStore]
    let clients: Int
    let sessions: Int

    /// Where the next turn of a session goes.
    private struct Place {
        let key: SessionKey
        var nextSeq: Int64
    }

    /// What one client has measured: how long turns took that began behind the warm-up, and when the last one was stored.
    typealias Measurement = (latencies: [Duration], end: ContinuousClock.Instant)

    /// - Returns: How long each turn took, and how long all took together.
    func run(warmup: Duration, for duration: Duration) async throws -> (latencies: [Duration], took: Duration) {
        let places = try await makeSessions()
        let start = ContinuousClock.now + warmup
        return try await withThrowingTaskGroup(of: Measurement.self) { group in
            for (client, places) in places.enumerated() {
                group.addTask {
                    try await append(to: store(of: client), places, countedFrom: start, until: start + duration)
                }
            }
            var (latencies, end) = ([Duration](), start)
            for try await measured in group {
                latencies += measured.latencies
                end = max(end, measured.end)
            }
            return (latencies, end - start)
        }
    }

    private func store(of client: Int) -> ConversationStore { stores[client % stores.count] }

    /// Those of each client: made by its store, which has them in memory from then on.
    private func makeSessions() async throws -> [[Place]] {
        let owner = UniqueID.generate()
        return try await withThrowingTaskGroup(of: (Int, Place).self) { group in
            for index in 0..<max(sessions, clients) {
                let client = index % clients
                group.addTask {
                    let made = try await store(of: client).create(SessionDraft(owner: owner))
                    return (client, Place(key: made.key, nextSeq: made.nextSeq))
                }
            }
            return try await group.reduce(into: Array(repeating: [], count: clients)) { $0[$1.0].append($1.1) }
        }
    }

    private func append(
        to store: ConversationStore, _ places: [Place], countedFrom start: ContinuousClock.Instant,
        until end: ContinuousClock.Instant
    ) async throws -> Measurement {
        var (places, latencies) = (places, [Duration]())
        var begin = ContinuousClock.now
        while begin < end {
            let index = Int.random(in: places.indices)
            try await append(to: store, &places[index])
            let now = ContinuousClock.now
            if begin >= start { latencies.append(now - begin) }
            begin = now
        }
        return (latencies, begin)
    }

    private func append(to store: ConversationStore, _ place: inout Place) async throws {
        let turn = TurnDraft(
            key: place.key, baseSeq: place.nextSeq, requestDigest: Self.digest, messages: [Self.question, Self.answer])
        switch try await store.append(turn) {
        case .stored(let stored): place.nextSeq = stored.firstSeq + Int64(stored.messageCount)
        case .alreadyStored(let firstSeq): place.nextSeq = firstSeq + Int64(turn.messages.count)
        case .spooled, .sessionDeleted, .changedByOthers: preconditionFailure("nobody else is there, and no spool")
        }
    }

    private static let digest: StoredDigest = {
        guard let digest = StoredDigest(bytes: Array(repeating: 7, count: 32)) else { preconditionFailure("32 bytes") }
        return digest
    }()
    private static let question = message(.user, 300)
    private static let answer = message(.assistant, 1_500)

    private static func message(_ role: MessageRole, _ size: Int) -> NewMessage {
        let text = String(repeating: "word ", count: size / 5)
        return NewMessage(
            role: role, body: ByteBuffer(string: #"{"role":"\#(role)","content":"\#(text)"}"#), digest: digest,
            tokens: size / 5)
    }
}
