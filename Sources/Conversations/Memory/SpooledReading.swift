import NIOCore
import Persistence
import TurnpikeKit

/// The history of a session with the turns that wait in the spool.
///
/// Which messages are active is known from a snapshot; the bodies that it does not hold are read from the database when
/// they are asked for, each counted before it is loaded. It lives inside one reading.
final class SpooledReading: HistoryReading {
    /// With the bodies that were read so far.
    private(set) var snapshot: SessionSnapshot
    private let reader: ConversationReader
    private let held: BufferReservation

    /// - Parameters:
    ///   - snapshot: whole, with the bodies of the turns that wait.
    ///   - reader: counts by `held`.
    init(_ snapshot: SessionSnapshot, _ reader: ConversationReader, _ held: BufferReservation) {
        self.snapshot = snapshot
        self.reader = reader
        self.held = held
    }

    func startOver() { held.release() }

    func session(_ key: SessionKey) throws -> Session? { snapshot.session }

    func newestRun(_ limit: Int, of key: SessionKey, from start: Int64) throws -> ArraySlice<StoredMessage> {
        try messages(Set(snapshot.newestOutlines(limit, from: start).map(\.seq)), of: key)[...]
    }

    func outlines(of key: SessionKey, in seqs: Range<Int64>, order: MessageOrder) throws -> [MessageOutline] {
        try snapshot.outlines(of: key, in: seqs, order: order)
    }

    func messages(of key: SessionKey, in seqs: Range<Int64>) throws -> [StoredMessage] {
        try messages(Set(snapshot.outlines(of: key, in: seqs, order: .oldestFirst).map(\.seq)), of: key)
    }

    func system(_ key: SessionKey) throws -> SystemMessages? { try snapshot.system(key) }

    private func messages(_ seqs: Set<Int64>, of key: SessionKey) throws -> [StoredMessage] {
        let known = snapshot.bodies.filter { seqs.contains($0.seq) }
        try held.take(known.reduce(0) { $0 + $1.body.readableBytes })
        if known.count == seqs.count { return known }
        let read = try reader.messages(of: key, seqs: Array(seqs.subtracting(known.map(\.seq))))
        guard known.count + read.count == seqs.count else {
            throw DatabaseError(.retryTransaction, "the session was purged meanwhile")
        }
        snapshot.add(read)
        return (known + read).sorted { $0.seq < $1.seq }
    }
}
