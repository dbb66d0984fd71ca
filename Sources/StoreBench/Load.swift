import Conversations
import NIOCore
import Persistence

/// Clients that append one turn after the other. A turn is a question of 300 bytes and an answer of 1,500.
struct Load: Sendable {
    let stores: [ConversationStore]
    let keys: [SessionKey]
    let clients: Int

    /// How long each turn took, for a while.
    func run(for duration: Duration) async throws -> [Duration] {
        let end = ContinuousClock.now + duration
        return try await withThrowingTaskGroup(of: [Duration].self) { group in
            for client in 0..<clients {
                group.addTask { try await append(to: stores[client % stores.count], until: end) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }

    private func append(to store: ConversationStore, until end: ContinuousClock.Instant) async throws -> [Duration] {
        var latencies: [Duration] = []
        var start = ContinuousClock.now
        while start < end {
            _ = try await store.append(Self.turn(keys[Int.random(in: keys.indices)]))
            let now = ContinuousClock.now
            latencies.append(now - start)
            start = now
        }
        return latencies
    }

    private static func turn(_ key: SessionKey) -> TurnDraft {
        TurnDraft(key: key, baseSeq: 1, requestDigest: digest, messages: [question, answer])
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
