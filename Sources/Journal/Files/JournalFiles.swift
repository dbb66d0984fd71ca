package import NIOCore

/// The few things that a journal asks of a file system: so that tests can make each of them fail, and can take the
/// power away. All calls block; they run on the journal's thread, or before it starts.
package protocol JournalFiles: Sendable {
    /// Makes a directory for its owner only, and its parents; one that is there is left as it is.
    func makeDirectory(_ path: String) throws(JournalError)
    /// The names of the files in a directory, in no order.
    func names(in directory: String) throws(JournalError) -> [String]
    /// Opens a file for reading and writing.
    ///
    /// - Parameter isNew: It must not exist yet; it is made with mode 0600.
    func open(_ path: String, isNew: Bool) throws(JournalError) -> any JournalFile
    /// Opens a file that somebody else may be writing to.
    func openForReading(_ path: String) throws(JournalError) -> any JournalFile
    func remove(_ path: String) throws(JournalError)
    /// Makes sure that files which were made or removed are so after a loss of power.
    func syncDirectory(_ path: String) throws(JournalError)
    /// How many bytes may still be written on the disk of a directory.
    func freeBytes(_ directory: String) throws(JournalError) -> Int
    /// Makes this process the owner of a lock file until the result is released.
    ///
    /// - Throws: `owned`, with the other process's id in the reason.
    func lock(_ path: String) throws(JournalError) -> any JournalLock
}

/// An open file, closed when nobody holds it any more.
package protocol JournalFile: AnyObject, Sendable {
    func size() throws(JournalError) -> Int
    /// Up to `count` bytes; fewer at the end of the file.
    func read(at offset: Int, _ count: Int) throws(JournalError) -> ByteBuffer
    /// Writes some of the readable bytes, and says how many.
    func write(_ bytes: ByteBuffer, at offset: Int) throws(JournalError) -> Int
    /// Returns when the contents, and the length, survive a loss of power.
    func sync() throws(JournalError)
    func truncate(to size: Int) throws(JournalError)
    /// Whether its path still leads to it: nobody has removed or replaced it.
    var isInPlace: Bool { get }
}

/// The ownership of a directory.
package protocol JournalLock: AnyObject, Sendable {
    /// Whether the lock's path still leads to it. If not, somebody has removed or replaced the directory, and what lies at
    /// its path now may be another process's.
    var isInPlace: Bool { get }
    func release()
}

extension JournalFile {
    /// Writes all readable bytes, in as many pieces as it takes.
    func writeAll(_ bytes: ByteBuffer, at offset: Int) throws(JournalError) {
        var rest = bytes
        while rest.readableBytes > 0 {
            let count = try write(rest, at: offset + bytes.readableBytes - rest.readableBytes)
            guard count > 0 else { throw JournalError(.full, "the disk takes no more bytes") }
            rest.moveReaderIndex(forwardBy: count)
        }
    }
}
