import Glibc
import Persistence

/// The database's file: conversations are in it, so nobody but its owner reads it.
enum SQLiteFile {
    /// Makes the directory (0700) and the file (0600) where they are missing. Existing ones keep their permissions:
    /// the operator chose them. SQLite gives the permissions of the file to its `-wal` and `-shm`.
    static func prepare(_ path: String) throws {
        try makeDirectory(of: path)
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("the database file cannot be opened for writing") }
        close(file)
    }

    private static func makeDirectory(of path: String) throws {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return }
        let directory = String(path[..<slash])
        guard access(directory, F_OK) != 0 else { return }
        try makeDirectory(of: directory)
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw failure("the directory of the database file cannot be made")
        }
    }

    private static func failure(_ reason: String) -> DatabaseError {
        let code = errno
        return DatabaseError(.refuse, "\(reason): \(String(cString: strerror(code)))", code: Int(code))
    }
}
