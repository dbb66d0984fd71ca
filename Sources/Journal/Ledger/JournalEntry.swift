package import Persistence

/// A record that is in the journal and not acknowledged yet.
package struct JournalEntry: Sendable, Equatable {
    /// Its place in the order of the journal. Greater means later; numbers are never used twice in a directory that
    /// holds records.
    package let sequence: UInt64
    /// When it was appended.
    package let time: Timestamp
    /// The bytes of its payload.
    package let length: Int
    let segment: Int
    /// Where its header begins in the segment's file.
    let offset: Int

    /// The bytes that a payload of `count` takes on the disk.
    package static func size(of count: Int) -> Int { RecordHeader.size + count }
}

/// What an operator is told about a journal.
package struct JournalStatus: Sendable, Equatable {
    /// Records that wait.
    package var records = 0
    /// Bytes on the disk, acknowledged records that are not cleared away yet included.
    package var bytes = 0
    /// Bytes that were promised to exchanges under way.
    package var reserved = 0
    /// The most that both may be together.
    package var limit = 0
    /// When the oldest record that waits was appended.
    package var oldest: Timestamp?
    /// Records and damaged pieces in the dead-letter directory.
    package var deadLetters = 0
    /// What went wrong last; nil after a write that went well, and when a disk that was full has room.
    package var failure: String?
}
