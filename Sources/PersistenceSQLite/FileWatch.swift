import Glibc
import Persistence
import Synchronization

/// Notices that the path of an open database leads to another file, or to none.
///
/// SQLite goes on in the file that it has opened, whatever happens to its name: everything would be stored, and nobody
/// would find it again.
final class FileWatch: Sendable {
    /// A file as the system knows it.
    private struct Identity: Equatable {
        let device: dev_t
        let inode: ino_t

        /// Nil where nothing is at the path.
        init?(_ path: String) {
            var facts = stat()
            guard stat(path, &facts) == 0 else { return nil }
            (device, inode) = (facts.st_dev, facts.st_ino)
        }
    }

    /// How long a finding is good for those who only read.
    private static let interval: UInt64 = 100_000_000

    private let path: String
    private let identity: Identity
    private let isGone = Atomic(false)
    private let nextGlance = Atomic<UInt64>(0)
    private let now: @Sendable () -> UInt64

    /// Remembers the file that is at the path now.
    ///
    /// - Parameter now: nanoseconds of a clock that does not jump.
    init(_ path: String, now: @escaping @Sendable () -> UInt64 = { monotonicNanoseconds() }) throws {
        guard let identity = Identity(path) else {
            throw DatabaseError(.unavailable, "the database file was removed while it was opened")
        }
        self.path = path
        self.identity = identity
        self.now = now
    }

    /// What an operator is told; nil while the file is in its place.
    var problem: String? {
        (try? look()) == nil ? "the database file was removed or replaced: put it back, or start Turnpike again" : nil
    }

    /// Looks now: one system call. For transactions, which are few, because many items share one.
    ///
    /// - Throws: `unavailable`; behind a commit `unknownAtCommit`, because what was committed is there if the file comes
    ///   back.
    func look(afterCommit: Bool = false) throws {
        isGone.store(Identity(path) != identity, ordering: .relaxed)
        try refuse(afterCommit ? .unknownAtCommit : .unavailable)
    }

    /// Looks ten times a second at most.
    func glance() throws {
        let time = now()
        let next = nextGlance.load(ordering: .relaxed)
        guard time >= next else { return try refuse(.unavailable) }
        nextGlance.store(time &+ Self.interval, ordering: .relaxed)
        try look()
    }

    private func refuse(_ failure: DatabaseError.Failure) throws {
        if isGone.load(ordering: .relaxed) { throw DatabaseError(failure, "the database file was removed or replaced") }
    }
}
