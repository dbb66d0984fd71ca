import NIOCore
import Persistence

/// What opening a directory found and mended.
package struct JournalRecovery: Sendable, Equatable {
    /// Records that wait.
    package var records = 0
    /// Bytes behind the last whole record, from a write that was cut off: nobody was told that they were kept.
    package var tornBytes = 0
    /// Pieces that could not be read, each kept in the dead-letter directory.
    package var damagedPieces = 0
}

/// Brings a directory into order before it is written to: the tail of the newest segment is cut off, damaged pieces are
/// copied to the dead letters, files without contents are removed.
struct JournalMending {
    let configuration: JournalConfiguration
    let disk: any JournalFiles
    private(set) var recovery = JournalRecovery()

    init(_ configuration: JournalConfiguration, _ disk: any JournalFiles) {
        self.configuration = configuration
        self.disk = disk
    }

    mutating func mend(_ ledger: inout JournalLedger) throws(JournalError) {
        let contents = try JournalContents(configuration, disk)
        for file in contents.files {
            let isNewest = file.number == contents.files.last?.number
            guard file.header != .unfinished else {
                try disk.remove(configuration.segmentPath(file.number))
                continue
            }
            try keepDamages(of: file, done: contents.done)
            try keepOrCutTail(of: file, isNewest: isNewest)
            ledger.add(JournalLedger.Segment(number: file.number, size: file.scan.end))
            for item in file.scan.items { ledger.skip(to: item.header.sequence) }
        }
        for entry in contents.entries { ledger.add(entry) }
        recovery.records = contents.entries.count
        let box = DeadLetterBox(directory: configuration.deadLetterDirectory, disk: disk)
        ledger.deadLetters = try box.names().count
    }

    private mutating func keepDamages(of file: JournalContents.File, done: Set<UInt64>) throws(JournalError) {
        if file.header == .damaged { try keep(0..<SegmentHeader.size, of: file) }
        for damage in file.scan.damages {
            // What was acknowledged may be overwritten half.
            if let sequence = damage.sequence, done.contains(sequence) { continue }
            try keep(damage.range, of: file)
        }
    }

    private mutating func keepOrCutTail(of file: JournalContents.File, isNewest: Bool) throws(JournalError) {
        guard file.scan.hasTail else { return }
        guard isNewest else { return try keep(file.scan.end..<file.scan.size, of: file) }
        recovery.tornBytes += file.scan.size - file.scan.end
        let segment = try disk.open(configuration.segmentPath(file.number), isNew: false)
        try segment.truncate(to: file.scan.end)
        try segment.sync()
    }

    private mutating func keep(_ range: Range<Int>, of file: JournalContents.File) throws(JournalError) {
        let segment = try disk.openForReading(configuration.segmentPath(file.number))
        let bytes = try segment.read(at: range.lowerBound, range.count)
        let box = DeadLetterBox(directory: configuration.deadLetterDirectory, disk: disk)
        if try box.add(damaged: bytes, segment: file.number, at: range.lowerBound) { recovery.damagedPieces += 1 }
    }
}
