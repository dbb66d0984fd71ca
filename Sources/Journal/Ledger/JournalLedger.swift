import DequeModule
import Persistence

/// The books of a journal: which records wait, in which segments, and how much room is left. A value without I/O.
struct JournalLedger {
    struct Segment: Equatable {
        let number: Int
        /// Bytes of the file that are known to be good.
        var size: Int
        /// Records in it that wait.
        var waiting = 0
    }

    let limit: Int
    private(set) var segments: Deque<Segment> = []
    private(set) var bytes = 0
    private(set) var reserved = 0
    private(set) var nextSequence: UInt64 = 1
    private(set) var nextSegment = 1
    var deadLetters = 0
    /// What went wrong last; nil after a write that went well.
    var failure: JournalError?
    private var entries: [UInt64: JournalEntry] = [:]
    /// Sequences in order, some of them done already.
    private var order: Deque<UInt64> = []

    init(limit: Int) { self.limit = limit }

    // MARK: Room

    /// Promises room for `count` bytes.
    ///
    /// - Parameter free: What the disk has left.
    mutating func reserve(_ count: Int, free: Int) -> Bool {
        guard bytes + reserved + count <= limit, reserved + count <= free else { return false }
        reserved += count
        return true
    }

    mutating func release(_ count: Int) {
        reserved -= count
        precondition(reserved >= 0, "No more is given back than was reserved.")
    }

    /// Whether `count` bytes may be written that nobody reserved.
    func hasRoom(_ count: Int) -> Bool { bytes + reserved + count <= limit }

    // MARK: Records

    var status: JournalStatus {
        JournalStatus(
            records: entries.count, bytes: bytes, reserved: reserved, limit: limit,
            oldest: first?.time, deadLetters: deadLetters, failure: failure?.description)
    }

    /// The records that wait, in order.
    var waiting: [JournalEntry] { order.compactMap { entries[$0] } }

    /// The oldest record that waits.
    var first: JournalEntry? { order.lazy.compactMap { entries[$0] }.first }

    subscript(sequence: UInt64) -> JournalEntry? { entries[sequence] }

    mutating func takeSequence() -> UInt64 {
        defer { nextSequence += 1 }
        return nextSequence
    }

    mutating func beginSegment(size: Int) -> Segment {
        let segment = Segment(number: nextSegment, size: size)
        add(segment)
        return segment
    }

    /// A segment that was found at opening, or made.
    mutating func add(_ segment: Segment) {
        segments.append(segment)
        bytes += segment.size
        nextSegment = max(nextSegment, segment.number + 1)
    }

    mutating func setSize(_ size: Int, of number: Int) {
        guard let index = segments.firstIndex(where: { $0.number == number }) else { return }
        bytes += size - segments[index].size
        segments[index].size = size
    }

    /// Enters a record of a segment that is known.
    mutating func add(_ entry: JournalEntry) {
        entries[entry.sequence] = entry
        order.append(entry.sequence)
        nextSequence = max(nextSequence, entry.sequence + 1)
        change(entry.segment, by: 1)
    }

    mutating func skip(to sequence: UInt64) { nextSequence = max(nextSequence, sequence + 1) }

    /// Records that are done. What is not there any more is left out, so that it may be said twice.
    @discardableResult
    mutating func acknowledge(_ sequences: [UInt64]) -> [JournalEntry] {
        let done = sequences.compactMap { entries.removeValue(forKey: $0) }
        for entry in done { change(entry.segment, by: -1) }
        while let first = order.first, entries[first] == nil { order.removeFirst() }
        return done
    }

    /// The oldest segments, as far as nothing in them waits. An acknowledgement stands in the segment of its record or
    /// behind it, so the oldest go first, or a record would come back without it.
    ///
    /// - Parameter active: the segment that is being written; it goes only when everything does.
    mutating func takeDrained(active: Int?) -> [Int] {
        var drained: [Int] = []
        while let first = segments.first, first.waiting == 0, first.number != active || entries.isEmpty {
            drained.append(first.number)
            bytes -= first.size
            segments.removeFirst()
        }
        return drained
    }

    /// Forgets a segment that could not be made.
    mutating func removeSegment(_ number: Int) {
        segments.removeAll { segment in
            guard segment.number == number else { return false }
            bytes -= segment.size
            return true
        }
    }

    private mutating func change(_ number: Int, by count: Int) {
        guard let index = segments.firstIndex(where: { $0.number == number }) else { return }
        segments[index].waiting += count
    }
}
