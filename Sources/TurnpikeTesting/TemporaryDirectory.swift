import Glibc

/// A new directory for a test, removed with everything in it when the value goes.
public final class TemporaryDirectory: Sendable {
    /// Where tests put their files: TMPDIR, which `scripts/test` removes with what killed tests have left. A path that is
    /// too long for a unix socket below it, of 107 bytes at most, is replaced by /tmp.
    public static let root: String = {
        let set = getenv("TMPDIR").map { String(cString: $0) } ?? ""
        return set.isEmpty || set.utf8.count > 60 ? "/tmp" : set
    }()

    /// Its path.
    public let path: String

    /// - Parameter name: A part of its name, for who finds it.
    public init(_ name: String = "test") {
        var template = Array("\(Self.root)/turnpike-\(name)-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { preconditionFailure("no directory can be made in \(Self.root)") }
        path = String(cString: made)
    }

    deinit { Self.removeAll(path) }

    /// Removes a file, a link, or a directory with everything in it.
    private static func removeAll(_ path: String) {
        if unlink(path) == 0 { return }
        guard let listing = opendir(path) else { return }
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { removeAll("\(path)/\(name)") }
        }
        closedir(listing)
        rmdir(path)
    }
}
