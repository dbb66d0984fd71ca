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

    func newest(_ limit: Int, of key: SessionKey, from start: Int64) throws -> [StoredMessage] {
        try counted(snapshot.newest(limit, of: key, from: start))
    }

    func outlines(of key: SessionKey, in seqs: Range<Int64>, order: MessageOrder) throws -> [MessageOutline] {
        try snapshot.outlines(of: key, in: seqs, order: order)
    }

    func messages(of key: SessionKey, in seqs: Range<Int64>) throws -> [StoredMessage] {
        try counted(snapshot.messages(of: key, in: seqs))
    }

    func system(_ key: SessionKey) throws -> SystemMessages? { try snapshot.system(key) }

    private func counted(_ messages: [StoredMessage]) throws -> [StoredMessage] {
        try held.take(messages.reduce(0) { $0 + $1.body.readableBytes })
        return messages
    }
}
