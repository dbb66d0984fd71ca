import TurnpikeKit

/// The section `activity`.
struct ActivityConfiguration: Sendable, Equatable {
    /// For how long rows are kept.
    var retention: Duration = .seconds(90 * 86_400)
    /// Where rows wait that the database does not take.
    var spool: ActivitySpool.Settings

    /// - Parameter directory: where the process keeps its files.
    init(in directory: String = "data") { spool = ActivitySpool.Settings(directory: "\(directory)/activity-spool") }

    /// - Parameter taken: the directory of the turns' spool, if there is one.
    init(_ section: ConfigurationSection, in directory: String, besideSpool taken: String? = nil) throws {
        self.init(in: directory)
        retention = try section.duration("retention", default: retention)
        guard retention >= .seconds(3_600) else { throw section.error("retention", "expected at least 1h") }
        spool.directory = try section.string("spool", default: spool.directory)
        guard !spool.directory.isEmpty else { throw section.error("spool", "expected a directory") }
        if let taken, Self.steps(spool.directory) == Self.steps(taken) {
            throw section.error("spool", "\(spool.directory) is spool.directory: name another one")
        }
        spool.maxBytes = try section.bytes("spool_size", default: spool.maxBytes)
        guard spool.maxBytes >= 1 << 20 else { throw section.error("spool_size", "expected at least 1MB") }
    }

    /// A path's parts, without what leads nowhere.
    private static func steps(_ path: String) -> [Substring] {
        (path.hasPrefix("/") ? ["/"] : []) + path.split(separator: "/").filter { $0 != "." }
    }
}
