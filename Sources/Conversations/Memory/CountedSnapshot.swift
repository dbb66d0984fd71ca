import NIOCore
import TurnpikeKit

/// A snapshot whose bodies are counted for the exchange that gets them: they stay in memory as long as it uses them,
/// whatever the cache does.
struct CountedSnapshot: HistoryReading {
    private let snapshot: SessionSnapshot
    private let held: BufferReservation

    init(_ snapshot: SessionSnapshot, _ held: BufferReservation) {
        self.snapshot = snapshot
        self.held = held
    }

    func startOver() { held.release() }

    func session(_ key: SessionKey) throws -> Session? { try snapshot.session(key) }

    func newestRun(_ limit: Int, of key: SessionKey, from start: Int64) throws -> ArraySlice<StoredMessage> {
        let messages = try snapshot.newestRun(limit, of: key, from: start)
        try held.take(messages.reduce(0) { $0 + $1.body.readableBytes })
        return messages
    }

    func outlines(of key: SessionKey, in seqs: Range<Int64>, order: MessageOrder) throws -> [MessageOutline] {
        try snapshot.outlines(of: key, in: seqs, order: order)
    }

    func messages(of key: SessionKey, in seqs: Range<Int64>) throws -> [StoredMessage] {
        let messages = try snapshot.messages(of: key, in: seqs)
        try held.take(messages.reduce(0) { $0 + $1.body.readableBytes })
        return messages
    }

    func system(_ key: SessionKey) throws -> SystemMessages? { try snapshot.system(key) }
}
