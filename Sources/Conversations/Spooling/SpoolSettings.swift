/// How the spool is set up: the section `spool` of the configuration.
package struct SpoolSettings: Sendable, Equatable {
    /// Belongs to one process at a time.
    package var directory: String
    /// The most bytes that turns may take on the disk and in reservations.
    package var maxSize = 1 << 30
    /// What is reserved for an answer before the upstream is called; a longer one reserves more while it comes.
    package var reserve = 256 << 10
    /// How long a commit may take before the turn is spooled.
    package var commitDeadline: Duration = .seconds(2)
    /// How long the spool's own disk may take before a turn counts as not stored. Longer than a commit: it is the last
    /// resort, and a disk that is only slow keeps the turn.
    package var diskDeadline: Duration = .seconds(5)

    package init(directory: String) { self.directory = directory }
}
