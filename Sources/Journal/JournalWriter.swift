import NIOCore
import Persistence
import Synchronization

/// Writes the files of a journal. It lives on the journal's thread and shares only the books with others.
///
/// After a failed write the segment is cut back to its last good byte. After a failed fsync nothing of the batch counts
/// and nothing more is written to that file: the system may have dropped the pages and would call the next fsync a
/// success. The next append begins a new segment.
final class JournalWriter {
    struct Append: Sendable {
        let payload: ByteBuffer
        let reservation: JournalReservation?
        let completion: @Sendable (Result<JournalEntry, JournalError>) -> Void
    }

    private struct Active {
        let number: Int
        let file: any JournalFile
        var size: Int
    }

    private let configuration: JournalConfiguration
    private let disk: any JournalFiles
    private let books: JournalBooks
    private let ownership: any JournalLock
    private let now: @Sendable () -> Timestamp
    private var active: Active?

    init(
        _ configuration: JournalConfiguration, _ disk: any JournalFiles, _ books: JournalBooks,
        owner ownership: any JournalLock, now: @escaping @Sendable () -> Timestamp
    ) {
        self.configuration = configuration
        self.disk = disk
        self.books = books
        self.ownership = ownership
        self.now = now
    }

    /// Nothing is written to, read from or removed from a directory that took the place of ours: what lies in it may be
    /// another process's, and ours may be on its way to the bin. When it is back everything goes on.
    private func checkDirectory() throws(JournalError) {
        if !ownership.isInPlace { throw failed(.directoryIsGone(configuration.directory)) }
    }

    // MARK: Appending

    /// Writes the records in order with one fsync. Where they do not fit together, each is tried by itself.
    func append(_ batch: [Append]) {
        let admitted = batch.filter(admit)
        guard !admitted.isEmpty else { return }
        do throws(JournalError) {
            let entries = try write(admitted)
            for (append, entry) in zip(admitted, entries) { append.completion(.success(entry)) }
        } catch {
            guard error.failure == .full, admitted.count > 1 else {
                for append in admitted { append.completion(.failure(error)) }
                return
            }
            for append in admitted { self.append([append]) }
        }
    }

    /// Refuses what the bound has no room for. What was reserved has its room.
    private func admit(_ append: Append) -> Bool {
        let size = JournalEntry.size(of: append.payload.readableBytes)
        let missing = size - (append.reservation?.bytes ?? 0)
        guard missing > 0, !books.ledger.withLock({ $0.hasRoom(missing) }) else { return true }
        append.completion(.failure(JournalError(.full, "the journal has reached \(configuration.maxBytes) bytes")))
        return false
    }

    private func write(_ batch: [Append]) throws(JournalError) -> [JournalEntry] {
        let segment = try segmentToWrite()
        let time = now()
        var bytes = ByteBuffer()
        bytes.reserveCapacity(batch.reduce(0) { $0 + JournalEntry.size(of: $1.payload.readableBytes) })
        var entries: [JournalEntry] = []
        for append in batch {
            let sequence = books.ledger.withLock { $0.takeSequence() }
            entries.append(
                JournalEntry(
                    sequence: sequence, time: time, length: append.payload.readableBytes, segment: segment.number,
                    offset: segment.size + bytes.readableBytes))
            RecordHeader(.record, sequence, at: time, payload: append.payload).write(to: &bytes)
            bytes.writeImmutableBuffer(append.payload)
        }
        try write(bytes, to: segment)
        books.ledger.withLock { ledger in for entry in entries { ledger.add(entry) } }
        return entries
    }

    private func write(_ bytes: ByteBuffer, to segment: Active) throws(JournalError) {
        CrashPoint.beforeSpoolWrite.pass()
        do throws(JournalError) {
            try segment.file.writeAll(bytes, at: segment.size)
        } catch {
            cutBack(segment)
            throw failed(error)
        }
        CrashPoint.beforeSpoolSync.pass()
        do throws(JournalError) {
            try segment.file.sync()
        } catch {
            cutBack(segment)
            active = nil
            throw failed(error)
        }
        CrashPoint.afterSpoolSync.pass()
        let size = segment.size + bytes.readableBytes
        active?.size = size
        books.ledger.withLock { ledger in
            ledger.setSize(size, of: segment.number)
            ledger.failure = nil
        }
    }

    /// Takes back what was written of a batch that failed. Where that fails too the file is left: what stands behind
    /// its last good byte belongs to nobody, and the next batch goes to a new file.
    private func cutBack(_ segment: Active) {
        do throws(JournalError) {
            try segment.file.truncate(to: segment.size)
            try segment.file.sync()
        } catch {
            active = nil
        }
    }

    private func failed(_ error: JournalError) -> JournalError {
        books.ledger.withLock { $0.failure = error }
        return error
    }

    // MARK: Segments

    private func segmentToWrite() throws(JournalError) -> Active {
        try checkDirectory()
        if let active, active.size < configuration.segmentBytes, active.file.isInPlace { return active }
        do throws(JournalError) {
            let made = try makeSegment()
            active = made
            return made
        } catch {
            throw failed(error)
        }
    }

    private func makeSegment() throws(JournalError) -> Active {
        let number = books.ledger.withLock { $0.beginSegment(size: SegmentHeader.size).number }
        let path = configuration.segmentPath(number)
        do throws(JournalError) {
            let file = try disk.open(path, isNew: true)
            try file.writeAll(SegmentHeader.bytes, at: 0)
            try file.sync()
            try disk.syncDirectory(configuration.directory)
            return Active(number: number, file: file, size: SegmentHeader.size)
        } catch {
            try? disk.remove(path)
            books.ledger.withLock { $0.removeSegment(number) }
            throw error
        }
    }

    // MARK: Acknowledging

    /// Marks records as done, durably, and clears away the segments that nothing waits in.
    ///
    /// Where the mark cannot be written the records are done all the same, for as long as the process lives: after its
    /// end they are replayed once more, which their own ids make harmless.
    func acknowledge(_ sequences: [UInt64], erasing: Bool) {
        let done = books.ledger.withLock { $0.acknowledge(sequences) }
        guard !done.isEmpty else { return }
        let isDrained = books.ledger.withLock { $0.status.records == 0 }
        if !isDrained { try? mark(done.map(\.sequence)) }
        if erasing { for entry in done { try? erase(entry) } }
        clear()
    }

    private func mark(_ sequences: [UInt64]) throws(JournalError) {
        var payload = ByteBuffer()
        for sequence in sequences { payload.writeInteger(sequence, endianness: .little) }
        let segment = try segmentToWrite()
        var bytes = ByteBuffer()
        let own = books.ledger.withLock { $0.takeSequence() }
        RecordHeader(.acknowledgement, own, at: now(), payload: payload).write(to: &bytes)
        bytes.writeImmutableBuffer(payload)
        try write(bytes, to: segment)
    }

    /// Overwrites the payload of a record that is done.
    private func erase(_ entry: JournalEntry) throws(JournalError) {
        try checkDirectory()
        let file = try disk.open(configuration.segmentPath(entry.segment), isNew: false)
        var payload = ByteBuffer()
        payload.writeRepeatingByte(0, count: entry.length)
        var bytes = ByteBuffer()
        RecordHeader(.erased, entry.sequence, at: entry.time, payload: payload).write(to: &bytes)
        bytes.writeImmutableBuffer(payload)
        try file.writeAll(bytes, at: entry.offset)
        try file.sync()
    }

    /// Removes the drained segments, the oldest first.
    func clear() {
        guard (try? checkDirectory()) != nil else { return }
        let drained = books.ledger.withLock { $0.takeDrained(active: active?.number) }
        guard !drained.isEmpty else { return }
        for number in drained {
            if number == active?.number { active = nil }
            try? disk.remove(configuration.segmentPath(number))
        }
        try? disk.syncDirectory(configuration.directory)
    }

    // MARK: Reading

    /// The payload of a record that waits; nil if it does not any more.
    func read(_ sequence: UInt64) throws(JournalError) -> ByteBuffer? {
        guard let entry = books.ledger.withLock({ $0[sequence] }) else { return nil }
        let bytes = try stored(entry)
        let header = bytes.withUnsafeReadableBytes { RecordHeader($0) }
        var payload = bytes
        payload.moveReaderIndex(to: min(bytes.writerIndex, bytes.readerIndex + RecordHeader.size))
        guard let header, payload.withUnsafeReadableBytes({ header.matches($0) }) else {
            throw JournalError(.damaged, "record \(sequence) was damaged on the disk")
        }
        return payload.slice()
    }

    /// The bytes of a record with its header, whatever they are now.
    private func stored(_ entry: JournalEntry) throws(JournalError) -> ByteBuffer {
        try checkDirectory()
        let file = try disk.openForReading(configuration.segmentPath(entry.segment))
        return try file.read(at: entry.offset, RecordHeader.size + entry.length)
    }

    /// Moves a record to the dead letters; one that is damaged as the piece of a segment that it is now.
    func setAside(_ sequence: UInt64, because reason: String) throws(JournalError) {
        guard let entry = books.ledger.withLock({ $0[sequence] }) else { return }
        let box = DeadLetterBox(directory: configuration.deadLetterDirectory, disk: disk)
        var isNew = true
        do throws(JournalError) {
            guard let payload = try read(sequence) else { return }
            try box.add(payload, entry, reason: reason)
        } catch {
            guard error.failure == .damaged else { throw error }
            isNew = try box.add(damaged: stored(entry), segment: entry.segment, at: entry.offset)
        }
        if isNew { books.ledger.withLock { $0.deadLetters += 1 } }
        acknowledge([sequence], erasing: false)
    }
}

/// The books of a journal, shared by its thread and those who reserve.
final class JournalBooks: Sendable {
    let ledger: Mutex<JournalLedger>
    private let free: @Sendable () -> Int

    init(_ ledger: JournalLedger, free: @escaping @Sendable () -> Int) {
        self.ledger = Mutex(ledger)
        self.free = free
    }

    func reserve(_ count: Int) -> Bool {
        let free = free()
        return ledger.withLock { $0.reserve(count, free: free) }
    }

    func release(_ count: Int) { ledger.withLock { $0.release(count) } }

    /// A full disk that has room again is no failure any more, though nothing was written to it since; nor is a directory
    /// that is back. One that is gone is a failure before anybody tries to write to it: without it nothing is promised.
    ///
    /// - Parameter directory: Of which `ownership` is.
    func status(_ ownership: any JournalLock, of directory: String) -> JournalStatus {
        let (status, failure) = ledger.withLock { ($0.status, $0.failure?.failure) }
        let now: JournalError?
        switch failure {
        case .full where free() >= Self.enough, .unusable where ownership.isInPlace: now = nil
        case nil where !ownership.isInPlace: now = .directoryIsGone(directory)
        default: return status
        }
        return ledger.withLock { ledger in
            // Not in place of one that has come meanwhile.
            if ledger.failure?.failure == failure { ledger.failure = now }
            return ledger.status
        }
    }

    /// Bytes that a disk has left which is not full.
    private static let enough = 1 << 20
}
