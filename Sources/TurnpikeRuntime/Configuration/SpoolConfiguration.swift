package import Conversations
import TurnpikeKit

/// The section `spool`: where turns wait while the database does not answer.
package struct SpoolConfiguration: Sendable, Equatable {
    /// Nil: switched off. A turn is then committed, or it is not stored.
    package var settings: SpoolSettings?

    /// - Parameter database: the spool lies beside a SQLite file unless the section names another place.
    init(_ section: ConfigurationSection, besideDatabase database: DatabaseAddress) throws {
        let isEnabled = try section.bool("enabled", default: true)
        var settings = SpoolSettings(
            directory: try section.string("directory", default: "\(database.stateDirectory)/spool"))
        settings.maxSize = try section.bytes("max_size", default: settings.maxSize)
        settings.reserve = try section.bytes("reserve", default: settings.reserve)
        settings.commitDeadline = try section.duration("commit_deadline", default: settings.commitDeadline)
        guard !settings.directory.isEmpty else { throw section.error("directory", "expected a directory") }
        guard settings.maxSize >= 16 << 20 else { throw section.error("max_size", "expected 16MB or more") }
        guard settings.reserve <= settings.maxSize / 4 else {
            throw section.error("reserve", "expected a quarter of max_size or less")
        }
        guard settings.commitDeadline >= .milliseconds(10) else {
            throw section.error("commit_deadline", "expected 10ms or more")
        }
        self.settings = isEnabled ? settings : nil
    }
}

/// The section `session_cache`: sessions in memory, whose version is read from the database in every exchange while other
/// processes use it.
package struct SessionCacheSettings: Sendable, Equatable {
    /// 0: nothing is kept.
    package var maxSize: Int
    /// Whether other processes use the database.
    package enum Sharing: String, CaseIterable, Sendable {
        /// Found out each second.
        case auto
        case yes = "true"
        case no = "false"
    }

    package var sharing: Sharing

    init(_ section: ConfigurationSection) throws {
        maxSize = try section.bytes("max_size", default: 16 << 20)
        sharing = try section.choice("shared_database", default: .auto)
    }
}

extension DatabaseAddress {
    /// Where a process keeps files of its own unless the configuration says otherwise: beside the file of an embedded
    /// database, else in `data`.
    var stateDirectory: String {
        switch self {
        case .sqlite(let path):
            guard let slash = path.lastIndex(of: "/") else { return "." }
            return slash == path.startIndex ? "/" : String(path[..<slash])
        case .mariadb: return "data"
        }
    }
}
