package import NIOCore
import Persistence

/// Everything that the segment files of a directory hold: what a journal is opened from, and what a command shows that
/// does not own the directory. It reads, and changes nothing; payloads stay on the disk.
package struct JournalContents: Sendable {
    struct File {
        let number: Int
        let scan: SegmentScan
        let header: SegmentHeader.Finding
        /// What its acknowledgements name.
        let done: [UInt64]
    }

    let files: [File]
    /// Sequences that were acknowledged.
    let done: Set<UInt64>
    private let configuration: JournalConfiguration
    private let disk: any JournalFiles

    /// - Throws: `unusable` if there is no such directory, or if it was written by a newer release.
    package init(_ configuration: JournalConfiguration, _ disk: any JournalFiles) throws(JournalError) {
        self.configuration = configuration
        self.disk = disk
        var files: [File] = []
        let numbers = try disk.names(in: configuration.directory).compactMap(JournalConfiguration.segmentNumber)
        for number in numbers.sorted() { files.append(try Self.read(number, configuration, disk)) }
        self.files = files
        done = Set(files.flatMap(\.done))
    }

    private static func read(
        _ number: Int, _ configuration: JournalConfiguration, _ disk: any JournalFiles
    ) throws(JournalError) -> File {
        let path = configuration.segmentPath(number)
        let file = try disk.openForReading(path)
        let bytes = try file.read(at: 0, try file.size())
        let header = bytes.withUnsafeReadableBytes { SegmentHeader.check($0) }
        guard header != .newer else { throw JournalError(.unusable, "\(path): was made by a newer release") }
        let scan = SegmentScan(bytes)
        return File(number: number, scan: scan, header: header, done: done(scan, bytes))
    }

    private static func done(_ scan: SegmentScan, _ bytes: ByteBuffer) -> [UInt64] {
        scan.items.filter { $0.header.kind == .acknowledgement }.flatMap { item in
            var payload = bytes.getSlice(at: item.payload.lowerBound, length: item.payload.count) ?? ByteBuffer()
            var sequences: [UInt64] = []
            while let sequence = payload.readInteger(endianness: .little, as: UInt64.self) {
                sequences.append(sequence)
            }
            return sequences
        }
    }

    /// The records that wait, in order.
    package var entries: [JournalEntry] {
        files.flatMap { file in
            file.scan.items.filter { $0.header.kind == .record && !done.contains($0.header.sequence) }.map { item in
                JournalEntry(
                    sequence: item.header.sequence, time: item.header.time, length: item.header.length,
                    segment: file.number, offset: item.offset)
            }
        }
    }

    /// The payload of a record.
    ///
    /// - Throws: `io` where the file is gone: its owner has drained it meanwhile.
    package func payload(_ entry: JournalEntry) throws(JournalError) -> ByteBuffer {
        let file = try disk.openForReading(configuration.segmentPath(entry.segment))
        return try file.read(at: entry.offset + RecordHeader.size, entry.length)
    }

    /// What was set aside.
    package func deadLetters() throws(JournalError) -> [DeadLetter] {
        try DeadLetterBox(directory: configuration.deadLetterDirectory, disk: disk).letters()
    }

    /// The names of damaged pieces in the dead-letter directory.
    package func damagedPieces() throws(JournalError) -> [String] {
        try DeadLetterBox(directory: configuration.deadLetterDirectory, disk: disk).names()
            .filter { $0.hasSuffix(".damaged") }
    }
}
