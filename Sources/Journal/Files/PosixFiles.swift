import Glibc
import NIOCore

/// The real file system.
package struct PosixFiles: JournalFiles {
    package init() {}

    package func makeDirectory(_ path: String) throws(JournalError) {
        guard access(path, F_OK) != 0 else { return }
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex {
            try makeDirectory(String(path[..<slash]))
        }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .system("\(path): cannot be made", .unusable) }
    }

    package func names(in directory: String) throws(JournalError) -> [String] {
        guard let stream = opendir(directory) else { throw .system("\(directory): cannot be read", .unusable) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = try next(in: stream, directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Nil at the end, which only `errno` tells from a failure.
    private func next(in stream: OpaquePointer, _ directory: String) throws(JournalError) -> UnsafeMutablePointer<
        dirent
    >? {
        errno = 0
        if let entry = readdir(stream) { return entry }
        guard errno == 0 else { throw .system("\(directory): cannot be read", .unusable) }
        return nil
    }

    package func open(_ path: String, isNew: Bool) throws(JournalError) -> any JournalFile {
        let flags = O_RDWR | O_CLOEXEC | (isNew ? O_CREAT | O_EXCL : 0)
        let descriptor = Glibc.open(path, flags, 0o600)
        guard descriptor >= 0 else { throw .system("\(path): cannot be opened", .io) }
        return PosixFile(descriptor, path)
    }

    package func openForReading(_ path: String) throws(JournalError) -> any JournalFile {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("\(path): cannot be read", .io) }
        return PosixFile(descriptor, path)
    }

    package func remove(_ path: String) throws(JournalError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .system("\(path): cannot be removed", .io) }
    }

    package func syncDirectory(_ path: String) throws(JournalError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("\(path): cannot be opened", .io) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("\(path): fsync failed", .io) }
    }

    package func freeBytes(_ directory: String) throws(JournalError) -> Int {
        var facts = statvfs()
        guard statvfs(directory, &facts) == 0 else { throw .system("\(directory): has no size", .io) }
        return Int(clamping: UInt64(facts.f_bavail) &* UInt64(facts.f_frsize))
    }

    package func lock(_ path: String) throws(JournalError) -> any JournalLock {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("\(path): cannot be opened", .unusable) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            defer { Glibc.close(descriptor) }
            guard errno == EWOULDBLOCK else { throw .system("\(path): cannot be locked", .unusable) }
            throw JournalError(.owned, "process \(Self.owner(descriptor)) is using it")
        }
        let identity = Array("\(getpid())\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, identity, identity.count, 0)
        return PosixLock(descriptor, path)
    }

    /// Whom the lock file names: for the message only.
    private static func owner(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let digits = bytes.prefix(max(0, count)).prefix { (48...57).contains($0) }
        return digits.isEmpty ? "of unknown id" : String(decoding: digits, as: UTF8.self)
    }
}

/// An open descriptor, closed with its owner.
private final class PosixFile: JournalFile {
    private let descriptor: Int32
    private let path: String

    init(_ descriptor: Int32, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    // The only place where it is closed: nobody can use a number that the system gave to another file.
    deinit { Glibc.close(descriptor) }

    func close() {}

    func size() throws(JournalError) -> Int {
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw .system("\(path): has no size", .io) }
        return Int(facts.st_size)
    }

    func read(at offset: Int, _ count: Int) throws(JournalError) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        while buffer.readableBytes < count {
            let (missing, position) = (count - buffer.readableBytes, offset + buffer.readableBytes)
            var got = 0
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: missing) { target in
                got = retrying { pread(descriptor, target.baseAddress, missing, off_t(position)) }
                return max(0, got)
            }
            if got < 0 { throw .system("\(path): cannot be read", .io) }
            if got == 0 { break }
        }
        return buffer
    }

    func write(_ bytes: ByteBuffer, at offset: Int) throws(JournalError) -> Int {
        let count = bytes.withUnsafeReadableBytes { source in
            retrying { pwrite(descriptor, source.baseAddress, source.count, off_t(offset)) }
        }
        guard count >= 0 else { throw .system("\(path): cannot be written", .io) }
        return count
    }

    func sync() throws(JournalError) {
        guard fdatasync(descriptor) == 0 else { throw .system("\(path): fdatasync failed", .io) }
    }

    func truncate(to size: Int) throws(JournalError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw .system("\(path): cannot be shortened", .io) }
    }

    var isInPlace: Bool { leads(path, to: descriptor) }

    private func retrying(_ call: () -> Int) -> Int {
        var result = call()
        while result < 0, errno == EINTR { result = call() }
        return result
    }
}

private final class PosixLock: JournalLock {
    private let descriptor: Int32
    private let path: String

    init(_ descriptor: Int32, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { Glibc.close(descriptor) }

    var isInPlace: Bool { leads(path, to: descriptor) }

    func release() { flock(descriptor, LOCK_UN) }
}

/// Whether a path is that of an open file.
private func leads(_ path: String, to descriptor: Int32) -> Bool {
    var (there, open) = (stat(), stat())
    guard stat(path, &there) == 0, fstat(descriptor, &open) == 0 else { return false }
    return there.st_dev == open.st_dev && there.st_ino == open.st_ino
}

extension JournalError {
    /// The system call that just failed.
    fileprivate static func system(_ what: String, _ failure: Failure) -> JournalError {
        let code = errno
        let isFull = code == ENOSPC || code == EDQUOT || code == EFBIG
        return JournalError(isFull ? .full : failure, "\(what): \(String(cString: strerror(code)))", code: code)
    }
}
