import Glibc
package import NIOCore
package import Persistence

/// A record that was set aside, for people to look at: it was refused for good.
package struct DeadLetter: Sendable, Equatable {
    /// The file's name in the dead-letter directory.
    package let name: String
    package let time: Timestamp
    package let sequence: UInt64
    /// Why it was set aside; without values.
    package let reason: String
    package let payload: ByteBuffer
}

/// The directory of what cannot be replayed: one file per record that was refused (`.letter`), one per damaged piece of
/// a segment (`.damaged`, the bytes as they were found). Nothing is ever removed here but by the operator.
struct DeadLetterBox {
    let directory: String
    let disk: any JournalFiles

    /// Returns when the file survives a loss of power.
    func add(_ letter: ByteBuffer, _ entry: JournalEntry, reason: String) throws(JournalError) {
        var payload = ByteBuffer()
        payload.writeInteger(UInt32(reason.utf8.count), endianness: .little)
        payload.writeString(reason)
        payload.writeImmutableBuffer(letter)
        var bytes = ByteBuffer()
        RecordHeader(.deadLetter, entry.sequence, at: entry.time, payload: payload).write(to: &bytes)
        bytes.writeImmutableBuffer(payload)
        try write(bytes, "\(entry.time.microseconds)-\(entry.sequence).letter")
    }

    /// Keeps a piece of a segment that cannot be read. True if it was not there yet.
    ///
    /// The name says where the piece was, and has a checksum of its bytes: a directory that was drained numbers its
    /// segments from 1 again, and another piece may then lie at the same place.
    func add(damaged bytes: ByteBuffer, segment: Int, at offset: Int) throws(JournalError) -> Bool {
        let checksum = String(bytes.withUnsafeReadableBytes(CRC32C.of), radix: 16)
        let name = "\(segment)-\(offset)-\(checksum).damaged"
        if try names().contains(name), try contents(of: name) == bytes { return false }
        try write(bytes, name)
        return true
    }

    /// None where nothing was ever set aside.
    func names() throws(JournalError) -> [String] {
        let names: [String]
        do throws(JournalError) {
            names = try disk.names(in: directory)
        } catch {
            guard error.code == ENOENT else { throw error }
            return []
        }
        return names.filter { $0.hasSuffix(".letter") || $0.hasSuffix(".damaged") }.sorted()
    }

    /// The letters that can be read.
    func letters() throws(JournalError) -> [DeadLetter] {
        var letters: [DeadLetter] = []
        for name in try names() where name.hasSuffix(".letter") {
            if let letter = Self.letter(name, try contents(of: name)) { letters.append(letter) }
        }
        return letters
    }

    private func contents(of name: String) throws(JournalError) -> ByteBuffer {
        let file = try disk.openForReading("\(directory)/\(name)")
        return try file.read(at: 0, try file.size())
    }

    /// Written anew where an attempt was cut off. One that is not whole cannot be read, and its record still waits.
    private func write(_ bytes: ByteBuffer, _ name: String) throws(JournalError) {
        try disk.makeDirectory(directory)
        let path = "\(directory)/\(name)"
        try disk.remove(path)
        let file = try disk.open(path, isNew: true)
        try file.writeAll(bytes, at: 0)
        try file.sync()
        try disk.syncDirectory(directory)
    }

    private static func letter(_ name: String, _ bytes: ByteBuffer) -> DeadLetter? {
        guard let header = bytes.withUnsafeReadableBytes({ RecordHeader($0) }), header.kind == .deadLetter else {
            return nil
        }
        var payload = bytes
        payload.moveReaderIndex(forwardBy: RecordHeader.size)
        guard payload.withUnsafeReadableBytes({ header.matches($0) }),
            let count = payload.readInteger(endianness: .little, as: UInt32.self),
            let reason = payload.readString(length: Int(count))
        else { return nil }
        return DeadLetter(
            name: name, time: header.time, sequence: header.sequence, reason: reason, payload: payload.slice())
    }
}
